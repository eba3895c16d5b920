"""Pawoon POS: outlets, menus, transactions with lines, payments and taxes, and Pawoon's own totals to check them by."""

from __future__ import annotations

from datetime import timedelta

from ingestion.core.auth import client_credentials
from ingestion.core.fetch import read_numbered
from ingestion.core.refusals import json_refusal
from ingestion.core.spec import Category, Connector, Cursor, Evidence, Limit, Scope, Stream, Table
from ingestion.vendors.pawoon import records, transport

LATE_DAYS = 7  # tablets upload late and receipts are voided later; nothing tells which

OUTLET = {"source_outlet_id": "{outlet}"}
AS_OF = {"read_until": "{as_of:%Y-%m-%dT%H:%M:%SZ}"}

CONNECTOR = Connector(
    name="pawoon",
    category=Category.POS,
    title="Pawoon POS",
    base_url="https://open-api.pawoon.com",
    auth=lambda credentials, _, base_url: client_credentials(
        f"{base_url}/oauth/token", credentials["client_id"], credentials["client_secret"], as_json=True
    ),
    credential_fields=("client_id", "client_secret"),
    headers={"Accept": "application/json"},
    limit=Limit(per_second=1, concurrent=1, evidence=Evidence.INFERRED),
    probe="outlets?per_page=1",
    business_errors=json_refusal("status"),
    live="short polls of the sales",
    streams=(
        Stream(
            name="outlets",
            path="outlets",
            params={"per_page": "100"},
            records="data",
            fetch=read_numbered,
            tables=(Table("outlets", records.Outlet, key=("id",)),),
            evidence=Evidence.CLIENT,
            description="Outlets of the company.",
        ),
        Stream(
            name="products",
            scope=Scope.OUTLET,
            path="products",
            params={"outlet_id": "{outlet}", "per_page": "100"},
            records="data",
            fetch=read_numbered,
            constants=OUTLET,
            tables=(Table("products", records.Product, key=("id", "source_outlet_id")),),
            evidence=Evidence.CLIENT,
            description="Menu of each outlet. A product with variants has no price of its own.",
        ),
        Stream(
            name="variants",
            scope=Scope.OUTLET,
            path="products",  # {id}/variants lie below
            params={"outlet_id": "{outlet}", "per_page": "100"},
            records="data",
            fetch=transport.read_variants,
            constants={**OUTLET, "product_id": ""},
            tables=(Table("variants", records.Variant, key=("id", "product_id", "source_outlet_id")),),
            evidence=Evidence.CLIENT,
            description="Variants of each outlet's products, with their prices there.",
        ),
        Stream(
            name="transactions",
            scope=Scope.OUTLET,
            path="transactions",
            params={
                "outlet_id": "{outlet}",
                "start_device_timestamp": "{day}T00:00:00",
                "end_device_timestamp": "{day}T23:59:59",
                "per_page": "100",
            },
            records="data",
            fetch=transport.read_transactions,
            cursor=Cursor(lookback=timedelta(days=LATE_DAYS)),
            constants={**OUTLET, "timezone": "{timezone}", **AS_OF},
            tables=(
                Table("transactions", records.Transaction, key=("id",)),
                Table("transaction_items", records.Item, key=("id",), path="items"),
                Table("transaction_payments", records.Payment, key=(), path="payments"),  # they have no ids
                Table("transaction_taxes", records.Tax, key=("id",), path="taxes"),
            ),
            marks_complete=True,
            evidence=Evidence.CLIENT,
            description="Receipts with lines, payments and taxes, by the outlet's calendar days.",
        ),
        Stream(
            name="summary",
            scope=Scope.OUTLET_DAY,
            path="reports/summary",
            params={
                "outlet_id": "{outlet}",
                "start_datetime": "{day}T00:00:00",
                "end_datetime": "{day}T23:59:59",
            },
            records="data",
            constants={**OUTLET, "day": "{day}", **AS_OF},
            window_days=LATE_DAYS,
            tables=(Table("summary", records.Summary, key=("source_outlet_id", "day")),),
            evidence=Evidence.CLIENT,
            description="Pawoon's own totals per outlet and calendar day.",
        ),
    ),
)
