"""A local Toast over the simulated company: one client that may read every restaurant whose tills are Toast's.

Written from Toast's OpenAPI files (authentication, orders, menus, restaurants, partners, labor) and, for the
configuration API, from the developer guide. Its manners on purpose: a login that is not OAuth, the restaurant in a
header, stamps without a colon in the offset, business dates as numbers in orders and texts in labor, bare lists without
a total, prices of lines that include their modifiers and their share of the check's discounts.

What the documents leave open is decided here: a refund does not move its order's `modifiedDate` (they say that orders,
checks and selections move it), a void does; a voided check owes nothing, its selections keep their prices; the
fractions of a rupiah that percentages leave on lines are in the rounding charge; the time clock rounds nothing; orders
come by time of change.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any

from ingestion.sandbox.clock import Clock
from ingestion.sandbox.model import SimCheck, SimEmployee, SimLine, SimOutlet, SimProduct, SimPunch, SimRefund
from ingestion.sandbox.pricing import allocate
from ingestion.sandbox.server import Request, Response, Sandbox, json_response
from ingestion.sandbox.webhooks import Delivery

if TYPE_CHECKING:
    from ingestion.sandbox.company import Company

CLIENT_ID = "c4-sandbox-toast-client"
CLIENT_SECRET = "c4-sandbox-toast-secret"
WEBHOOK_SECRET = "c4-sandbox-toast-webhooks"
TOKEN_SECONDS = 86_400
MAX_PAGE = 100
CONFIG_PAGE = 5  # small, so that the configuration has a second page
LONGEST_LABOR_WINDOW = timedelta(days=31)
NORMAL_HOURS = Decimal(8)
EPOCH = "1970-01-01T00:00:00.000+0000"
ZERO = Decimal(0)

# What the company's own names are in Toast: everything else is an alternate payment type of the restaurant.
TYPES = {"cash": "CASH", "credit_card": "CREDIT", "gift_card": "GIFTCARD"}
BEHAVIORS = {"dine_in": "DINE_IN", "takeaway": "TAKE_OUT"}  # all others are deliveries

Row = dict[str, Any]


def guid_of(kind: str, *parts: object) -> str:
    """A GUID that stays the same for what the company knows by a number or a name."""
    text = "/".join(map(str, parts))
    halves = [zlib.crc32(f"{salt}:{kind}:{text}".encode()) for salt in range(4)]
    digits = "".join(f"{half:08x}" for half in halves)
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-9{digits[17:20]}-{digits[20:32]}"


def sibling(uid: str, version: str) -> str:
    """Another GUID made from one, by the digit of its version; the company's own are all of version 4."""
    return f"{uid[:14]}{version}{uid[15:]}"


def stamp(moment: datetime) -> str:
    at = moment.astimezone(UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}+0000"


