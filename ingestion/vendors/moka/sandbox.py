"""A local Moka over the simulated company: one business whose outlets are the company's outlets on Moka.

Written from Moka's Swagger document (paths, envelope, errors, and the field names and signs of its examples, which win
over its schemas). Its manners on purpose: 415 without a JSON content type, +07:00 wherever the outlet is, fractions of
a rupiah on lines and none on receipts, refunds inside the receipt they refund with negative amounts and positive
modifiers, `is_refunded` false all the same, a next_url of another host and version with a token in it.

What the document leaves open is decided here: a void or a refund gives its receipt a new `updated_at` and
`synchronized_at`, `until` is exclusive, reports count a refund on the outlet's local calendar day on which it is made.
"""

from __future__ import annotations

import json
import re
import zlib
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from operator import itemgetter
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import msgspec

from ingestion.sandbox.clock import Clock
from ingestion.sandbox.model import SimCheck, SimLine, SimModifier, SimOutlet, SimProduct, SimRefund
from ingestion.sandbox.packed import PackedRows
from ingestion.sandbox.pricing import allocate
from ingestion.sandbox.server import Request, Response, Sandbox, encoded, json_response
from ingestion.sandbox.webhooks import Delivery

if TYPE_CHECKING:
    from ingestion.sandbox.company import Company

CLIENT_ID = "c4-sandbox-moka-client"
CLIENT_SECRET = "c4-sandbox-moka-secret"
WEBHOOK_SECRET = "c4-sandbox-moka-callbacks"
FIRST_REFRESH_TOKEN = "c4-sandbox-moka-refresh-0"
TOKEN_SECONDS = 15_552_000
SCOPES = "profile report customer library transaction"

BUSINESS_ID = 4011
OUTLET_IDS = 27_000  # each kind of id begins at its own number
CATEGORY_IDS = 94_000_000
ITEM_IDS = 1_181_000_000
VARIANT_IDS = 1_784_000_000
MODIFIER_IDS = 16_000_000
OPTION_IDS = 95_000_000
TAX_ID = 40475
GRATUITY_ID = 592604

WIB = timezone(timedelta(hours=7))
FLOAT = Decimal("0.0")  # added to an amount, it is written like a float: 64000.0
ZERO = Decimal(0)
ONE = Decimal(1)
CARDS = ("Credit Card", "Debit Card")
DEFAULT_PER_PAGE = 50
ORDERED_BY_API = ("delivery_own", "delivery_platform")
CACHED_RECEIPTS = 20_000
CACHED_PAGE_BYTES = 32 * 2**20


def all_of(value: Any, names: str) -> dict[str, Any]:
    return dict.fromkeys(names.split(), value)


# What a café's records hold in fields that tell nothing about it.
NOT_DELETED = {"is_deleted": False} | all_of(None, "guid uniq_id")
OUTLET_REST = (
    all_of("", "address phone_number province postal_code")
    | all_of(None, "latitude longitude notes")
    | all_of(False, "is_deleted importing exporting")
)
VARIANT_REST = (
    NOT_DELETED
    | all_of(0, "in_stock stock_alert position add_inventory")
    | all_of(False, "track_stock alert")
    | all_of(True, "track_cogs is_saved")
    | {"last_modified": None, "sales_type_items": []}
)
ITEM_REST = (
    NOT_DELETED
    | all_of("", "description background_color principal_name")
    | all_of(False, "is_recipe is_sales_type_price alert is_ecommerce")
    | all_of(0, "brand_id principal_id weight height width length pre_order_days")
    | {"image": {"url": "", "id": 0, "height": 0, "width": 0}, "images": [], "condition": "New"}
)
NO_CARD = all_of(
    None,
    "card_type card_no pg_mid mpos_device_id transaction_certificate transaction_status_info mpos_transaction_date "
    "merchant_id transaction_reference transaction_number order_info cc_name pii customer_id invoice_due_date "
    "invoice_no invoice_deposit_amount",
)
PAYMENT_REST = (
    NO_CARD
    | all_of(None, "payment_note invoice_payment_records customer_name loyalty")
    | all_of("", "customer_phone customer_email")
    | all_of(0, "total_item_price_amount refund_amount")
    | all_of(True, "include_gratuity_tax enable_tax")
    | {"is_refunded": False, "payment_discounts": []}
)
CHECKOUT_REST = (
    all_of(None, "note bundle_id item_type")
    | all_of("", "item_variant_name item_image principal_name")
    | all_of(0, "item_discount position item_price_discount_gratuity principal_id")
    | all_of(FLOAT, "cogs redeem_amount custom_amount")
    | all_of(False, "is_deleted track_stock is_program_item is_recipe")
    | {"business_id": BUSINESS_ID}
)
REFUND_REST = (
    NO_CARD
    | all_of(
        None,
        "auth_code pg_setting cashlezz_transaction_id latitude longitude collector_id bill_id cvm_result sms_id "
        "is_offline discount_id shift_id tvr aid order_id invoice_status",
    )
    | all_of("", "customer_name customer_email customer_phone note table_name")
    | all_of(0, "amount_pay amount_change receipt_count total_redeem_amount")
    | all_of(0, "total_custom_price_amount total_item_price_amount")
    | all_of(True, "include_gratuity_tax is_sales_type is_refunded is_refund_breakdown")
    | all_of(False, "is_deleted is_loyalty")
    | all_of(5658, "created_by server_id")
    | all_of("AFTER_DISCOUNT", "tax_type gratuity_type")
    | {"business_id": BUSINESS_ID, "server_title": "Cashier", "uniq_id": "0", "status": "Done"}
    | {"payment_discounts": []}
)

