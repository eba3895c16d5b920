"""Qasir POS: outlets, menus, sales with lines, payments and refunds, over a contract of our own (see the README)."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from ingestion.core.auth import api_key
from ingestion.core.fetch import read_numbered
from ingestion.core.refusals import json_refusal
from ingestion.core.spec import Category, Connector, Cursor, Evidence, Limit, Scope, Stream, Table
from ingestion.vendors.qasir import records

PAGES = partial(read_numbered, total="pagination.total_result")

CONNECTOR = Connector(
    name="qasir",
    category=Category.POS,
    title="Qasir POS",
    base_url="https://api.qasir.example/v1",  # Qasir has no public address: set `base_url` once it grants one
    auth=lambda credentials, *_: api_key("X-Api-Key", credentials["api_key"]),
    credential_fields=("api_key",),
    headers={"Accept": "application/json"},
    limit=Limit(per_second=1, concurrent=2, evidence=Evidence.INFERRED),
    probe="outlets?count=1",
    business_errors=json_refusal("code"),
    live="short polls of the sales",
    streams=(
        Stream(
            name="outlets",
            path="outlets",
            params={"count": "100"},
            records="data",
            fetch=PAGES,
            tables=(Table("outlets", records.Outlet, key=("id",)),),
            evidence=Evidence.INFERRED,
            description="Outlets of the merchant.",
        ),
        Stream(
            name="products",
            scope=Scope.OUTLET,
            path="products",
            params={"outlet_id": "{outlet}", "count": "100"},
            records="data",
            fetch=PAGES,
            constants={"source_outlet_id": "{outlet}"},
            tables=(
                Table("products", records.Product, key=("id", "source_outlet_id")),
                Table("product_variants", records.Variant, key=("id",), path="variants"),
            ),
            evidence=Evidence.INFERRED,
            description="Menu of each outlet with variants and prices.",
        ),
        Stream(
            name="sales",
            scope=Scope.OUTLET,
            path="sales",
            params={
                "outlet_id": "{outlet}",
                "updated_since": "{since:%Y-%m-%dT%H:%M:%S}+00:00",  # voids and refunds change the sale
                "count": "100",
            },
            records="data",
            fetch=PAGES,
            cursor=Cursor(lookback=timedelta(days=1), open_ended=True),
            tables=(
                Table("sales", records.Sale, key=("id",), version="updated_at"),
                Table("carts", records.Cart, key=("id",), path="carts"),
                Table("payments", records.Payment, key=("id",), path="payments"),
                Table("refunds", records.Refund, key=("id",), path="refunds"),
                Table(
                    "refund_carts",
                    records.RefundCart,
                    key=("cart_id",),
                    path="refunds.carts",
                    inherit={"refund_id": "refunds.id"},
                ),
            ),
            marks_complete=True,
            evidence=Evidence.INFERRED,
            description="Sales with lines, payments and refunds, by their last change.",
        ),
    ),
)