def moment_of(text: str) -> datetime:
    """Raises ValueError: the vendor wants milliseconds and an offset without a colon."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d{4}", text):
        raise ValueError(f"{text!r} is not like 2016-01-01T14:13:12.000+0400")
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z")


def number_of(day: date) -> int:
    return int(f"{day:%Y%m%d}")


def named(kind: str, guid: str) -> Row:
    return {"guid": guid, "entityType": kind}


def reference(kind: str, guid: str) -> Row:
    return {**named(kind, guid), "externalId": None}


def error(status: int, code: int, message: str) -> Response:
    empty = dict.fromkeys(("messageKey", "fieldName", "link", "developerMessage", "canRetry"))
    told = {"status": status, "code": code, "message": message, "requestId": guid_of("request", message), "errors": []}
    return json_response({**told, **empty}, status)


class ToastSandbox(Sandbox):
    vendor = "toast"

    def __init__(self, company: Company, clock: Clock) -> None:
        super().__init__(company, clock)
        self._outlets = {guid_of("restaurant", o.number): o for o in company.outlets if o.pos == "toast"}
        self._tokens: set[str] = set()
        self._logins = count(1)
        self._known: dict[str, list[SimCheck]] = {}
        self._known_at = clock.now()
        self._answers: dict[str, Callable[[Request, str, SimOutlet], Response]] = {
            "/config/v2/diningOptions": self._dining_options,
            "/config/v2/alternatePaymentTypes": self._alternate_payment_types,
            "/config/v2/salesCategories": self._sales_categories,
            "/menus/v2/menus": self._menus,
            "/orders/v2/ordersBulk": self._orders,
            "/orders/v2/payments": self._payments,
            "/labor/v1/jobs": self._jobs,
            "/labor/v1/employees": self._employees,
            "/labor/v1/timeEntries": self._time_entries,
            "/labor/v1/shifts": self._find_shifts,
        }
        self.shifts: dict[str, Row] = {}  # by GUID; the tills of the company begin without a schedule
        self.shift_changes: list[tuple[str, str, str]] = []  # method, GUID, times: writes that took effect

    def credentials(self) -> dict[str, str]:
        return {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "webhook_secret": WEBHOOK_SECRET}

    def outlets(self) -> dict[str, str]:
        return {guid: outlet.outlet_id for guid, outlet in self._outlets.items()}

    def expire_tokens(self) -> None:
        with self.lock:
            self._tokens.clear()

    def webhooks(self, since: datetime, until: datetime) -> Iterator[Delivery]:
        """An `order_updated` for each sale, void and refund, with the whole order as it was then."""
        moments = [
            (at, check.uid, guid, check)
            for guid, outlet in self._outlets.items()
            for check in self.company.checks(outlet.outlet_id)
            for at in (check.known_at, check.void_known_at, *(refund.known_at for refund in check.refunds))
            if at is not None and since < at <= until
        ]
        for at, _, guid, check in sorted(moments, key=lambda moment: moment[:2]):
            yield self.order_updated(at, guid, ToastSandbox(self.company, Clock(at))._order(check))

    def order_updated(self, at: datetime, guid: str, order: Row) -> Delivery:
        """The event of an order: signed over the raw body and the timestamp that is in it."""
        told = f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"
        body = json_response(
            {
                "timestamp": told,
                "eventCategory": "order_updated",
                "eventType": "order_updated",
                "guid": guid_of("event", at, order["guid"]),
                "details": {"restaurantGuid": guid, "order": order},
            }
        ).body
        digest = hmac.new(WEBHOOK_SECRET.encode(), body + told.encode(), hashlib.sha256).digest()
        headers = {
            "Toast-Event-Type": "order_updated",
            "Toast-Event-Category": "order_updated",
            "Toast-Restaurant-External-ID": guid,
            "Toast-Attempt-Number": "1",
            "Toast-Signature": base64.b64encode(digest).decode(),
        }
        return Delivery(at, body, headers)

    def handle(self, request: Request) -> Response:
        if (request.method, request.path) == ("POST", "/authentication/v1/authentication/login"):
            return self._login(request)
        with self.lock:
            if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self._tokens:
                return error(401, 10010, "Full authentication is required to access this resource")
        writes = request.method in ("POST", "PUT") and re.fullmatch(r"/labor/v1/shifts(/[0-9a-f-]{36})?", request.path)
        if request.method != "GET" and not writes:
            return error(405, 10022, "Method not allowed")
        if request.path == "/partners/v1/connectedRestaurants":
            return self._connected_restaurants(request)
        guid = request.headers.get("Toast-Restaurant-External-ID", "")
        if not guid:
            return error(400, 10020, "Toast-Restaurant-External-ID is required")
        outlet = self._outlets.get(guid)
        if outlet is None:
            return error(403, 10030, "The client has no access to this restaurant")
        try:
            return self._write_shift(request, guid, outlet) if writes else self._answer(request, guid, outlet)
        except ValueError as refused:
            return error(400, 10025, str(refused))

    def _answer(self, request: Request, guid: str, outlet: SimOutlet) -> Response:
        if request.path in self._answers:
            return self._answers[request.path](request, guid, outlet)
        if request.path == f"/restaurants/v1/restaurants/{guid}":
            return self._restaurant(guid, outlet)
        match = re.fullmatch(r"/orders/v2/(orders|payments)/([0-9a-f-]{36})", request.path)
        for check in self._checks(guid) if match else ():
            if match and match[1] == "orders" and sibling(check.uid, "1") == match[2]:
                return json_response(self._order(check))
            if match and match[1] == "payments" and sibling(check.uid, "2") == match[2]:
                return json_response(self._payment(check))
        return error(404, 10022, "Not found")

    def _login(self, request: Request) -> Response:
        try:
            form = request.json()
        except json.JSONDecodeError:
            form = {}
        wanted = {"clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET, "userAccessType": "TOAST_MACHINE_CLIENT"}
        if form != wanted:
            return error(401, 10010, "Unauthorized")
        with self.lock:
            token = f"sandbox.{next(self._logins):032x}.toast"
            self._tokens.add(token)
        told = {"tokenType": "Bearer", "scope": None, "expiresIn": TOKEN_SECONDS, "accessToken": token}
        return json_response({"token": {**told, "idToken": None, "refreshToken": None}, "status": "SUCCESS"})

    # Restaurants, configuration and menus

    def _founded(self) -> datetime:
        return datetime(self.company.start.year - 2, 1, 1, tzinfo=UTC)

    def _connected_restaurants(self, request: Request) -> Response:
        created = f"{self._founded():%Y-%m-%dT%H:%M:%S}.000Z"
        rows = [
            {
                "restaurantGuid": guid,
                "managementGroupGuid": guid_of("group"),
                "restaurantName": outlet.name,
                "locationName": outlet.city,
                "deleted": False,
                "isoCreatedDate": created,
                "isoModifiedDate": created,
            }
            for guid, outlet in self._outlets.items()
        ]
        size = min(int(request.arg("pageSize", "100")), 200)
        page = int(request.arg("pageToken", "1"))
        following = page + 1 if page * size < len(rows) else None
        told = {"currentPageNum": page, "totalResultCount": len(rows), "totalCount": len(rows), "pageSize": size}
        tokens = {"currentPageToken": str(page), "nextPageToken": following and str(following)}
        return json_response({"results": rows[(page - 1) * size : page * size], **told, **tokens})

    def _restaurant(self, guid: str, outlet: SimOutlet) -> Response:
        general = {
            "name": outlet.name,
            "locationName": outlet.city,
            "locationCode": outlet.outlet_id,
            "description": None,
            "timeZone": outlet.timezone,
            "closeoutHour": int(outlet.cutoff_hours),
            "managementGroupGuid": guid_of("group"),
            "currencyCode": outlet.currency,
            "firstBusinessDate": number_of(self._founded().date()),
            "archived": False,
        }
        return json_response({"guid": guid, "general": general})

    def _config(self, request: Request, rows: list[Row]) -> Response:
        """A page of the configuration; the next one's token is a header."""
        start = int(request.arg("pageToken", "0"))
        end = start + CONFIG_PAGE
        headers = {"Toast-Next-Page-Token": str(end)} if end < len(rows) else {}
        return json_response(rows[start:end], headers=headers)

    def _dining_options(self, request: Request, guid: str, _: SimOutlet) -> Response:
        types = {check.sales_type: check.channel for check in self._checks(guid)}
        rows = [
            {
                **reference("DiningOption", guid_of("dining option", guid, name)),
                "name": name,
                "behavior": BEHAVIORS.get(types[name], "DELIVERY"),
                "curbside": False,
            }
            for name in sorted(types)
        ]
        return self._config(request, rows)

    def _alternate_payment_types(self, request: Request, guid: str, _: SimOutlet) -> Response:
        names = sorted({check.tender_name for check in self._checks(guid) if check.tender not in TYPES})
        rows = [
            {**reference("AlternatePaymentType", guid_of("alternate payment", guid, name)), "name": name}
            for name in names
        ]
        return self._config(request, rows)

    def _sales_categories(self, request: Request, guid: str, outlet: SimOutlet) -> Response:
        names = dict.fromkeys(product.category for product in self.company.menu(outlet))
        rows = [{**reference("SalesCategory", guid_of("category", guid, name)), "name": name} for name in names]
        return self._config(request, rows)

    def _menus(self, _: Request, guid: str, outlet: SimOutlet) -> Response:
        """One menu with a group per category; a second one shows the first category again."""
        products = self.company.menu(outlet)
        modifiers = {modifier.number: modifier for product in products for modifier in product.modifiers}
        names = list(dict.fromkeys(modifier.name for modifier in modifiers.values()))
        group_numbers = {name: number for number, name in enumerate(names, start=1)}
        groups = {
            str(group_numbers[name]): {
                "name": name,
                "guid": guid_of("option group", guid, name),
                "referenceId": group_numbers[name],
                "modifierOptionReferences": [m.number + 100 for m in modifiers.values() if m.name == name],
            }
            for name in names
        }
        options = {
            str(m.number + 100): {
                "referenceId": m.number + 100,
                "name": m.option,
                "guid": guid_of("option", guid, m.number),
                "price": m.price,
            }
            for m in modifiers.values()
        }
        categories = [
            {
                "name": name,
                "guid": guid_of("menu group", guid, name),
                "menuGroups": [],
                "menuItems": [
                    self._menu_item(guid, product, group_numbers) for product in products if product.category == name
                ],
            }
            for name in dict.fromkeys(product.category for product in products)
        ]
        popular = {
            "name": "Popular",
            "guid": guid_of("menu group", guid),
            "menuGroups": categories[:1],
            "menuItems": [],
        }
        menus = [
            {"name": "All day", "guid": guid_of("menu", guid, 1), "menuGroups": categories},
            {"name": "Online", "guid": guid_of("menu", guid, 2), "menuGroups": [popular]},
        ]
        return json_response(
            {
                "restaurantGuid": guid,
                "lastUpdated": stamp(self._founded()),
                "restaurantTimeZone": outlet.timezone,
                "menus": menus,
                "modifierGroupReferences": groups,
                "modifierOptionReferences": options,
                "preModifierGroupReferences": {},
            }
        )

    def _menu_item(self, guid: str, product: SimProduct, group_numbers: dict[str, int]) -> Row:
        return {
            "name": product.name,
            "guid": guid_of("item", guid, product.number),
            "multiLocationId": str(700_000 + product.number),
            "description": "",
            "posName": "",
            "price": product.price,
            "pricingStrategy": "BASE_PRICE",
            "isDeferred": False,
            "salesCategory": {"guid": guid_of("category", guid, product.category), "name": product.category},
            "taxInclusion": "TAX_NOT_INCLUDED",
            "plu": str(4000 + product.number),
            "sku": product.sku,
            "unitOfMeasure": "NONE",
            "modifierGroupReferences": sorted({group_numbers[modifier.name] for modifier in product.modifiers}),
        }

    # Orders

    def _checks(self, guid: str) -> list[SimCheck]:
        """The checks of a restaurant that are known now."""
        with self.lock:
            now = self.clock.now()
            if now != self._known_at:
                self._known, self._known_at = {}, now
            if guid not in self._known:
                outlet = self._outlets[guid]
                begun = [day for day in self.company.dates if self.company.day_start(outlet, day) <= now]
                checks = [check for day in begun for check in self.company.checks(outlet.outlet_id, day)]
                self._known[guid] = [check for check in checks if check.known_at <= now]
            return self._known[guid]

    def _changed_at(self, check: SimCheck) -> datetime:
        """When the order was last modified; refunds are not among it."""
        void = check.void_known_at
        return void if void is not None and void <= self.clock.now() else check.known_at

    def _orders(self, request: Request, guid: str, _: SimOutlet) -> Response:
        page, size = int(request.arg("page", "1")), int(request.arg("pageSize", str(MAX_PAGE)))
        if not 1 <= size <= MAX_PAGE or page < 1:
            raise ValueError(f"pageSize must be between 1 and {MAX_PAGE}")
        if day := request.arg("businessDate"):
            found = [check for check in self._checks(guid) if number_of(check.business_date) == int(day)]
        else:
            start, end = moment_of(request.arg("startDate")), moment_of(request.arg("endDate"))
            if end <= start:
                raise ValueError("endDate must be later than startDate")
            found = [check for check in self._checks(guid) if start <= self._changed_at(check) < end]
        found.sort(key=lambda check: (self._changed_at(check), check.uid))
        return json_response([self._order(check) for check in found[(page - 1) * size : page * size]])

    def _payments(self, request: Request, guid: str, outlet: SimOutlet) -> Response:
        """GUIDs of payments by the business date on which they were paid, refunded or voided."""
        asked = {name: request.arg(name) for name in ("paidBusinessDate", "refundBusinessDate", "voidBusinessDate")}
        if sum(map(bool, asked.values())) != 1:
            raise ValueError("exactly one of paidBusinessDate, refundBusinessDate and voidBusinessDate is required")
        ((name, text),) = ((name, text) for name, text in asked.items() if text)
        return json_response(
            [
                sibling(check.uid, "2")
                for check in self._checks(guid)
                if int(text) in [number_of(day) for day in self._dates(check, name)]
            ]
        )

    def _dates(self, check: SimCheck, name: str) -> Iterator[date]:
        if name == "paidBusinessDate":
            yield check.business_date
        elif name == "voidBusinessDate" and self._voided(check):
            yield self._void_date(check)
        elif name == "refundBusinessDate" and (refund := self._refund(check)):
            yield refund.business_date

    def _voided(self, check: SimCheck) -> bool:
        return check.voided(self.clock.now())

    def _void_date(self, check: SimCheck) -> date:
        assert check.voided_at is not None
        return self.company.business_date(check.outlet, check.voided_at)

    def _refund(self, check: SimCheck) -> SimRefund | None:
        """A check of the company is refunded once at most."""
        now = self.clock.now()
        return next((refund for refund in check.refunds if refund.known_at <= now), None)

    def _void(self, check: SimCheck) -> Row:
        if not self._voided(check):
            return {"voided": False, "voidDate": None, "voidBusinessDate": None}
        assert check.voided_at is not None
        day = number_of(self._void_date(check))
        return {"voided": True, "voidDate": stamp(check.voided_at), "voidBusinessDate": day}

    def _order(self, check: SimCheck) -> Row:
        restaurant = guid_of("restaurant", check.outlet.number)
        changed = stamp(self._changed_at(check))
        opened, closed = stamp(check.opened_at), stamp(check.closed_at)
        dates = {"openedDate": opened, "closedDate": closed, "paidDate": closed, "modifiedDate": changed}
        common = {
            **dates,
            **self._void(check),
            "createdDate": stamp(check.known_at),
            "deleted": False,
            "deletedDate": EPOCH,
            "duration": int((check.closed_at - check.opened_at).total_seconds()),
            "displayNumber": check.number,
        }
        server = reference("RestaurantUser", self._server(check))
        return {
            **reference("Order", sibling(check.uid, "1")),
            **common,
            "businessDate": number_of(check.business_date),
            "promisedDate": None,
            "diningOption": reference("DiningOption", guid_of("dining option", restaurant, check.sales_type)),
            "server": server,
            "source": "In Store",
            "numberOfGuests": check.covers,
            "approvalStatus": "APPROVED",
            "pricingFeatures": ["TAXESV2"],
            "createdInTestMode": False,
            "excessFood": False,
            "table": reference("Table", guid_of("table", restaurant, check.table)) if check.table else None,
            "checks": [self._check(check, restaurant, {**common, "openedBy": server})],
        }

    def _server(self, check: SimCheck) -> str:
        for person in self.company.employees:
            if person.outlet is check.outlet and f"{person.first_name} {person.last_name}" == check.cashier:
                return guid_of("employee", person.number)
        return guid_of("employee", check.outlet.outlet_id, check.cashier)

    def _check(self, check: SimCheck, restaurant: str, common: Row) -> Row:
        voided, refund = self._voided(check), self._refund(check)
        taxes = _line_taxes(check)
        charges = list(self._charges(check, sum(taxes, ZERO), refund, taxes))
        owed = ZERO if voided else check.net + check.service + check.rounding
        tax = ZERO if voided else check.tax
        whole = check.lines[0].discount_name if len(check.lines) > 1 else ""
        discount = _discount(sibling(check.uid, "7"), whole, check.discounts)
        return {
            **reference("Check", check.uid),
            **common,
            "amount": owed,
            "taxAmount": tax,
            "totalAmount": owed + tax,
            "taxExempt": False,
            "paymentStatus": "CLOSED",
            "tabName": None,
            "customer": None,
            "appliedLoyaltyInfo": None,
            "appliedDiscounts": [discount] if whole else [],
            "appliedServiceCharges": charges,
            "payments": [self._payment(check)],
            "selections": [
                self._selection(check, line, line_tax, restaurant, refund)
                for line, line_tax in zip(check.lines, taxes, strict=True)
            ],
        }

    def _charges(
        self, check: SimCheck, tax_of_lines: Decimal, refund: SimRefund | None, taxes: list[Decimal]
    ) -> Iterator[Row]:
        """The service charge, which bears what the lines leave of the tax, and the rounding."""
        refunded_tax = ZERO
        if refund is not None:
            chosen = {line.uid for line in refund.lines}
            of_lines = sum((t for line, t in zip(check.lines, taxes, strict=True) if line.uid in chosen), ZERO)
            refunded_tax = refund.tax - of_lines
        if check.service:
            tax = check.tax - tax_of_lines
            yield {
                **_charge(check, "3", "Service Charge", check.service, "SERVICE_CHARGE", taxable=True),
                "chargeType": "PERCENT",
                "serviceChargeCalculation": "POST_DISCOUNT",
                "appliedTaxes": [_tax(check, sibling(check.uid, "6"), tax)],
                "refundDetails": _refund_details(refund, refund.service, refunded_tax) if refund else None,
            }
        if check.rounding or (refund and refund.rounding):
            yield {
                **_charge(check, "5", "Rounding", check.rounding, "CASH_ROUNDING", taxable=False),
                "paymentGuid": sibling(check.uid, "2"),
                "refundDetails": _refund_details(refund, refund.rounding, ZERO) if refund else None,
            }

    def _selection(
        self, check: SimCheck, line: SimLine, tax: Decimal, restaurant: str, refund: SimRefund | None
    ) -> Row:
        product = line.product
        alone = line.discount_name if len(check.lines) == 1 else ""
        reductions = [
            _discount(sibling(line.uid, version), name, amount)
            for version, name, amount in (("7", alone, line.discount), ("8", line.comp_name, line.comp))
            if name
        ]
        given_back = refund is not None and any(line is other for other in refund.lines)
        return {
            **reference("MenuItemSelection", line.uid),
            **self._void(check),
            "item": reference("MenuItem", guid_of("item", restaurant, product.number)),
            "itemGroup": reference("MenuGroup", guid_of("menu group", restaurant, product.category)),
            "salesCategory": reference("SalesCategory", guid_of("category", restaurant, product.category)),
            "diningOption": reference("DiningOption", guid_of("dining option", restaurant, check.sales_type)),
            "displayName": product.name,
            "plu": str(4000 + product.number),
            "quantity": line.quantity,
            "unitOfMeasure": "NONE",
            "selectionType": "NONE",
            "receiptLinePrice": product.price,
            "preDiscountPrice": line.gross,
            "price": line.net,
            "tax": tax,
            "taxInclusion": "NOT_INCLUDED",
            "appliedTaxes": [_tax(check, sibling(line.uid, "6"), tax)],
            "appliedDiscounts": reductions,
            "deferred": False,
            "voidReason": None,
            "refundDetails": _refund_details(refund, line.net, tax) if refund and given_back else None,
            "fulfillmentStatus": "READY",
            "createdDate": stamp(check.opened_at),
            "modifiedDate": stamp(self._changed_at(check)),
            "modifiers": [
                {
                    **reference("MenuItemSelection", sibling(line.uid, str(9 - place))),
                    "optionGroup": reference("OptionGroup", guid_of("option group", restaurant, modifier.name)),
                    "item": reference("MenuItem", guid_of("option", restaurant, modifier.number)),
                    "displayName": modifier.option,
                    "quantity": line.quantity,
                    "preDiscountPrice": modifier.price * line.quantity,
                    "taxInclusion": "INHERITED",
                    "voided": self._voided(check),
                    "modifiers": [],
                }
                for place, modifier in enumerate(line.modifiers)
            ],
        }

    def _payment(self, check: SimCheck) -> Row:
        refund, voided = self._refund(check), self._voided(check)
        restaurant = guid_of("restaurant", check.outlet.number)
        kind = TYPES.get(check.tender, "OTHER")
        void = self._void(check)
        other = reference("AlternatePaymentType", guid_of("alternate payment", restaurant, check.tender_name))
        return {
            **reference("OrderPayment", sibling(check.uid, "2")),
            "orderGuid": sibling(check.uid, "1"),
            "checkGuid": check.uid,
            "paidDate": stamp(check.closed_at),
            "paidBusinessDate": number_of(check.business_date),
            "type": kind,
            "cardType": "VISA" if kind == "CREDIT" else None,
            "last4Digits": "4242" if kind == "CREDIT" else None,
            "amount": check.total,
            "tipAmount": check.tip,
            "amountTendered": check.tendered - check.tip,
            "otherPayment": other if kind == "OTHER" else None,
            "server": reference("RestaurantUser", self._server(check)),
            "paymentStatus": None if kind != "CREDIT" else "VOIDED" if voided else "CAPTURED",
            "voidInfo": {key: void[key] for key in ("voidDate", "voidBusinessDate")} if voided else None,
            "refundStatus": "NONE" if refund is None else "FULL" if refund.full else "PARTIAL",
            "refund": None
            if refund is None
            else {
                "refundAmount": refund.total,
                "tipRefundAmount": ZERO,
                "refundDate": stamp(refund.at),
                "refundBusinessDate": number_of(refund.business_date),
                "refundTransaction": named("RefundTransaction", refund.uid),
            },
        }

    # Labor

    def _jobs(self, _: Request, guid: str, outlet: SimOutlet) -> Response:
        titles = sorted({person.job_title for person in self.company.employees if person.outlet is outlet})
        created = stamp(self._founded())
        return json_response(
            [
                {
                    **reference("RestaurantJob", guid_of("job", guid, title)),
                    "title": title,
                    "code": "",
                    "wageFrequency": "HOURLY",
                    "defaultWage": None,
                    "tipped": False,
                    "excludeFromReporting": False,
                    "deleted": False,
                    "createdDate": created,
                    "modifiedDate": created,
                    "deletedDate": EPOCH,
                }
                for title in titles
            ]
        )

    def _employees(self, _: Request, guid: str, outlet: SimOutlet) -> Response:
        rows = [self._employee(guid, person) for person in self.company.employees if person.outlet is outlet]
        return json_response(rows)

    def _employee(self, guid: str, person: SimEmployee) -> Row:
        created = stamp(datetime.combine(person.hired_on, time(), UTC))
        left = person.left_on and stamp(datetime.combine(person.left_on, time(), UTC))
        return {
            **reference("RestaurantUser", guid_of("employee", person.number)),
            "firstName": person.first_name,
            "lastName": person.last_name,
            "chosenName": None,
            "email": person.email,
            "phoneNumber": None,
            "externalEmployeeId": str(person.number),
            "jobReferences": [reference("RestaurantJob", guid_of("job", guid, person.job_title))],
            "wageOverrides": [],
            "deleted": left is not None,
            "createdDate": created,
            "modifiedDate": left or created,
            "deletedDate": left or EPOCH,
        }

    def _time_entries(self, request: Request, guid: str, outlet: SimOutlet) -> Response:
        start, end = moment_of(request.arg("modifiedStartDate")), moment_of(request.arg("modifiedEndDate"))
        if end - start > LONGEST_LABOR_WINDOW:
            raise ValueError("the time period must not be longer than one month")
        now = self.clock.now()
        return json_response(
            [
                self._time_entry(guid, punch)
                for punch in self.company.punches()
                if punch.employee.outlet is outlet and punch.known_at <= now and start <= punch.known_at < end
            ]
        )

    def _find_shifts(self, request: Request, guid: str, _: SimOutlet) -> Response:
        """Shifts that lie within a period, in no order."""
        start, end = moment_of(request.arg("startDate")), moment_of(request.arg("endDate"))
        if end - start > LONGEST_LABOR_WINDOW:
            raise ValueError("the time period must not be longer than one month")
        with self.lock:
            return json_response(
                [
                    shift
                    for shift in reversed(self.shifts.values())
                    if shift["restaurant"] == guid
                    and moment_of(shift["inDate"]) >= start
                    and moment_of(shift["outDate"]) < end
                ]
            )

    def _write_shift(self, request: Request, guid: str, outlet: SimOutlet) -> Response:
        """Create a shift, or replace one as a whole. The same external id may come twice: no document forbids it."""
        told = request.json()
        people = {self._employee(guid, person)["guid"] for person in self.company.employees if person.outlet is outlet}
        jobs = {guid_of("job", guid, person.job_title) for person in self.company.employees if person.outlet is outlet}
        if told["employeeReference"]["guid"] not in people or told["jobReference"]["guid"] not in jobs:
            return error(400, 10025, "Unknown employee or job")
        if moment_of(told["outDate"]) <= moment_of(told["inDate"]):
            return error(400, 10025, "outDate must be after inDate")
        changed = stamp(self.clock.now())
        with self.lock:
            if request.method == "POST":
                number = guid_of("shift", guid, len(self.shifts))
                made = {"guid": number, "createdDate": changed, "restaurant": guid, "deleted": False}
                made |= {"externalId": told.get("externalId"), "deletedDate": EPOCH}
            else:
                number = request.path.rpartition("/")[2]
                if "externalId" in told:
                    return error(400, 10025, "externalId is not allowed")
                if number not in self.shifts:
                    return error(404, 10022, "Not found")
                made = {name: self.shifts[number][name] for name in ("guid", "createdDate", "restaurant", "deleted")}
                made |= {name: self.shifts[number][name] for name in ("externalId", "deletedDate")}
            written = ("employeeReference", "jobReference", "inDate", "outDate", "scheduleConfig")
            shift = {
                **made,
                "entityType": "Shift",
                "modifiedDate": changed,
                **{name: told.get(name) for name in written},
            }
            old = self.shifts.get(number, {})
            if any(shift[name] != old.get(name) for name in written):
                self.shift_changes.append((request.method, number, f"{shift['inDate']}/{shift['outDate']}"))
            self.shifts[number] = shift
        return json_response(shift)

    def _time_entry(self, guid: str, punch: SimPunch) -> Row:
        regular = min(punch.hours, NORMAL_HOURS)
        person, known = punch.employee, stamp(punch.known_at)
        return {
            **reference("TimeEntry", guid_of("time entry", punch.number, person.number, punch.business_date)),
            "jobReference": reference("RestaurantJob", guid_of("job", guid, person.job_title)),
            "employeeReference": reference("RestaurantUser", guid_of("employee", person.number)),
            "shiftReference": None,
            "inDate": stamp(punch.started_at),
            "outDate": stamp(punch.ended_at),
            "autoClockedOut": False,
            "businessDate": f"{punch.business_date:%Y%m%d}",
            "regularHours": regular,
            "overtimeHours": punch.hours - regular,
            "hourlyWage": person.hourly_rate,
            "breaks": [],
            "deleted": False,
            "createdDate": known,
            "modifiedDate": known,
            "deletedDate": EPOCH,
        }


