"""Moka POS: outlets, the menu, receipts with lines, refunds and voids, and Moka's own daily totals to check them by."""

from __future__ import annotations

from datetime import timedelta

from ingestion.core.spec import Category, Connector, Cursor, Evidence, Limit, Scope, Stream, Table, Writer
from ingestion.vendors.moka import connect, prices, records, transport

LATE_REPORT_DAYS = 7  # a void or a late device changes the report of a past day
LIBRARY = {"per_page": "100", "include_deleted": "true"}  # 100: client code, no maximum is published
ONE_DAY = {"start": "{day:%d/%m/%Y}", "end": "{day:%d/%m/%Y}"}
REPORT_OF = {"source_outlet_id": "{outlet}", "day": "{day}", "read_until": "{as_of:%Y-%m-%dT%H:%M:%SZ}"}

CONNECTOR = Connector(
    name="moka",
    category=Category.POS,
    title="Moka POS",
    base_url="https://api.mokapos.com",
    auth=transport.moka_auth,
    credential_fields=("client_id", "client_secret"),
    headers={"Accept": "application/json", "Content-Type": "application/json"},  # 415 without it, on GET too
    limit=Limit(per_second=2, concurrent=4, evidence=Evidence.INFERRED),
    probe="v1/profile/self",
    live="webhooks for orders placed through the API",
    webhooks=connect.WEBHOOKS,
    oauth=connect.OAUTH,
    writers=(Writer("prices", prices.MokaPrices, Evidence.SPEC),),
    streams=(
        Stream(
            name="outlets",
            path="v1/businesses/{business_id}/outlets",
            records="data.outlets",
            tables=(Table("outlets", records.Outlet, key=("id",)),),
            evidence=Evidence.SPEC,
            description="Outlets of the business, those with an ended subscription included.",
        ),
        Stream(
            name="categories",
            scope=Scope.OUTLET,
            path="v1/outlets/{outlet}/categories",
            params=LIBRARY,
            records="data.category",
            paginator=transport.library_pages,
            tables=(Table("categories", records.Category, key=("id",)),),
            evidence=Evidence.SPEC,
            description="Menu categories of each outlet, deleted ones included.",
        ),
        Stream(
            name="items",
            scope=Scope.OUTLET,
            path="v1/outlets/{outlet}/items",
            params=LIBRARY,
            records="data.items",
            paginator=transport.library_pages,
            tables=(
                Table("items", records.Item, key=("id",)),
                Table("item_variants", records.ItemVariant, key=("id",), path="item_variants"),
                Table(
                    "item_modifier_options",
                    records.ModifierOption,
                    key=("id",),
                    path="active_modifiers.modifier_options",
                    inherit={"modifier_id": "active_modifiers.id", "modifier_name": "active_modifiers.name"},
                ),
            ),
            evidence=Evidence.SPEC,
            description="Menu of each outlet with variants, prices and modifiers, deleted items included.",
        ),
        Stream(
            name="transactions",
            scope=Scope.OUTLET,
            path="v4/outlets/{outlet}/reports/get_latest_transactions",
            params={
                "per_page": "100",
                "time_filter": "synchronized_at",  # what late devices, voids and refunds change
                "since": "{since_epoch}",
                "until": "{until_epoch}",
            },
            records="data.payments",
            paginator=transport.LatestTransactionsPaginator,
            cursor=Cursor(lookback=timedelta(days=1)),
            tables=(
                Table("transactions", records.Transaction, key=("id",), version="updated_at"),
                Table("checkouts", records.Checkout, key=("uuid",), path="checkouts"),
                Table(
                    "checkout_modifiers",
                    records.CheckoutModifier,
                    key=("uuid",),
                    path="checkouts.modifiers",
                    inherit={"checkout_uuid": "checkouts.uuid"},
                ),
                Table(
                    "checkout_discounts",
                    records.CheckoutDiscount,
                    key=(),  # a discount's share of a line has no id of its own
                    path="checkouts.discounts",
                    inherit={"checkout_uuid": "checkouts.uuid"},
                ),
                Table("payment_taxes", records.PaymentTax, key=("uuid",), path="payment_taxes"),
                Table("payment_refunds", records.PaymentRefund, key=("uuid",), path="payment_refunds"),
                Table(
                    "refund_checkouts",
                    records.RefundCheckout,
                    key=("uuid",),
                    path="payment_refunds.checkouts",
                    inherit={"refund_uuid": "payment_refunds.uuid"},
                ),
                Table(
                    "refund_taxes",
                    records.PaymentTax,
                    key=("uuid",),
                    path="payment_refunds.payment_taxes",
                    inherit={"refund_uuid": "payment_refunds.uuid"},
                ),
            ),
            marks_complete=True,
            evidence=Evidence.SPEC,
            description="Receipts with lines, modifiers, discounts, taxes and refunds, by arrival at Moka's server.",
        ),
        Stream(
            name="sales_summary",
            scope=Scope.OUTLET_DAY,
            path="v2/outlets/{outlet}/reports/sales_summary",
            params=ONE_DAY,
            records="data",
            constants=REPORT_OF,
            window_days=LATE_REPORT_DAYS,
            tables=(Table("sales_summary", records.SalesSummary, key=("source_outlet_id", "day")),),
            evidence=Evidence.SPEC,
            description="Moka's own totals per outlet and local calendar day.",
        ),
        Stream(
            name="payment_methods",
            scope=Scope.OUTLET_DAY,
            path="v2/outlets/{outlet}/reports/payment_methods",
            params=ONE_DAY,
            rows=transport.payment_methods_rows,
            constants=REPORT_OF,
            window_days=LATE_REPORT_DAYS,
            tables=(
                Table("payment_methods", records.PaymentMethods, key=("source_outlet_id", "day")),
                Table("payment_method_totals", records.PaymentMethod, key=("payment_type",), path="methods"),
            ),
            evidence=Evidence.SPEC,
            description="Moka's own collections per payment type, outlet and local calendar day.",
        ),
    ),
)