ERRORS = {
    "token": (401, "The access token is invalid", "Doorkeeper::OAuth::InvalidTokenResponse"),
    "type": (
        415,
        "Please use 'Content-Type: application/json' as your http headers",
        "ApiErrors::SetApplicationJsonAsContentTypeError",
    ),
    "lost": (404, "Resource not found", "ApiErrors::ResourceNotFoundError"),
    "ended": (410, "Service Deprecated", "ApiErrors::TerminatedEndPoint"),
}


def error(status: int, message: str, kind: str) -> Response:
    return json_response({"data": {}, "meta": {"code": status, "error_message": message, "error_type": kind}}, status)


def success(data: Any) -> Response:
    return json_response({"data": data, "meta": {"code": 200, "errors": {}}})


def wib(moment: datetime) -> str:
    return moment.astimezone(WIB).isoformat(timespec="microseconds")


def whole(amount: Decimal) -> Decimal:
    return amount.quantize(ONE, ROUND_HALF_UP)


def reduction(line: SimLine) -> Decimal:
    """Moka knows no comps: they are discounts of 100 % with a name."""
    return line.discount + line.comp


def sibling(uid: str, version: str) -> str:
    """Another UUID made from one, by the digit of its version; the company's own are all of version 4."""
    return f"{uid[:14]}{version}{uid[15:]}"