def _line_taxes(check: SimCheck) -> list[Decimal]:
    """The tax of each line: of a check without service charge all of it, else what its own price brings."""
    scale = 10**check.outlet.exponent
    weights = [int(line.net * scale * 1000) for line in check.lines]
    if not check.service:
        return [Decimal(part) / scale for part in allocate(int(check.tax * scale), weights)]
    return [Decimal(int(line.net * check.outlet.tax_rate * scale)) / scale for line in check.lines]


def _tax(check: SimCheck, guid: str, amount: Decimal) -> Row:
    return {
        "guid": guid,
        "entityType": "AppliedTaxRate",
        "taxRate": named("TaxRate", guid_of("tax", check.outlet.tax_jurisdiction)),
        "name": "PB1",
        "displayName": "PB1",
        "rate": check.outlet.tax_rate,
        "taxAmount": amount,
        "type": "PERCENT",
        "facilitatorCollectAndRemitTax": False,
    }


def _discount(guid: str, name: str, amount: Decimal) -> Row:
    return {
        **reference("AppliedCustomDiscount", guid),
        "name": name,
        "discountAmount": amount,
        "nonTaxDiscountAmount": amount,
        "discount": named("Discount", guid_of("discount", name)),
        "discountType": "PERCENT",
        "processingState": None,
        "triggers": [],
        "comboItems": [],
        "approver": None,
    }


def _charge(check: SimCheck, version: str, name: str, amount: Decimal, category: str, *, taxable: bool) -> Row:
    return {
        **reference("AppliedServiceCharge", sibling(check.uid, version)),
        "serviceCharge": reference("ServiceCharge", guid_of("service charge", name)),
        "name": name,
        "chargeAmount": amount,
        "chargeType": "OPEN",
        "serviceChargeCalculation": None,
        "serviceChargeCategory": category,
        "delivery": False,
        "takeout": False,
        "dineIn": True,
        "gratuity": False,
        "taxable": taxable,
        "appliedTaxes": [],
        "paymentGuid": None,
    }


def _refund_details(refund: SimRefund, amount: Decimal, tax: Decimal) -> Row:
    transaction = named("RefundTransaction", refund.uid)
    return {"refundAmount": amount, "taxRefundAmount": tax, "refundTransaction": transaction}


SANDBOX = ToastSandbox
