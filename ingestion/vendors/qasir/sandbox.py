"""A local Qasir over the simulated company, by the contract that we propose to Qasir (see the connector's README).

Envelope, paging, texts for amounts and the shape of a sale are those of the vendor's dashboard traffic, of which one
third-party capture exists; the addresses, the API key, `updated_since`, applied payments and refunds with their own
tax, service charge and rounding are ours. Its manners on purpose: paging that ends by a missing `next`, cash with its
change beside what was applied, refunds inside the sale, calendar days without a cut-off, refusals within HTTP 200
where the dashboard's services have them (`code` in the envelope).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from ingestion.sandbox.model import SimCheck, SimLine, SimOutlet, SimProduct
from ingestion.sandbox.server import Request, Response, json_response
from ingestion.sandbox.tills import Bill, TillSandbox, page_of, sizes, sold_as

API_KEY = "c4-sandbox-qasir-api-key"
OUTLET_IDS = 8_100
PRODUCT_IDS = 52_000
CATEGORY_IDS = 3_000


def refusal(code: int, message: str) -> Response:
    return json_response({"code": code, "message": message}, code)


def money(amount: Decimal | int) -> str:
    return f"{amount:.2f}"


def number_of(name: str) -> int:
    """A stable id for what the company knows by name only."""
    return zlib.crc32(name.encode()) % 90_000 + 10_000


def variants_of(product: SimProduct) -> list[tuple[int, str, Decimal]]:
    """Here every product has a variant; one of one size has a nameless one."""
    return sizes(product) or [(0, "", product.price)]


class QasirSandbox(TillSandbox):
    vendor = "qasir"

    def vendor_id(self, outlet: SimOutlet) -> str:
        return str(OUTLET_IDS + outlet.number)

    def credentials(self) -> dict[str, str]:
        return {"api_key": API_KEY}

    def settings(self, base_url: str) -> dict[str, str]:
        return {"base_url": f"{base_url}/v1"}

    def handle(self, request: Request) -> Response:
        if request.headers.get("X-Api-Key") != API_KEY:
            return refusal(401, "API key is not valid")
        path, key = request.path, request.arg("outlet_id")
        if request.method != "GET" or path not in ("/v1/outlets", "/v1/products", "/v1/sales"):
            return refusal(404, "Not found")
        if path == "/v1/outlets":
            return self._page(request, [self._outlet(key, outlet) for key, outlet in self.tills.items()])
        if key not in self.tills:
            return refusal(422, "outlet_id is not valid")
        if path == "/v1/products":
            menu = self.company.menu(self.tills[key])
            return self._page(request, [self._product(key, product) for product in menu])
        return self._page(request, [self._sale(key, bill) for bill in self._changed(request, key)])

    def _page(self, request: Request, rows: Sequence[Any]) -> Response:
        shown, pages = page_of(rows, request, "count")
        page = int(request.arg("page", "1"))
        pagination: dict[str, Any] = {
            "current_page": page,
            "page_size": len(shown),
            "total_page": pages,
            "total_result": len(rows),
        }
        if page < pages:
            query = {name: values[0] for name, values in request.query.items()} | {"page": page + 1}
            pagination["next"] = f"{request.path}?{urlencode(query)}"
        envelope = {"code": 200, "message": "OK", "data": shown, "pagination": pagination}
        return json_response(envelope | {"trace_id": f"{number_of(request.path):08x}"})

    def _outlet(self, key: str, outlet: SimOutlet) -> dict[str, Any]:
        return {"id": int(key), "name": outlet.name, "timezone": outlet.timezone, "is_active": True}

    def _product(self, key: str, product: SimProduct) -> dict[str, Any]:
        variants = [
            {"id": self._variant_id(key, product, number), "name": name, "sku": product.sku, "price": money(price)}
            for number, name, price in variants_of(product)
        ]
        return {
            "id": PRODUCT_IDS + product.number,
            "name": product.name,
            "category": {"id": CATEGORY_IDS + number_of(product.category), "name": product.category},
            "variants": variants,
            "is_active": True,
            "updated_at": f"{self.company.start}T00:00:00+07:00",
        }

    def _variant_id(self, key: str, product: SimProduct, number: int) -> int:
        return int(key) * 1000 + product.number * 10 + number

    # Sales

    def _changed(self, request: Request, key: str) -> list[Bill]:
        """Sales that changed since a moment, or of whole calendar days; the longest unchanged first."""
        sales = [bill for bill in self.bills(key) if bill.refund is None]
        if request.arg("updated_since"):
            since = datetime.fromisoformat(request.arg("updated_since"))
            sales = [bill for bill in sales if bill.changed_at >= since]
        else:
            first, last = (date.fromisoformat(request.arg(name)) for name in ("start_date", "end_date"))
            sales = [bill for bill in sales if first <= bill.day <= last]
        return sorted(sales, key=lambda bill: (bill.changed_at, bill.number))

    def _sale(self, key: str, bill: Bill) -> dict[str, Any]:
        check = bill.check
        zone = ZoneInfo(check.outlet.timezone)
        refunds = [other for other in self.bills(key) if other.refund is not None and other.check is check]
        given_back = sum((refund.money.total for refund in refunds), Decimal(0))
        status = "refunded" if given_back >= check.total else "partially_refunded"
        return {
            "id": self._id(key, bill.number),
            "mobile_sales_id": check.uid,
            "invoice_number": f"INV/{key}/{check.number}",
            "outlet_id": int(key),
            "status": "cancelled" if bill.is_voided else status if refunds else "settled",
            "business_date": str(bill.day),
            "settled_at": bill.local().isoformat(timespec="seconds"),
            "updated_at": bill.changed_at.astimezone(zone).isoformat(timespec="milliseconds"),
            "cashier": {"id": number_of(check.cashier), "name": f"{check.cashier} "},
            "sales_type": check.sales_type,
            "sub_total": money(check.gross),
            "total_discounts": money(check.discounts + check.comps),
            "total_tax": money(check.tax),
            "service_charge": money(check.service),
            "rounding": money(check.rounding),
            "total_bill": money(check.total),
            "refund_amount": money(given_back),
            "tax_inclusive": False,
            "carts": [self._cart(key, bill, place, line) for place, line in enumerate(check.lines, start=1)],
            "payments": [self._payment(key, bill)],
            "refunds": [self._refund(key, bill, refund) for refund in refunds],
        }

    def _id(self, key: str, number: int, place: int = 0) -> int:
        return (int(key) * 10**9 + number) * 100 + place

    def _cart(self, key: str, bill: Bill, place: int, line: SimLine) -> dict[str, Any]:
        variant, extras = sold_as(line)
        number, name, _ = variant or variants_of(line.product)[0]
        each = sum((extra.price for extra in extras), Decimal(0))
        product = line.product
        return {
            "id": self._id(key, bill.number, place),
            "price_sell": money(line.unit_price - each),
            "quantity": line.quantity,
            "total_modifier_amount": money(each * line.quantity),
            "total_discount": money(line.discount + line.comp),
            "discount_name": line.discount_name or line.comp_name or None,
            "sub_total": money(line.gross),
            "total": money(line.net),
            "variant": {
                "id": self._variant_id(key, product, number),
                "variant_name": name,
                "variant_sku": product.sku,
                "modifiers": [{"name": extra.option, "price": money(extra.price)} for extra in extras],
                "product": {
                    "id": PRODUCT_IDS + product.number,
                    "name": product.name,
                    "category_id": CATEGORY_IDS + number_of(product.category),
                },
            },
        }

    def _payment(self, key: str, bill: Bill) -> dict[str, Any]:
        check: SimCheck = bill.check
        return {
            "id": self._id(key, bill.number),
            "payment_mode": check.tender_name.upper(),
            "amount": money(check.total),
            "tendered": money(check.tendered),
            "change": money(check.change),
            "paid_at": bill.local().isoformat(timespec="seconds"),
            "reference_number": None,
        }

    def _refund(self, key: str, sale: Bill, refund: Bill) -> dict[str, Any]:
        given = refund.money
        places = {line.uid: place for place, line in enumerate(sale.check.lines, start=1)}
        return {
            "id": self._id(key, refund.number),
            "refunded_at": refund.local().isoformat(timespec="seconds"),
            "amount": money(given.total),
            "total_tax": money(given.tax),
            "service_charge": money(given.service),
            "rounding": money(given.rounding),
            "carts": [
                {
                    "cart_id": self._id(key, sale.number, places[line.uid]),
                    "quantity": line.quantity,
                    "amount": money(line.net),
                }
                for line in refund.lines
            ],
        }


SANDBOX = QasirSandbox
