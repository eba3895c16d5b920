"""Olsera POS: menus, orders with lines and payments, and Olsera's own sales per product group to check them by."""

from __future__ import annotations

from datetime import timedelta

from ingestion.core.fetch import read_numbered
from ingestion.core.refusals import json_refusal
from ingestion.core.spec import Category, Connector, Cursor, Evidence, Limit, Scope, Stream, Table
from ingestion.vendors.olsera import records, transport

LATE_DAYS = 7  # orders of a past day still change, close or vanish, and nothing tells which

ONE_DAY = {"start_date": "{day}", "end_date": "{day}", "per_page": "100"}  # 100 is the most that clients ask for
AS_OF = {"read_until": "{as_of:%Y-%m-%dT%H:%M:%SZ}"}
STORE = {transport.STORE: "{outlet}"}  # the token decides the store

CONNECTOR = Connector(
    name="olsera",
    category=Category.POS,
    title="Olsera POS",
    base_url="https://api-open.olsera.co.id",
    auth=transport.olsera_auth,
    credential_fields=("app_id", "secret_key"),
    headers={"Accept": "application/json"},
    limit=Limit(per_second=5, concurrent=2, evidence=Evidence.CLIENT),
    probe="api/open-api/v1/id/product?per_page=1",
    business_errors=json_refusal(),
    live="short polls of the sales",
    streams=(
        Stream(
            name="products",
            scope=Scope.OUTLET,
            path="api/open-api/v1/id/product",
            params={"per_page": "100"},
            headers=STORE,
            records="data",
            fetch=read_numbered,  # takes no 404, so a wrong base path cannot pass for an empty store
            constants={"source_outlet_id": "{outlet}"},
            tables=(
                Table("products", records.Product, key=("id", "source_outlet_id")),
                Table("product_variants", records.Variant, key=("id",), path="variants"),
            ),
            evidence=Evidence.CLIENT,
            description="Menu of each store with its variants.",
        ),
        Stream(
            name="orders",
            scope=Scope.OUTLET,
            path="api/open-api/v1/id/order",  # openorder, closeorder and their details lie below
            params=ONE_DAY,
            headers=STORE,
            fetch=transport.read_orders,
            cursor=Cursor(lookback=timedelta(days=LATE_DAYS)),
            constants={"source_outlet_id": "{outlet}", "day": "{day}", "timezone": "{timezone}", **AS_OF},
            tables=(
                Table("order_days", records.OrderDay, key=("source_outlet_id", "day")),
                Table("orders", records.Order, key=("id",), path="orders"),
                Table(
                    "order_items",
                    records.OrderItem,
                    key=("id",),
                    path="orders.orderitems",
                    inherit={"order_id": "orders.id"},
                ),
                Table(
                    "order_payments",
                    records.OrderPayment,
                    key=("id",),
                    path="orders.payments",
                    inherit={"order_id": "orders.id"},
                ),
            ),
            marks_complete=True,
            evidence=Evidence.CLIENT,
            description="Paid and closed orders with lines and payments, a store's whole day at a time.",
        ),
        Stream(
            name="sales_per_group",
            scope=Scope.OUTLET_DAY,
            path="api/open-api/v1/en/report/salesitemspergroup",  # exists in English only
            params={"from": "{day}", "to": "{day}"},
            headers=STORE,
            rows=transport.report_rows,
            fetch=transport.read_report,
            constants={"source_outlet_id": "{outlet}", "day": "{day}", **AS_OF},
            window_days=LATE_DAYS,
            tables=(
                Table("sales_per_group_days", records.GroupReport, key=("source_outlet_id", "day")),
                Table("sales_per_group", records.GroupSales, key=("label",), path="groups"),
            ),
            evidence=Evidence.CLIENT,
            description="Olsera's own item sales per product group, store and calendar day.",
        ),
    ),
)
