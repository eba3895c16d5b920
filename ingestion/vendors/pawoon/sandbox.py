"""A local Pawoon over the simulated company: one company account with the outlets that are on Pawoon.

Pawoon publishes no contract. Paths, parameters and the fields of lists are those that public clients of the live host
use; everything deeper in a transaction, error bodies and the summary's treatment of refunds are decided here. Its
manners on purpose: local times without offset, a useless price on products with variants, newest rows first, so that a
late one moves the pages, numbers as text at every second outlet, an outer envelope with a status on reports, refunds
as transactions of their own in positive amounts, voids that flip the status of what was paid.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from ingestion.sandbox.model import SimLine, SimOutlet, SimProduct
from ingestion.sandbox.server import Request, Response, json_response
from ingestion.sandbox.tills import Bill, TillSandbox, page_of, sizes, sold_as

CLIENT_ID = "c4-sandbox-pawoon-client"
CLIENT_SECRET = "c4-sandbox-pawoon-secret"
TOKEN_SECONDS = 31_536_000
METHODS = {"Credit Card": "credit", "Debit Card": "debit"}


def error(status: int, message: str) -> Response:
    return json_response({"message": message}, status)


def uuid_of(*parts: object) -> str:
    return str(uuid5(NAMESPACE_URL, "/".join(map(str, ("pawoon", *parts)))))


class PawoonSandbox(TillSandbox):
    vendor = "pawoon"

    def vendor_id(self, outlet: SimOutlet) -> str:
        return uuid_of("outlet", outlet.outlet_id)

    def credentials(self) -> dict[str, str]:
        return {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}

    def handle(self, request: Request) -> Response:
        if (request.method, request.path) == ("POST", "/oauth/token"):
            return self._grant(request)
        if self.holder(request) is None:
            return error(401, "Unauthenticated.")
        if request.method != "GET":
            return error(405, "Method not allowed.")
        if request.path == "/outlets":
            return self._page(request, [self._outlet(key, outlet) for key, outlet in self.tills.items()])
        receipt = re.fullmatch(r"/transactions/([0-9a-f-]+)", request.path)
        if receipt:
            return self._one(receipt[1])
        key = request.arg("outlet_id")
        if key not in self.tills:
            return error(404, "Outlet not found.")
        if request.path == "/products":
            return self._page(request, [self._product(key, product) for product in self._menu(key)])
        variants = re.fullmatch(r"/products/([0-9a-f-]+)/variants", request.path)
        if variants:
            return self._page(request, self._variants(key, variants[1]))
        if request.path == "/transactions":
            return self._page(request, [self._transaction(key, bill) for bill in reversed(self._window(request, key))])
        if request.path == "/reports/summary":
            return self._summary(request, key)
        return error(404, "Not found.")

    def _grant(self, request: Request) -> Response:
        try:
            form = request.json()
        except json.JSONDecodeError:
            form = {}
        expected = {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        if form != expected:
            return json_response({"error": "invalid_client", "message": "Client authentication failed"}, 401)
        token = {"token_type": "Bearer", "expires_in": TOKEN_SECONDS, "access_token": self.grant(CLIENT_ID)}
        return json_response(token)

    def _page(self, request: Request, rows: Sequence[Any]) -> Response:
        shown, pages = page_of(rows, request)
        size = int(request.arg("per_page", "15"))
        meta = {
            "total": len(rows),
            "per_page": size,
            "current_page": int(request.arg("page", "1")),
            "last_page": pages,
        }
        return json_response({"data": shown, "meta": meta})

    def _outlet(self, key: str, outlet: SimOutlet) -> dict[str, Any]:
        return {"id": key, "name": outlet.name, "address": outlet.city, "phone": "", "timezone": outlet.timezone}

    # Menu

    def _menu(self, key: str) -> Sequence[SimProduct]:
        return self.company.menu(self.tills[key])

    def _product(self, key: str, product: SimProduct) -> dict[str, Any]:
        has_variant = bool(sizes(product))
        return {
            "id": uuid_of(key, product.sku),
            "name": product.name,
            "price": 0 if has_variant else self._number(key, product.price),
            "has_variant": has_variant,
            "category": {"id": uuid_of("category", product.category), "name": product.category},
            "sku": product.sku,
            "image": None,
            "is_active": True,
        }

    def _variants(self, key: str, product_id: str) -> list[dict[str, Any]]:
        return [
            {"id": uuid_of(product_id, number), "name": name, "price": self._number(key, price), "sku": product.sku}
            for product in self._menu(key)
            if uuid_of(key, product.sku) == product_id
            for number, name, price in sizes(product)
        ]

    # Transactions

    def _window(self, request: Request, key: str, kind: str = "device_timestamp") -> list[Bill]:
        """The bills whose local time lies between the two bounds of a request, both included."""
        first, last = (datetime.fromisoformat(request.arg(f"{end}_{kind}")) for end in ("start", "end"))
        return [bill for bill in self.bills(key) if first <= bill.local().replace(tzinfo=None, microsecond=0) <= last]

    def _one(self, uid: str) -> Response:
        for key in self.tills:
            for bill in self.bills(key):
                if bill.uid == uid:
                    return json_response({"status": 200, "message": "OK", "data": self._transaction(key, bill)})
        return error(404, "Transaction not found.")

    def _transaction(self, key: str, bill: Bill) -> dict[str, Any]:
        check, money, lines = bill.check, bill.money, bill.lines
        gross = sum((line.gross for line in lines), Decimal(0))
        discount = sum((line.discount + line.comp for line in lines), Decimal(0))
        stamp = f"{bill.local():%Y-%m-%d %H:%M:%S}"
        tax = {
            "id": uuid_of(bill.uid, "tax"),
            "name": "PB1",
            "percentage": self._number(key, check.outlet.tax_rate * 100),
            "amount": self._number(key, money.tax),
            "is_inclusive": False,
        }
        return {
            "id": bill.uid,
            "receipt_code": f"{check.number}{'-R' if bill.refund else ''}",
            "outlet_id": key,
            "device_id": uuid_of(key, "tablet"),
            "cashier": {"id": uuid_of("cashier", check.cashier), "name": check.cashier},
            "device_timestamp": stamp,
            "created_at": f"{bill.known_at:%Y-%m-%d %H:%M:%S}",
            "updated_at": f"{bill.changed_at:%Y-%m-%d %H:%M:%S}",
            "status": "refund" if bill.refund else "void" if bill.is_voided else "paid",
            "subtotal": self._number(key, gross),
            "total_discount": self._number(key, discount),
            "total_service_charge": self._number(key, money.service),
            "total_tax": self._number(key, money.tax),
            "rounding": self._number(key, money.rounding),
            "final_amount": self._number(key, money.total),
            "company_sales_type": {"id": uuid_of("sales type", check.sales_type), "name": check.sales_type},
            "items": [self._item(key, bill, line) for line in lines],
            "payments": [
                {
                    "method": METHODS.get(check.tender_name, check.tender_name.lower().replace(" ", "_")),
                    "amount": self._number(key, money.total),
                    "reference": None,
                    "paid_at": stamp,
                }
            ],
            "taxes": [tax],
            "void_reason": "Cancelled order" if bill.is_voided else None,
            "refunded_transaction_id": check.uid if bill.refund else None,
        }

    def _item(self, key: str, bill: Bill, line: SimLine) -> dict[str, Any]:
        variant, extras = sold_as(line)
        modifiers = [
            {"id": uuid_of("modifier", extra.number), "name": extra.option, "price": self._number(key, extra.price)}
            for extra in extras
        ]
        product, product_id = line.product, uuid_of(key, line.product.sku)
        return {
            "id": uuid_of(bill.uid, line.uid),
            "product_id": product_id,
            "variant_id": uuid_of(product_id, variant[0]) if variant else None,
            "name": product.name,
            "category": {"id": uuid_of("category", product.category), "name": product.category},
            "qty": line.quantity,
            "price": self._number(key, line.unit_price - sum(extra.price for extra in extras)),
            "discount": self._number(key, line.discount + line.comp),
            "discount_name": line.discount_name or line.comp_name or None,
            "amount": self._number(key, line.net),
            "modifiers": [{**modifier, "qty": 1} for modifier in modifiers],
            "notes": "",
        }

    def _number(self, key: str, amount: Decimal) -> Decimal | str:
        """Every second outlet's tablets write numbers as text."""
        return str(amount) if self.tills[key].number % 2 else amount

    def _summary(self, request: Request, key: str) -> Response:
        totals = dict.fromkeys(("gross_sales", "discount", "refund", "net_sales"), Decimal(0))
        for bill in self._window(request, key, "datetime"):
            if bill.is_voided:
                continue
            for line in bill.lines:
                if bill.refund:
                    totals["refund"] += line.net
                else:
                    totals["gross_sales"] += line.gross
                    totals["discount"] += line.discount + line.comp
        totals["net_sales"] = totals["gross_sales"] - totals["discount"] - totals["refund"]
        return json_response({"status": 200, "message": "OK", "data": totals})


SANDBOX = PawoonSandbox
