"""A local Olsera over the simulated company: every outlet on Olsera is a store with an app of its own.

Olsera publishes no contract. Paths, envelopes and fields are those that public clients of the live service use. Its
manners on purpose: 404 where there is no data, a token that decides the store, orders that are paid and not yet closed
in another list, cancelled orders in none, totals under a key that differs from store to store, numbers as text in
every second store, add-ons that are inside `amount` already, reports in Indonesian numbers.

What no client shows is decided here: tax, service charge, rounding, payments and the discount's name on an order's
details, sources of marketplace and catering orders, and returns as orders of their own with negative quantities that
name the order they return (`return_of_order_id`). One order in nine is closed only half a day after it was paid.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

from ingestion.sandbox.model import SimLine, SimOutlet, SimProduct
from ingestion.sandbox.server import Request, Response, json_response
from ingestion.sandbox.tills import Bill, TillSandbox, page_of, sizes, sold_as

STORE_IDS = 61_000
PRODUCT_IDS = 400_000
VARIANT_IDS = 700_000
MODE_IDS = {"cash": 1, "debit": 2, "credit_card": 3, "qris": 4, "ewallet": 5, "platform": 6, "transfer": 7}
TOKEN_SECONDS = 3600
STAYS_OPEN = timedelta(hours=12)
TOTAL_KEYS = ("total_amount", "grand_total", "total_after_discount", "total", "nett_sales", "total_payment")
SOURCES = {"Dine In": "D", "Take Away": "T", "Delivery": "DV"}
SERVER_ZONE = timedelta(hours=1)  # by which the server's own times are wrong
API = "/api/open-api/v1/"


def error(status: int, message: str) -> Response:
    return json_response({"error": {"status_code": status, "message": message}}, status)


def indonesian(amount: Decimal) -> str:
    """173000 as 173.000, and 4281.25 as 4.281,25."""
    return f"{amount:,}".translate(str.maketrans(",.", ".,"))


def clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


class OlseraSandbox(TillSandbox):
    vendor = "olsera"

    def vendor_id(self, outlet: SimOutlet) -> str:
        return str(STORE_IDS + outlet.number)

    def credentials(self) -> dict[str, str]:
        apps = {"app_id": "c4-sandbox-olsera-app", "secret_key": "c4-sandbox-olsera-secret"}
        return {name: " ".join(f"{store}:{stem}-{store}" for store in self.tills) for name, stem in apps.items()}

    def handle(self, request: Request) -> Response:
        if (request.method, request.path) == ("POST", f"{API}id/token"):
            return self._grant(request)
        store = self.holder(request)
        if store is None:
            return error(401, "Unauthenticated.")
        answers: dict[str, Callable[[Request, str], Response]] = {
            "id/product": self._products,
            "id/order/openorder": lambda asked, its: self._orders(asked, its, is_open=True),
            "id/order/closeorder": lambda asked, its: self._orders(asked, its, is_open=False),
            "id/order/openorder/detail": lambda asked, its: self._detail(asked, its, is_open=True),
            "id/order/closeorder/detail": lambda asked, its: self._detail(asked, its, is_open=False),
            "en/report/salesitemspergroup": self._sales_per_group,
        }
        answer = answers.get(request.path.removeprefix(API))
        if request.method != "GET" or answer is None:
            return json_response({"message": f"The route {request.path.lstrip('/')} could not be found."}, 404)
        return answer(request, store)

    def _grant(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        given = tuple(form.get(name, "").rpartition("-")[::2] for name in ("app_id", "secret_key"))
        for store in self.tills:
            if given == (("c4-sandbox-olsera-app", store), ("c4-sandbox-olsera-secret", store)):
                token = {"access_token": self.grant(store), "refresh_token": f"refresh-{store}", "token_type": "Bearer"}
                return json_response(token | {"expires_in": TOKEN_SECONDS})
        return error(401, "Invalid app id or secret key.")

    # Menu

    def _products(self, request: Request, store: str) -> Response:
        return self._page(request, [self._product(store, product) for product in self.company.menu(self.tills[store])])

    def _product(self, store: str, product: SimProduct) -> dict[str, Any]:
        variants = [
            {"id": VARIANT_IDS + product.number * 10 + number, "name": name, "sku": product.sku, "price": price}
            for number, name, price in sizes(product)
        ]
        return {
            "id": PRODUCT_IDS + product.number,
            "name": product.name,
            "sku": product.sku,
            "klasifikasi": product.category,
            "price": self._number(store, product.price),
            "variants": variants,
        }

    # Orders

    def _closes_at(self, bill: Bill) -> datetime:
        return bill.known_at + (STAYS_OPEN if bill.number // 10 % 9 == 0 else timedelta())

    def _listed(self, store: str, is_open: bool) -> list[Bill]:
        now = self.clock.now()
        return [
            bill
            for bill in reversed(self.bills(store))
            if not bill.is_voided and (self._closes_at(bill) > now) is is_open
        ]

    def _orders(self, request: Request, store: str, *, is_open: bool) -> Response:
        first, last = (date.fromisoformat(request.arg(name)) for name in ("start_date", "end_date"))
        found = [bill for bill in self._listed(store, is_open) if first <= bill.day <= last]
        if is_open and request.arg("is_paid") != "1":
            found = []  # the unpaid ones, of which the company has none
        return self._page(request, [self._header(store, bill) for bill in found])

    def _page(self, request: Request, rows: Sequence[Any]) -> Response:
        if not rows:
            return error(404, "Data not found")
        shown, pages = page_of(rows, request)
        page = int(request.arg("page", "1"))
        following = f"?page={page + 1}" if page < pages else None
        meta = {"current_page": page, "last_page": pages, "total": len(rows)}
        return json_response({"data": shown, "links": {"next": following}, "meta": meta})

    def _detail(self, request: Request, store: str, *, is_open: bool) -> Response:
        for bill in self._listed(store, is_open):
            if str(bill.number) == request.arg("id"):
                return json_response({"data": self._order(store, bill)})
        return error(404, "Data not found")

    def _header(self, store: str, bill: Bill) -> dict[str, Any]:
        check, local = bill.check, bill.local()
        server = clock(bill.known_at.replace(tzinfo=None) + SERVER_ZONE)
        return {
            "id": bill.number,
            "order_no": f"{'R' if bill.refund else 'S'}{bill.number}",
            "order_date": f"{bill.day} 00:00:00",
            "order_time": clock(local),
            "created_time": server,
            "modified_time": server,
            "customer_id": 0,
            "customer_name": None,
            "table_no": check.table,
            "sales_by_name": check.cashier,
            "serve_by_name": "-",
            "order_source": SOURCES.get(check.sales_type, check.sales_type),
            TOTAL_KEYS[int(store) % len(TOTAL_KEYS)]: self._number(store, bill.sign * bill.money.total),
        }

    def _order(self, store: str, bill: Bill) -> dict[str, Any]:
        money, sign = bill.money, bill.sign
        payment = {
            "id": bill.number,
            "payment_mode_id": MODE_IDS.get(bill.check.tender, 8),
            "payment_mode_name": bill.check.tender_name.upper(),
            "amount": self._number(store, sign * money.total),
            "payment_date": clock(bill.local()),
        }
        return {
            **self._header(store, bill),
            "orderitems": [self._item(store, bill, place, line) for place, line in enumerate(bill.lines, start=1)],
            "tax_amount": self._number(store, sign * money.tax),
            "service_charge_amount": self._number(store, sign * money.service),
            "discount_amount": self._number(store, sign * sum(line.discount + line.comp for line in bill.lines)),
            "rounding": self._number(store, sign * money.rounding),
            "is_paid": 1,
            "is_void": 0,
            "return_of_order_id": bill.number // 10 * 10 if bill.refund else 0,
            "payments": [payment],
        }

    def _item(self, store: str, bill: Bill, place: int, line: SimLine) -> dict[str, Any]:
        variant, extras = sold_as(line)
        addon = sum((modifier.price for modifier in extras), Decimal(0))
        product = line.product
        return {
            "id": bill.number * 100 + place,
            "product_id": PRODUCT_IDS + product.number,
            "product_name": product.name,
            "product_variant_id": VARIANT_IDS + product.number * 10 + variant[0] if variant else 0,
            "product_variant_name": variant[1] if variant else None,
            "product_sku": product.sku,
            "qty": bill.sign * line.quantity,
            "price": self._number(store, line.unit_price - addon),
            "addon_price": self._number(store, addon),
            "discount": self._number(store, bill.sign * (line.discount + line.comp)),
            "discount_name": line.discount_name or line.comp_name or None,
            "amount": self._number(store, bill.sign * line.net),
            "cost_amount": self._number(store, product.unit_cost * line.quantity),
        }

    def _number(self, store: str, amount: Decimal | int) -> Decimal | str:
        """Every second store's version writes numbers as text."""
        return f"{amount:.4f}" if int(store) % 2 else Decimal(amount)

    # Report

    def _sales_per_group(self, request: Request, store: str) -> Response:
        first, last = (date.fromisoformat(request.arg(name)) for name in ("from", "to"))
        groups: dict[str, Decimal] = defaultdict(Decimal)
        for bill in self.bills(store):
            if not bill.is_voided and first <= bill.day <= last:
                for line in bill.lines:
                    groups[line.product.category] += bill.sign * line.net
        if not groups:
            return error(404, "Data not found")
        return json_response([{"label": label, "value": indonesian(value)} for label, value in groups.items()])


SANDBOX = OlseraSandbox