def guid_of(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


def number_of(name: str) -> int:
    """A stable id for what the company knows by name only."""
    return zlib.crc32(name.encode()) % 900_000 + 100_000


@dataclass(slots=True)
class DayTotals:
    """Moka's own figures of one outlet and local calendar day."""

    gross: Decimal = ZERO
    discounts: Decimal = ZERO
    refunds: Decimal = ZERO
    gratuities: Decimal = ZERO
    taxes: Decimal = ZERO
    rounding: Decimal = ZERO
    collected: Decimal = ZERO
    transactions: int = 0
    methods: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(lambda: [0, ZERO]))

    def sale(self, check: SimCheck) -> None:
        self.gross += check.gross
        self.discounts += check.discounts + check.comps
        self.transactions += 1
        self.methods[check.tender_name][0] += 1
        self._move(check, check, 1)

    def refund(self, check: SimCheck, refund: SimRefund) -> None:
        self.refunds += refund.net
        self._move(check, refund, -1)

    def _move(self, check: SimCheck, amounts: SimCheck | SimRefund, sign: int) -> None:
        self.gratuities += sign * amounts.service
        self.taxes += sign * amounts.tax
        self.rounding += sign * amounts.rounding
        self.collected += sign * amounts.total
        self.methods[check.tender_name][1] += sign * amounts.total

    def add(self, other: DayTotals) -> None:
        for name in ("gross", "discounts", "refunds", "gratuities", "taxes", "rounding", "collected", "transactions"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for method, (count, amount) in other.methods.items():
            self.methods[method][0] += count
            self.methods[method][1] += amount

    def summary(self) -> dict[str, Any]:
        return {
            "gross_sales": self.gross + FLOAT,
            "discounts": self.discounts + FLOAT,
            "refunds": self.refunds + FLOAT,
            "net_sales": self.gross - self.discounts - self.refunds + FLOAT,
            "gratuities": self.gratuities + FLOAT,
            "taxes": self.taxes + FLOAT,
            "total_collected": self.collected + FLOAT,
            "number_of_transactions": self.transactions,
            "rounding_amount": self.rounding,
            "redemption": 0,
        }

    def payment_methods(self) -> dict[str, Any]:
        def group(names: Iterable[str]) -> list[dict[str, Any]]:
            return [
                {
                    "payment_type": name,
                    "number_of_transactions": self.methods[name][0],
                    "collected": self.methods[name][1] + FLOAT,
                }
                for name in names
            ]

        cards = [name for name in CARDS if name in self.methods]
        other = sorted(self.methods.keys() - {"Cash", *CARDS})
        reports = {"cash_or_card": group(["Cash", *cards]), "invoice": group(["Invoice"]), "other": group(other)}
        return {
            "total_number_of_transactions": self.transactions,
            "total_collected": self.collected + FLOAT,
            "reports": reports,
        }


class MokaSandbox(Sandbox):
    vendor = "moka"
    kept = ("_edited",)

    def __init__(self, company: Company, clock: Clock) -> None:
        super().__init__(company, clock)
        self._outlets = {OUTLET_IDS + o.number: o for o in company.outlets if o.pos == "moka"}
        self._tokens: set[str] = set()
        self._refresh_token = FIRST_REFRESH_TOKEN
        self._granted = 0
        self._codes: dict[str, str] = {}  # authorisation code -> where it was sent to
        self._now = clock.now()
        self._receipts: OrderedDict[int, list[tuple[float, SimCheck]]] = OrderedDict()
        self._days: dict[int, dict[date, DayTotals]] = {}
        self._pages: OrderedDict[str, bytes] = OrderedDict()
        # receipts made ahead, newest first: when each was changed last and opened, and what is said of it
        self._prepared: dict[int, tuple[list[tuple[float, float]], PackedRows]] = {}
        self._edited: dict[int, dict[str, Any]] = {}  # items that somebody changed, by id
        self.price_changes: list[tuple[str, str, int, int]] = []  # outlet, SKU, old and new: writes that took effect
        self._routes: tuple[tuple[re.Pattern[str], Callable[[Request, SimOutlet], Response]], ...] = (
            (re.compile(r"/v1/outlets/(\d+)/categories"), self._categories),
            (re.compile(r"/v1/outlets/(\d+)/items"), self._items),
            (re.compile(r"/v4/outlets/(\d+)/reports/get_latest_transactions"), self._latest_transactions),
            (re.compile(r"/v2/outlets/(\d+)/reports/sales_summary"), self._sales_summary),
            (re.compile(r"/v2/outlets/(\d+)/reports/payment_methods"), self._payment_methods),
            (re.compile(r"/v[12]/outlets/(\d+)/reports/get_latest_transactions"), lambda *_: error(*ERRORS["ended"])),
        )

    def credentials(self) -> dict[str, str]:
        return {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "webhook_secret": WEBHOOK_SECRET}

    def webhooks(self, since: datetime, until: datetime) -> Iterator[Delivery]:
        """Callbacks of the orders that were placed through the API, here the outlets' own deliveries: `completed` when
        the receipt is there, `rejected` when it is cancelled. Their URL was given with the order, secret and all.
        """
        moments = [
            (at, number, check.number, status)
            for number, outlet in self._outlets.items()
            for check in self.company.checks(outlet.outlet_id)
            if check.channel in ORDERED_BY_API
            for at, status in ((check.known_at, "completed"), (check.void_known_at, "rejected"))
            if at is not None and since < at <= until
        ]
        for at, number, order, status in sorted(moments):
            told = {"outlet_id": number, "application_order_id": order, "status": status}
            yield Delivery(at, json_response(told).body, {}, {"key": WEBHOOK_SECRET})

    def settings(self, base_url: str) -> dict[str, str]:
        return {"base_url": base_url, "business_id": str(BUSINESS_ID)}

    def outlets(self) -> dict[str, str]:
        return {str(number): outlet.outlet_id for number, outlet in self._outlets.items()}

    def expire_tokens(self) -> None:
        with self.lock:
            self._tokens.clear()

    def handle(self, request: Request) -> Response:
        if (request.method, request.path) == ("GET", "/oauth/authorize"):
            return self._authorize(request)
        if (request.method, request.path) == ("POST", "/oauth/revoke"):
            return self._revoke(request)
        if (request.method, request.path) == ("POST", "/oauth/token"):
            return self._grant(request)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        with self.lock:
            if token not in self._tokens:
                return error(*ERRORS["token"])
        if request.headers.get("Content-Type", "").split(";")[0] != "application/json":
            return error(*ERRORS["type"])
        match = re.fullmatch(r"/v1/outlets/(\d+)/items/(\d+)", request.path)
        if match and request.method == "PUT" and (outlet := self._outlets.get(int(match[1]))):
            return self._update_item(request, outlet, int(match[2]))
        if request.method == "GET":
            if request.path == "/v1/profile/self":
                return self._profile()
            if request.path == f"/v1/businesses/{BUSINESS_ID}/outlets":
                return self._business_outlets()
            for pattern, answer in self._routes:
                match = pattern.fullmatch(request.path)
                if match and (outlet := self._outlets.get(int(match[1]))):
                    return answer(request, outlet)
        return error(*ERRORS["lost"])

    # OAuth

    def _authorize(self, request: Request) -> Response:
        """The merchant's consent page; this merchant consents at once."""
        if request.arg("client_id") != CLIENT_ID or request.arg("response_type") != "code":
            return json_response({"error": "invalid_client"}, 401)
        with self.lock:
            self._granted += 1
            code = f"c4-sandbox-moka-code-{self._granted}"
            self._codes[code] = request.arg("redirect_uri")
        answer = urlencode({"code": code, "state": request.arg("state")})
        return Response(302, headers={"Location": f"{request.arg('redirect_uri')}?{answer}"})

    def _revoke(self, request: Request) -> Response:
        form = request.json()
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return json_response({"error": "invalid_client"}, 401)
        with self.lock:
            if form.get("token") == self._refresh_token:
                self._refresh_token = ""
                self._tokens.clear()
        return json_response({})

    def _grant(self, request: Request) -> Response:
        try:
            form = request.json()
        except json.JSONDecodeError:
            form = {}
        client = (form.get("client_id"), form.get("client_secret")) == (CLIENT_ID, CLIENT_SECRET)
        kind = form.get("grant_type")
        with self.lock:
            rotates = kind == "refresh_token" and form.get("refresh_token") == (self._refresh_token or None)
            if kind == "authorization_code":
                rotates = self._codes.pop(str(form.get("code")), None) == form.get("redirect_uri") is not None
            if not client or not (rotates or kind == "client_credentials"):
                return json_response(
                    {"error": "invalid_grant", "error_description": "The provided authorization grant is invalid."}, 401
                )
            self._granted += 1
            token = f"{zlib.crc32(CLIENT_ID.encode()):08x}{self._granted:032x}"
            self._tokens.add(token)
            answer = {
                "access_token": token,
                "token_type": "bearer",
                "expires_in": TOKEN_SECONDS,
                "scope": SCOPES,
                "created_at": int(self.clock.now().timestamp()),
            }
            if rotates:
                self._refresh_token = f"c4-sandbox-moka-refresh-{self._granted}"
                answer["refresh_token"] = self._refresh_token
        return json_response(answer)

    # Profile and library

    def _founded(self) -> str:
        return wib(datetime(self.company.start.year - 2, 1, 1, tzinfo=UTC))

    def _profile(self) -> Response:
        owner = {"id": 3033, "email": "owner@example.com", "first_name": "Owner", "last_name": "", "full_name": "Owner"}
        business = {"business_id": BUSINESS_ID, "business_name": self.company.config.group}
        outlets = {
            "outlet_ids": list(self._outlets),
            "outlet_names": [outlet.name for outlet in self._outlets.values()],
        }
        return json_response(owner | business | outlets)

    def _business_outlets(self) -> Response:
        founded = self._founded()
        stamps = {"created_at": founded, "updated_at": founded, "synchronized_at": founded}
        rows = [
            {
                "id": number,
                "business_id": BUSINESS_ID,
                "name": outlet.name,
                "city": outlet.city,
                **OUTLET_REST,
                **stamps,
                "start_date": founded,
                "end_date": wib(datetime(self.company.start.year + 2, 1, 1, tzinfo=UTC)),
                "is_paying": True,
            }
            for number, outlet in self._outlets.items()
        ]
        return success({"outlets": rows, "total_count": len(rows)})

    def _library(self, request: Request, name: str, rows: Sequence[dict[str, Any]]) -> Response:
        page, size = int(request.arg("page", "1")), int(request.arg("per_page", str(DEFAULT_PER_PAGE)))
        shown = rows[(page - 1) * size : page * size]
        return success({"total_pages": -(-len(rows) // size), "total_count": len(rows), name: shown})

    def _categories(self, request: Request, outlet: SimOutlet) -> Response:
        names = dict.fromkeys(product.category for product in self.company.menu(outlet))
        return self._library(request, "category", [self._category(outlet, name) for name in names])

    def _category(self, outlet: SimOutlet, name: str) -> dict[str, Any]:
        founded = self._founded()
        return {
            "id": self._category_id(outlet, name),
            "name": name,
            "description": None,
            "business_id": BUSINESS_ID,
            "outlet_id": OUTLET_IDS + outlet.number,
            **NOT_DELETED,
            "guid": guid_of(self._category_id(outlet, name)),
            "created_at": founded,
            "updated_at": founded,
            "synchronized_at": founded,
        }

    def _items(self, request: Request, outlet: SimOutlet) -> Response:
        return self._library(request, "items", self._menu(outlet))

    def _menu(self, outlet: SimOutlet) -> list[dict[str, Any]]:
        with self.lock:
            items = [self._item(outlet, product) for product in self.company.menu(outlet)]
            return [self._edited.get(item["id"], item) for item in items]

    def edit_item(self, source_outlet_id: str, sku: str, edit: Callable[[dict[str, Any]], None]) -> None:
        """Somebody changes an item in the back office."""
        with self.lock:
            menu = self._menu(self._outlets[int(source_outlet_id)])
            item = next(item for item in menu if sku in [variant["sku"] for variant in item["item_variants"]])
            item = json.loads(json.dumps(item))
            edit(item)
            self._edited[item["id"]] = item

    def price(self, source_outlet_id: str, sku: str) -> int:
        """What the till asks for a SKU."""
        variants = (v for item in self._menu(self._outlets[int(source_outlet_id)]) for v in item["item_variants"])
        return next(variant["price"] for variant in variants if variant["sku"] == sku and not variant["is_deleted"])

    def _update_item(self, request: Request, outlet: SimOutlet, item_id: int) -> Response:
        """The item as the request says it; a variant that it leaves out is removed."""
        with self.lock:
            item = next((item for item in self._menu(outlet) if item["id"] == item_id), None)
            if item is None:
                return error(422, f"Item {item_id} not found or already removed", "Exception")
            told = request.json().get("item") or {}
            required = ("name", "description", "category_id", "is_sales_type_price", "item_variants")
            if missing := [name for name in required if told.get(name) is None]:
                message = f"param is missing or the value is empty: {missing[0]}"
                return error(400, message, "ActionController::ParameterMissing")
            variants = {variant["id"]: variant for variant in item["item_variants"]}
            wanted = {variant["id"]: variant for variant in told["item_variants"]}
            for number, variant in wanted.items():
                if number not in variants or not isinstance(variant.get("price"), int) or variant["price"] < 0:
                    return error(422, f"Item variant {number} is not valid", "Exception")
                old = variants[number]["price"]
                if variant["price"] != old:
                    self.price_changes.append((str(outlet.number + OUTLET_IDS), variant["sku"], old, variant["price"]))
            item = {
                **item,
                **{name: told[name] for name in required[:4]},
                "item_variants": [
                    variant | wanted.get(number, {"is_deleted": True}) for number, variant in variants.items()
                ],
                "updated_at": wib(self.clock.now()),
            }
            self._edited[item_id] = item
        return success(item)

    def _item(self, outlet: SimOutlet, product: SimProduct) -> dict[str, Any]:
        outlet_id, founded = OUTLET_IDS + outlet.number, self._founded()
        item_id = ITEM_IDS + outlet.number * 1000 + product.number
        stamps = {"created_at": founded, "updated_at": founded, "synchronized_at": founded}
        variant: dict[str, Any] = {
            **VARIANT_REST,
            "id": VARIANT_IDS + outlet.number * 1000 + product.number,
            "name": "",
            "sku": product.sku,
            "price": int(product.price),
            "item_id": item_id,
            "cogs": int(product.unit_cost),
            "outlet_id": outlet_id,
            **stamps,
        }
        return {
            **ITEM_REST,
            "id": item_id,
            "name": product.name,
            "business_id": BUSINESS_ID,
            "category_id": self._category_id(outlet, product.category),
            "outlet_id": outlet_id,
            "guid": guid_of(item_id),
            "category": self._category(outlet, product.category),
            "item_variants": [variant],
            "active_modifiers": list(self._modifiers(outlet, product.modifiers, stamps)),
            **stamps,
        }

    def _modifiers(
        self, outlet: SimOutlet, modifiers: Sequence[SimModifier], stamps: dict[str, str]
    ) -> Iterator[dict[str, Any]]:
        """One modifier per name with its options."""
        common = {"outlet_id": OUTLET_IDS + outlet.number, **NOT_DELETED, **stamps}
        for name in dict.fromkeys(modifier.name for modifier in modifiers):
            modifier_id = MODIFIER_IDS + number_of(name)
            options = [
                {
                    "id": OPTION_IDS + option.number,
                    "modifier_id": modifier_id,
                    "name": option.option,
                    "price": int(option.price),
                    "cogs": None,
                    **common,
                }
                for option in modifiers
                if option.name == name
            ]
            group = {"id": modifier_id, "business_id": BUSINESS_ID, "name": name, "modifier_options": options}
            yield {**group, **common, "guid": guid_of(modifier_id)}

    def _category_id(self, outlet: SimOutlet, name: str) -> int:
        return CATEGORY_IDS + outlet.number * 1_000_000 + number_of(name)

    # Reports

    def _latest_transactions(self, request: Request, outlet: SimOutlet) -> Response:
        """A page of receipts whose chosen time lies in [since, until), newest first."""
        chosen = request.arg("time_filter", "created_at")
        if chosen not in ("created_at", "updated_at", "synchronized_at"):
            return error(400, f"time_filter is invalid: {chosen}", "ApiErrors::ApiValidationFailed")
        key = f"{request.path}?{urlencode(request.query, doseq=True)}"
        with self.lock:
            now = self._follow_clock()
            if key in self._pages:
                return Response(body=self._pages[key])
            ahead = self._prepared.get(outlet.number)
            receipts = [] if ahead else self._known_receipts(outlet)[1]
        times = ahead[0] if ahead else _times(receipts)
        since = float(request.arg("since", "0"))
        until = float(request.arg("until") or now.timestamp() + 1)
        size = int(request.arg("per_page", str(DEFAULT_PER_PAGE)))
        by_creation = chosen == "created_at"
        chosen_times = enumerate(opened if by_creation else changed for changed, opened in times)
        found = [(at, place) for place, at in chosen_times if since <= at < until]
        if by_creation:
            found.sort(key=itemgetter(0), reverse=True)
        shown = found[:size]
        token = request.headers["Authorization"].removeprefix("Bearer ")
        query = {
            "per_page": size,
            "mobile_device": "true",
            "since": since,
            "until": f"{shown[-1][0]:.6f}" if shown else since,
            "access_token": token,
        }
        path = request.path.replace("/v4/", "/v1/")
        data = {
            "next_url": f"https://api.mokapos.com{path}?{urlencode(query)}",
            "completed": len(found) <= size,
            "payments": [],
        }
        places = [place for _, place in shown]
        if ahead and not by_creation and shown:  # then they lie side by side
            head, tail = success(data).body.split(b"[]", 1)
            body, packed = ahead[1].answer(head + b"[", places[0], places[-1] + 1, b"]" + tail)
            return Response(body=body, packed=packed)
        if ahead:
            return success({**data, "payments": [msgspec.Raw(ahead[1].rows[place]) for place in places]})
        answer = success({**data, "payments": [self._payment(receipts[place][1], now) for place in places]})
        with self.lock:
            if now == self._now:
                self._pages[key] = answer.body
                while sum(map(len, self._pages.values())) > CACHED_PAGE_BYTES:
                    self._pages.popitem(last=False)
        return answer

    def _sales_summary(self, request: Request, outlet: SimOutlet) -> Response:
        return self._report(request, outlet, DayTotals.summary)

    def _payment_methods(self, request: Request, outlet: SimOutlet) -> Response:
        return self._report(request, outlet, DayTotals.payment_methods)

    def _report(self, request: Request, outlet: SimOutlet, show: Callable[[DayTotals], dict[str, Any]]) -> Response:
        """Whole local calendar days from `start` to `end`."""
        bounds = []
        for name in ("start", "end"):
            text = request.arg(name)
            if not text:
                message = f"param is missing or the value is empty: {name}"
                return error(400, message, "ActionController::ParameterMissing")
            try:
                bounds.append(datetime.strptime(text, "%d/%m/%Y").date())  # noqa: DTZ007 - a date without a zone
            except ValueError:
                return error(400, f"{name} is invalid: {text}", "ApiErrors::ApiValidationFailed")
        with self.lock:
            self._follow_clock()
            if outlet.number not in self._days:
                self._known_receipts(outlet)
            days = self._days[outlet.number]
        totals = DayTotals()
        for day, figures in days.items():
            if bounds[0] <= day <= bounds[1]:
                totals.add(figures)
        return success(show(totals))

    # What the server knows

    def _follow_clock(self) -> datetime:
        """The time of this answer; what was known or rendered at another time is forgotten. Under the lock."""
        now = self.clock.now()
        if now != self._now:
            self._now = now
            for known in (self._receipts, self._days, self._pages, self._prepared):
                known.clear()
        return now

    def _known_receipts(self, outlet: SimOutlet) -> tuple[datetime, list[tuple[float, SimCheck]]]:
        """The time, and an outlet's receipts with the epoch second of their last change, newest first.

        Its totals are added up by the way. Under the lock.
        """
        now = self._follow_clock()
        if outlet.number in self._receipts:
            self._receipts.move_to_end(outlet.number)
            return now, self._receipts[outlet.number]
        zone = ZoneInfo(outlet.timezone)
        receipts: list[tuple[float, SimCheck]] = []
        days: dict[date, DayTotals] = defaultdict(DayTotals)
        for business_date in self.company.dates:
            if self.company.day_start(outlet, business_date) > now:
                break
            for check in self.company.checks(outlet.outlet_id, business_date):
                if check.known_at > now:
                    continue
                receipts.append((check.changed_at(now).timestamp(), check))
                if check.voided(now):
                    continue
                days[check.opened_at.astimezone(zone).date()].sale(check)
                for refund in check.refunds:
                    if refund.known_at <= now:
                        days[refund.at.astimezone(zone).date()].refund(check, refund)
        receipts.sort(key=itemgetter(0), reverse=True)
        self._receipts[outlet.number] = receipts
        self._days[outlet.number] = dict(days)
        while len(self._receipts) > 1 and sum(map(len, self._receipts.values())) > CACHED_RECEIPTS:
            self._receipts.popitem(last=False)
        return now, receipts

    def prepare(self) -> None:
        for outlet in self._outlets.values():
            with self.lock:
                now, receipts = self._known_receipts(outlet)
                rows = PackedRows([encoded(self._payment(check, now)) for _, check in receipts])
                self._prepared[outlet.number] = (_times(receipts), rows)

    # One receipt

    def _payment(self, check: SimCheck, now: datetime) -> dict[str, Any]:
        outlet = check.outlet
        created, changed = wib(check.opened_at), wib(check.changed_at(now))
        refunds = [refund for refund in check.refunds if refund.known_at <= now]
        given_back = {line.uid for refund in refunds for line in refund.lines}
        subtotal = whole(check.net)
        rounding = check.total - subtotal - check.service - check.tax
        return {
            "id": check.uid,
            "payment_no": check.number,
            "created_at": created,
            "updated_at": changed,
            "parent_payment_created_at": created,
            "total_collected": check.total,
            "name": check.lines[0].product.name,
            "parent_payment_id": check.uid,
            "payment_type": payment_type(check),
            "payment_type_label": check.tender_name,
            "discounts": whole(check.gross) - subtotal,
            "subtotal": subtotal,
            "gratuities": check.service,
            "taxes": check.tax,
            "tendered": check.tendered,
            "change": check.change,
            "enable_gratuity": outlet.service_rate > 0,
            **PAYMENT_REST,
            "transaction_date": f"{check.opened_at.astimezone(WIB):%d %b %Y}",
            "transaction_time": f"{check.opened_at.astimezone(WIB):%I : %M %p}",
            "collected_by": check.cashier,
            "served_by": check.cashier,
            "synchronized_at": changed,
            "outlet_id": OUTLET_IDS + outlet.number,
            "outlet_name": outlet.name,
            "guid": check.uid.upper(),
            "uniq_id": check.number,
            "payment_taxes": [_tax(check, check.uid, created, check.net, check.service, check.tax)],
            "payment_gratuities": _gratuities(check, check.uid, created, check.service),
            "checkouts": [
                _checkout(check, line, share, created, refunded_quantity=line.quantity * (line.uid in given_back))
                for line, share in zip(check.lines, _shares(check), strict=True)
            ],
            "payment_refunds": [_refund(check, refund) for refund in refunds],
            "is_refund_breakdown": bool(refunds),
            "total_refund": sum((refund.total for refund in refunds), ZERO),
            "table_name": check.table,
            "total_rounding_amount": rounding or None,
            "order_id": f"{check.number}TH{outlet.number:04d}",
            "is_deleted": check.voided(now),
        }


def _times(receipts: Iterable[tuple[float, SimCheck]]) -> list[tuple[float, float]]:
    """When each was changed last and when it was opened."""
    return [(changed, check.opened_at.timestamp()) for changed, check in receipts]


def payment_type(check: SimCheck) -> str:
    """Cash and cards have fixed codes; every other way to pay is the merchant's own and called as he likes."""
    if check.tender == "cash":
        return "cash"
    return "card" if check.tender_name in CARDS else check.tender_name.lower()


def _shares(check: SimCheck) -> list[tuple[int, int]]:
    """Service charge and tax of each line; those of all lines add up to the receipt's."""
    weights = [int(line.net * 1000) for line in check.lines]
    return list(zip(allocate(int(check.service), weights), allocate(int(check.tax), weights), strict=True))


def _tax(check: SimCheck, owner: str, stamp: str, net: Decimal, service: Decimal, tax: Decimal) -> dict[str, Any]:
    return {
        "created_at": stamp,
        "updated_at": stamp,
        "amount": check.outlet.tax_rate * 100 + FLOAT,
        "tax_id": TAX_ID,
        "payment_uuid": owner,
        "uuid": sibling(owner, "5"),
        "taxable_amount": net + service + FLOAT,
        "total": tax + FLOAT,
        "name": "PB1",
    }


def _gratuities(check: SimCheck, owner: str, stamp: str, service: Decimal) -> list[dict[str, Any]]:
    if not service:
        return []
    return [
        {
            "created_at": stamp,
            "updated_at": stamp,
            "uuid": sibling(owner, "6"),
            "name": "Service Charge",
            "amount": check.outlet.service_rate * 100 + FLOAT,
            "total": service + FLOAT,
            "payment_uuid": owner,
            "gratuity_id": GRATUITY_ID,
        }
    ]


def _checkout(
    check: SimCheck,
    line: SimLine,
    share: tuple[int, int],
    stamp: str,
    *,
    refund: SimRefund | None = None,
    refunded_quantity: int = 0,
) -> dict[str, Any]:
    """A line; with `refund` the same line given back, everything negative but what the vendor leaves positive."""
    sign = 1 if refund is None else -1
    product, outlet_number = line.product, check.outlet.number
    uuid = line.uid if refund is None else sibling(line.uid, "8")
    gross, off, net = sign * line.gross + FLOAT, sign * reduction(line) + FLOAT, sign * line.net + FLOAT
    unit = line.unit_price + FLOAT
    service, tax = share
    sales_type_id = number_of(check.sales_type)
    discounts = _discounts(line, sign * reduction(line), sign * line.gross, None if refund is None else stamp)
    gratuities = [] if not service else [_line_gratuity(check, uuid, sign * service, sales_type_id, stamp)]
    return {
        **CHECKOUT_REST,
        "created_at": stamp,
        "updated_at": stamp,
        "parent_checkout_uuid": None if refund is None else line.uid,
        "uuid": uuid,
        "gross_sales": gross,
        "item_name": product.name,
        "refunded_quantity": refunded_quantity,
        "item_id": ITEM_IDS + outlet_number * 1000 + product.number,
        "sales_type_name": check.sales_type,
        "tax_amount": sign * tax + FLOAT,
        "payment_uuid": check.uid if refund is None else refund.uid,
        "sales_type_id": sales_type_id,
        "item_variant_id": VARIANT_IDS + outlet_number * 1000 + product.number,
        "item_price_library": product.price + FLOAT,
        "category_name": product.category,
        "net_sales": net,
        "sku": product.sku,
        "quantity": sign * line.quantity,
        "price": sign * unit,
        "item_price_discount": net,
        "item_price": unit,
        "total_price": net,
        "outlet_id": OUTLET_IDS + outlet_number,
        "category_id": CATEGORY_IDS + outlet_number * 1_000_000 + number_of(product.category),
        "item_price_quantity": gross,
        "discount_amount": off,
        "gratuity_amount": sign * service + FLOAT,
        "gratuities": gratuities,
        "discounts": discounts,
        "modifiers": [_modifier(line, modifier, uuid, check, refund, stamp) for modifier in line.modifiers],
    }


def _discounts(line: SimLine, amount: Decimal, gross: Decimal, stamp: str | None) -> list[dict[str, Any]]:
    """The discount of a line or of its modifier; only a sale's own lines go without times."""
    name = line.discount_name or line.comp_name
    if not name:
        return []
    discount = {
        "discount_id": number_of(name),
        "discount_type": "percentage",
        "discount_name": name,
        "discount_percentage": (amount * 100 / gross if gross else ZERO) + FLOAT,
        "discount_cash": 0,
        "discount_amount": amount,
    }
    return [
        discount if stamp is None else {**discount, "created_at": stamp, "updated_at": stamp, "discount_guid": None}
    ]


def _line_gratuity(check: SimCheck, uuid: str, service: int, sales_type_id: int, stamp: str) -> dict[str, Any]:
    return {
        "created_at": stamp,
        "updated_at": stamp,
        "uuid": sibling(uuid, "2" if service > 0 else "3"),
        "gratuity_name": "Service Charge",
        "amount": check.outlet.service_rate * 100 + FLOAT,
        "total": service + FLOAT,
        "checkout_uuid": uuid,
        "gratuity_id": GRATUITY_ID,
        "sales_type_id": sales_type_id,
        "sales_type_name": check.sales_type,
    }


def _modifier(
    line: SimLine, modifier: SimModifier, checkout: str, check: SimCheck, refund: SimRefund | None, stamp: str
) -> dict[str, Any]:
    """An option of a line with its share of the line's discount; positive in a refund too."""
    gross = modifier.price * line.quantity
    off = reduction(line) * gross / line.gross if line.gross else ZERO
    return {
        "created_at": stamp,
        "updated_at": stamp,
        "uuid": sibling(line.uid, "7" if refund is None else "1"),
        "gross_sales": gross + FLOAT,
        "net_sales": gross - off + FLOAT,
        "modifier_id": MODIFIER_IDS + number_of(modifier.name),
        "payment_uuid": check.uid if refund is None else refund.uid,
        "discount_amount": off + FLOAT,
        "modifier_option_name": modifier.option,
        "price": modifier.price,
        "modifier_name": modifier.name,
        "modifier_option_id": OPTION_IDS + modifier.number,
        "cogs": None,
        "checkout_uuid": checkout,
        "outlet_id": OUTLET_IDS + check.outlet.number,
        "redeem_amount": FLOAT,
        "discounts": _discounts(line, off, gross, stamp),
    }


def _refund(check: SimCheck, refund: SimRefund) -> dict[str, Any]:
    """A refund as Moka nests it: a payment of its own with long field names and no label of its payment type."""
    stamp, known = wib(refund.at), wib(refund.known_at)
    shares = {line.uid: share for line, share in zip(check.lines, _shares(check), strict=True)}
    gross = sum((line.gross for line in refund.lines), ZERO)
    net = whole(refund.net)
    rounding = refund.total - net - refund.service - refund.tax
    local = refund.at.astimezone(WIB)
    return {
        **REFUND_REST,
        "created_at": stamp,
        "updated_at": known,
        "refunded_reason": refund.reason,
        "total_discount_amount": net - whole(gross),
        "collected_by": check.cashier,
        "uuid": refund.uid,
        "creator_name": check.cashier,
        "refund_amount": refund.total,
        "server_name": check.cashier,
        "refund_uuid": refund.uid,
        "total_collected_amount": -refund.total,
        "guid": refund.uid,
        "transaction_date": f"{local:%d %b %Y}",
        "synchronized_at": known,
        "outlet_id": OUTLET_IDS + check.outlet.number,
        "refunded_by": check.cashier,
        "subtotal": -net,
        "transaction_time": f"{local:%I : %M %p}",
        "payment_type": payment_type(check),
        "payment_no": check.number,
        "total_gross_sales": -whole(gross),
        "total_rounding_amount": -rounding or None,
        "total_net_sales": -net,
        "refunded_at": stamp,
        "total_tax_amount": -refund.tax,
        "refunded_date": known,
        "total_gratuity_amount": -refund.service,
        "server_created_at": known,
        "refund_type": "full" if refund.full else "partial",
        "parent_payment_uuid": check.uid,
        "total_checkouts_amount": -net,
        "checkouts": [_checkout(check, line, shares[line.uid], stamp, refund=refund) for line in refund.lines],
        "payment_gratuities": _gratuities(check, refund.uid, stamp, -refund.service),
        "payment_taxes": [_tax(check, refund.uid, stamp, -refund.net, -refund.service, -refund.tax)],
    }


SANDBOX = MokaSandbox
