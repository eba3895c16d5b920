"""A local Simphony over the simulated company: one organisation, a location for every outlet with its tills.

Written from Oracle's Business Intelligence API guide as client code and notes show it. Its manners on purpose: a
sign-in with PKCE and cookies on paths of another host, the id token for a bearer, reading by POST, null for an empty
list, stamps without an offset, numbers instead of names on checks, discounts and voids as negative lines among the
items and tenders, an item rung twice and taken back on one check in ten, numbers that differ from location to location.

What is not public is decided here: a cancelled check has a void for each of its lines and owes nothing; a return is a
check of its own whose lines are what was paid for the items, condiments included; a tender's total has the tip and not
the change; the rounding is in the totals and on no line that moves money; a transferred check leaves an empty header;
the time clock of a job without a rate has no hours. Fields that the connector does not ask by are refused.
"""

from __future__ import annotations

import base64
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

from ingestion.sandbox import menu
from ingestion.sandbox.clock import Clock
from ingestion.sandbox.model import SimLine, SimOutlet, SimPunch
from ingestion.sandbox.server import Request, Response, json_response
from ingestion.sandbox.tills import Bill, TillSandbox

if TYPE_CHECKING:
    from ingestion.sandbox.company import Company

ORG = "NUSANTARA"
CLIENT_ID = "c4-sandbox-micros-client"
USERNAME = "c4-sandbox-micros-user"
PASSWORD = "c4-sandbox-micros-password"
CCAPI_USERNAME = "c4-sandbox-ccapi-user"
CCAPI_PASSWORD = "c4-sandbox-ccapi-password"
ACCOUNTS = {USERNAME: PASSWORD, CCAPI_USERNAME: CCAPI_PASSWORD}
CALLBACK = "apiaccount://callback"
OIDC = "/oidc-provider/v1/oauth2"
TOKEN_SECONDS = "1209600"
SERVICE, TIP = 1, 2
RATELESS = "Outlet Manager"  # paid by the month: the time clock has no hours of this job
NORMAL_HOURS = Decimal(8)
DINING_ROOM, COUNTER = 1, 2
UNITS = 500  # numbers of the hierarchy's units begin there
SLIP = 3  # checks whose number ends so have an item that was rung twice
MOVED = 7  # and these were begun on another table
CONDIMENTS = 9000

Row = dict[str, Any]


def stamp(moment: datetime, zone: str = "UTC") -> str:
    return f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%dT%H:%M:%S}"


def twins(name: str, moment: datetime | None, zone: str) -> Row:
    """A stamp in UTC and on the location's clock."""
    if moment is None:
        return {f"{name}UTC": None, f"{name}Lcl": None}
    return {f"{name}UTC": stamp(moment), f"{name}Lcl": stamp(moment, zone)}


def problem(status: int, title: str, code: int = 0) -> Response:
    told = {"type": "about:blank", "title": title, "status": status, "detail": title}
    return json_response({**told, "o:errorCode": str(code or status), "o:errorDetails": []}, status)


def numbered(names: Iterable[str], first: int) -> dict[str, int]:
    return {name: number for number, name in enumerate(dict.fromkeys(names), start=first)}


class OracleMicrosSandbox(TillSandbox):
    vendor = "oracle-micros"
    kept = ("_changed",)

    def __init__(self, company: Company, clock: Clock) -> None:
        super().__init__(company, clock)
        self._sessions: dict[str, str] = {}  # cookie -> challenge
        self._codes: dict[str, tuple[str, str]] = {}  # code -> challenge, account
        self._changed: dict[tuple[str, str], Decimal] = {}  # location, SKU -> a price that somebody set
        self.price_changes: list[tuple[str, str, Decimal, Decimal]] = []  # and old and new: writes that took effect
        self._serial = count(1)
        self._staff = {(p.outlet.outlet_id, f"{p.first_name} {p.last_name}"): p.number for p in company.employees}
        platforms = [name for channel, name, *_ in menu.SALES_TYPES if channel == "delivery_platform"]
        self._names: dict[str, tuple[str, dict[str, int]]] = {
            "getOrderTypeDimensions": (
                "orderTypes",
                numbered([name for _, name, *_ in menu.SALES_TYPES if name not in platforms], 1),
            ),
            "getOrderChannelDimensions": ("orderChannels", numbered(platforms, 1)),
            "getDiscountDimensions": (
                "discounts",
                numbered([*(name for name, _ in (*menu.DISCOUNTS, menu.UNKNOWN_DISCOUNT)), *menu.COMPS], 100),
            ),
            "getTaxDimensions": ("taxes", {"PB1": 1}),
            "getTenderMediaDimensions": (
                "tenderMedias",
                numbered([*(tender[1] for tender in (*menu.TENDERS, menu.UNKNOWN_TENDER)), *platforms], 1),
            ),
            "getJobCodeDimensions": ("jobCodes", numbered(sorted({p.job_title for p in company.employees}), 10)),
        }
        plain = {"applicationName", "locRef"}
        dated = plain | {"busDt"}
        changing = dated | {"changedSinceUTC"}
        self._answers: dict[str, tuple[set[str], Callable[[Row, str], Response]]] = {
            "getLatestBusDt": (plain, self._latest),
            "getServiceChargeDimensions": (plain, self._service_charges),
            "getMenuItemDimensions": (plain, self._menu_items),
            "getMenuItemPrices": (plain | {"effFrDt"}, self._prices),
            "getEmployeeDimensions": (plain, self._employees),
            "getGuestChecks": (changing | {"opnBusDt", "clsdBusDt", "clsdGuestChecksOnly"}, self._guest_checks),
            "getTimeCardDetails": (changing, self._time_cards),
            "getOperationsDailyTotals": (dated, self._operations),
        }

    def vendor_id(self, outlet: SimOutlet) -> str:
        return f"{outlet.number:04d}"

    def credentials(self) -> dict[str, str]:
        return {
            "username": USERNAME,
            "password": PASSWORD,
            "ccapi_username": CCAPI_USERNAME,
            "ccapi_password": CCAPI_PASSWORD,
        }

    def settings(self, base_url: str) -> dict[str, str]:
        return {
            "app_url": base_url,
            "auth_url": base_url,
            "ccapi_url": base_url,
            "org": ORG,
            "client_id": CLIENT_ID,
        }

    def acts_as(self, request: Request) -> str:
        return "GET" if request.path.startswith("/bi/") or "/get" in request.path else "POST"

    def handle(self, request: Request) -> Response:
        if request.path.startswith(OIDC):
            return self._sign_in(request)
        if request.path.startswith("/config/sim/v2/"):
            return self._configure(request)
        _, bi, _, org, operation = (*request.path.split("/"), *[""] * 5)[:5]
        if bi != "bi" or request.method != "POST":
            return problem(405, "Method Not Allowed")
        if self.holder(request) != USERNAME:
            return problem(401, "Unauthorized")
        if org != ORG:
            return problem(403, "The token is of another organization", 33102)
        if request.headers.get("Content-Type", "").split(";")[0] != "application/json":
            return problem(400, "Content-Type is not application/json")
        try:
            return self._answer(operation, request.json())
        except (ValueError, AttributeError) as refused:
            return problem(400, str(refused))

    def _answer(self, operation: str, asked: Row) -> Response:
        if operation == "getLocationDimensions":
            return self._locations(asked)
        allowed, answer = self._answers.get(operation, ({"applicationName", "locRef"}, None))
        if answer is None and operation not in self._names:
            return problem(404, "Not Found")
        if unknown := asked.keys() - allowed:
            raise ValueError(f"{sorted(unknown)[0]}: unknown field")
        if "locRef" not in asked:
            raise ValueError("locRef: is required")
        if asked["locRef"] not in self.tills:
            return problem(403, "Unknown or unauthorized location", 33109)
        if "busDt" in allowed and len(asked.keys() & {"busDt", "opnBusDt", "clsdBusDt"}) != 1:
            raise ValueError("busDt: one date is required")
        if answer is None:
            path, names = self._names[operation]
            return self._listing(asked["locRef"], path, [named(num, name) for name, num in names.items()])
        return answer(asked, asked["locRef"])

    def _listing(self, key: str, path: str, rows: Sequence[Row]) -> Response:
        return json_response({"curUTC": stamp(self.clock.now()), "locRef": key, path: list(rows) or None})

    # Sign-in

    def _sign_in(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        step = (request.method, request.path.removeprefix(OIDC))
        with self.lock:
            if step == ("GET", "/authorize"):
                return self._authorize(request)
            if step == ("POST", "/signin"):
                return self._password(request, form)
            if step == ("POST", "/token"):
                return self._token(form)
        return json_response({"message": "Not Found", "code": 404}, 404)

    def _authorize(self, request: Request) -> Response:
        wanted = {
            "response_type": "code",
            "client_id": CLIENT_ID,
            "scope": "openid",
            "redirect_uri": CALLBACK,
            "code_challenge_method": "S256",
        }
        if (
            any(request.arg(name) != value for name, value in wanted.items())
            or len(request.arg("code_challenge")) != 43
        ):
            return json_response({"error": "invalid_request"}, 400)
        session = f"session-{next(self._serial)}"
        self._sessions[session] = request.arg("code_challenge")
        return Response(200, b"", headers={"Set-Cookie": f"OIDC_SESSION={session}; Path=/; HttpOnly"})

    def _password(self, request: Request, form: dict[str, str]) -> Response:
        session = request.headers.get("Cookie", "").removeprefix("OIDC_SESSION=")
        if session not in self._sessions:
            return json_response({"message": "no session", "code": 400}, 400)
        name = form.get("username", "")
        if form != {"username": name, "password": ACCOUNTS.get(name), "orgname": ORG}:
            return json_response({"message": "Invalid credentials", "code": 401}, 401)
        code = f"c4-sandbox-code-{next(self._serial)}"
        self._codes[code] = self._sessions.pop(session), name
        return json_response({"success": True, "nextOp": "redirect", "redirectUrl": f"{CALLBACK}?code={code}"})

    def _token(self, form: dict[str, str]) -> Response:
        if form.get("grant_type") == "client_credentials":
            return json_response({"error": "UNSUPPORTED_CLIENT"}, 400)
        verifier = form.get("code_verifier", "")
        digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        wanted = {"grant_type": "authorization_code", "client_id": CLIENT_ID, "scope": "openid"}
        right = all(form.get(name) == value for name, value in wanted.items()) and 43 <= len(verifier) <= 128
        challenge, name = self._codes.pop(form.get("code", ""), ("", ""))
        if not right or challenge != digest:
            return json_response({"error": "invalid_grant"}, 400)
        token = self.grant(name)
        told = {"access_token": f"access-{token}", "id_token": token, "refresh_token": f"refresh-{token}"}
        return json_response({**told, "token_type": "Bearer", "expires_in": TOKEN_SECONDS})

    # Configuration and content: another API, another account

    def price(self, key: str, sku: str) -> Decimal:
        """What the location's tills ask for a SKU."""
        product = next(product for product in self.company.menu(self.tills[key]) if product.sku == sku)
        return self._changed.get((key, sku), product.price)

    def set_price(self, key: str, sku: str, price: Decimal) -> None:
        """Somebody changes a price in the back office."""
        with self.lock:
            self._changed[key, sku] = price

    def _configure(self, request: Request) -> Response:
        if self.holder(request) != CCAPI_USERNAME:
            return problem(401, "Unauthorized")
        if request.method != "POST":
            return problem(405, "Method Not Allowed")
        operation, asked = request.path.removeprefix("/config/sim/v2/"), request.json()
        with self.lock:
            if operation == "menuItems/updateMenuItemPrices":
                outcomes = [self._update_price(row) for row in asked]
                return json_response(outcomes, 207 if any(outcome["errors"] for outcome in outcomes) else 200)
            rows = self._configured(operation, asked.get("searchCriteria", ""))
        if rows is None:
            return problem(404, "Not Found")
        offset, limit = asked["offset"], asked["limit"]
        shown = rows[offset : offset + limit]
        told = {"offset": offset, "limit": limit, "count": len(shown), "totalResults": len(rows)}
        return json_response({"items": shown, **told, "hasMore": offset + limit < len(rows)})

    def _configured(self, operation: str, criteria: str) -> list[Row] | None:
        units = {UNITS + outlet.number: key for key, outlet in self.tills.items()}
        if operation == "hierarchy/getLocations":
            return [
                {"hierUnitId": unit, "objectNum": unit, "name": self.tills[key].name, "locRef": key}
                for unit, key in units.items()
            ]
        products = {product.number: product for outlet in self.tills.values() for product in self.company.menu(outlet)}
        if operation == "menuItems/getMenuItemMasters":
            return [
                {"menuItemMasterId": 7000 + number, "objectNum": number, "name": product.name}
                | {"externalReference1": product.sku, "externalReference2": None}
                for number, product in products.items()
            ]
        if operation != "menuItems/getMenuItemPrices":
            return None
        return [
            {
                "hierUnitId": unit,
                "menuItemPriceId": unit * 10_000 + product.number * 10 + level,
                "menuItemMasterObjNum": product.number,
                "defSequenceNum": 1,
                "priceSequenceNum": level,
                "price": self.price(key, product.sku) * share,
            }
            for unit, key in units.items()
            if criteria in ("", f"where equals(hierUnitId,{unit})")
            for product in self.company.menu(self.tills[key])
            for level, share in ((1, Decimal(1)), (2, Decimal("0.8")))
        ]

    def _update_price(self, row: Row) -> Row:
        key = next((key for key, outlet in self.tills.items() if UNITS + outlet.number == row["hierUnitId"]), None)
        menu_of = {product.number: product for product in self.company.menu(self.tills[key])} if key else {}
        product = menu_of.get(row["menuItemMasterObjNum"])
        if key is None or product is None or (row["defSequenceNum"], row["priceSequenceNum"]) != (1, 1):
            return {"menuItemPriceId": None, "result": "ERROR", "errors": ["Price record not found"]}
        old, new = self.price(key, product.sku), Decimal(row["price"])
        if old != new:
            self.price_changes.append((key, product.sku, old, new))
            self._changed[key, product.sku] = new
        number = row["hierUnitId"] * 10_000 + product.number * 10 + 1
        return {"menuItemPriceId": number, "result": "SUCCESS", "errors": []}

    # Definitions

    def _locations(self, asked: Row) -> Response:
        if unknown := asked.keys() - {"applicationName", "locRef"}:
            raise ValueError(f"{sorted(unknown)[0]}: unknown field")
        rows = [
            {
                "locRef": key,
                "name": outlet.name,
                "openDt": f"{self.company.start.year - 2}-01-01",
                "active": True,
                "srcName": "Simphony",
                "srcVer": "19.6",
                "tz": outlet.timezone,
                "curr": outlet.currency,
                "workstations": [{"wsNum": 1, "wsName": "Till 1"}],
            }
            for key, outlet in self.tills.items()
            if asked.get("locRef") in (None, key)
        ]
        return json_response({"curUTC": stamp(self.clock.now()), "locations": rows or None})

    def _latest(self, _: Row, key: str) -> Response:
        now = self.clock.now()
        latest = self.company.business_date(self.tills[key], now)
        return json_response({"curUTC": stamp(now), "locRef": key, "latestBusDt": latest.isoformat()})

    def _service_charges(self, _: Row, key: str) -> Response:
        service = {**named(SERVICE, "Service Charge"), "posPercent": 5, "revFlag": True, "chrgTipsFlag": False}
        tip = {**named(TIP, "Charged Tip"), "posPercent": None, "revFlag": False, "chrgTipsFlag": True}
        return self._listing(key, "serviceCharges", [service, tip])

    def _menu_items(self, _: Row, key: str) -> Response:
        products = self.company.menu(self.tills[key])
        rows = [
            {
                **named(self._item(key, product.number), product.name),
                "name2": None,
                "mstrNum": product.number,
                "majGrpName": product.group.title(),
                "famGrpName": product.category,
                "extRef1": product.sku,
            }
            for product in products
        ]
        condiments = {modifier.number: modifier for product in products for modifier in product.modifiers}
        rows += [
            {
                **named(CONDIMENTS + number, modifier.option),
                "majGrpName": "Condiments",
                "famGrpName": modifier.name,
                "extRef1": None,
            }
            for number, modifier in sorted(condiments.items())
        ]
        return self._listing(key, "menuItems", rows)

    def _prices(self, _: Row, key: str) -> Response:
        levels = ((1, "Main", Decimal(1)), (2, "Happy Hour", Decimal("0.8")))
        rows = [
            {
                "num": self._item(key, product.number),
                "rvcNum": rvc,
                "prcLvlNum": level,
                "prcLvlName": name,
                "price": self.price(key, product.sku) * share,
                "effFrDt": None,
                "effToDt": None,
            }
            for product in self.company.menu(self.tills[key])
            for rvc in (DINING_ROOM, COUNTER)
            for level, name, share in levels
        ]
        return self._listing(key, "menuItemPrices", rows)

    def _employees(self, _: Row, key: str) -> Response:
        rows = [
            {
                "num": person.number,
                "fName": person.first_name,
                "lName": person.last_name,
                "payrollID": person.number,
                "externalPayrollID": person.email,
                "className": person.department,
            }
            for person in self.company.employees
            if person.outlet is self.tills[key]
        ]
        return self._listing(key, "employees", rows)

    def _item(self, key: str, number: int) -> int:
        """The number of a menu item: every location has numbers of its own."""
        return (int(key) % 8 + 1) * 1000 + number

    # Guest checks

    def _guest_checks(self, asked: Row, key: str) -> Response:
        since = moment_of(asked.get("changedSinceUTC"))
        wanted = date.fromisoformat(asked.get("busDt") or asked.get("opnBusDt") or asked["clsdBusDt"])
        rows = []
        for bill in self.bills(key):
            if business_date(bill) == wanted and bill.changed_at >= since:
                rows.append(self._guest_check(key, bill))
                if bill.refund is None and bill.check.table and bill.number // 10 % 10 == MOVED:
                    rows.append(self._moved(key, bill))
        return self._listing(key, "guestChecks", rows)

    def _id(self, bill: Bill) -> int:
        return bill.check.outlet.number * 10**10 + bill.number * 10

    def _header(self, key: str, bill: Bill) -> Row:
        check, zone = bill.check, self.tills[key].timezone
        day = business_date(bill).isoformat()
        types, channels = (self._names[f"get{name}Dimensions"][1] for name in ("OrderType", "OrderChannel"))
        closed = check.closed_at if bill.refund is None else bill.at
        return {
            "guestCheckId": self._id(bill),
            "chkNum": bill.number // 10 % 10_000,
            "chkName": check.cashier if check.table else None,
            "opnBusDt": day,
            **twins("opn", bill.at, zone),
            "clsdBusDt": day,
            **twins("clsd", closed, zone),
            **twins("lastTrans", closed, zone),
            **twins("lastUpdated", bill.changed_at, zone),
            "clsdFlag": True,
            "gstCnt": check.covers if bill.refund is None else 0,
            "rvcNum": revenue_center(bill),
            "otNum": types.get(check.sales_type, types["Delivery"]),
            "ocNum": channels.get(check.sales_type),
            "tblName": check.table or None,
            "empNum": self._staff[check.outlet.outlet_id, check.cashier],
            "numSrvcRd": 1,
            "xferStatus": None,
            "xferToChkNum": None,
        }

    def _moved(self, key: str, bill: Bill) -> Row:
        """What is left of a check whose lines were transferred to this bill's."""
        header = self._header(key, bill)
        totals = dict.fromkeys(("subTtl", "dscTtl", "svcChgTtl", "taxCollTtl", "chkTtl", "payTtl", "balDueTtl"), 0)
        moved = {"guestCheckId": header["guestCheckId"] + 1, "xferStatus": "T", "xferToChkNum": header["chkNum"]}
        return {**header, **totals, **moved, "taxes": None, "detailLines": None}

    def _guest_check(self, key: str, bill: Bill) -> Row:
        money, check = bill.money, bill.check
        owed = 0 if bill.is_voided else bill.sign
        tip = check.tip if bill.refund is None else Decimal(0)
        reduced = check.discounts + check.comps if bill.refund is None else Decimal(0)
        total = owed * (money.total + tip)
        tax = {
            "taxNum": 1,
            "txblSlsTtl": owed * (money.net + money.service),
            "taxCollTtl": owed * money.tax,
            "taxRate": check.outlet.tax_rate * 100,
            "type": 1,
        }
        return {
            **self._header(key, bill),
            "cancelFlag": bill.is_voided,
            "subTtl": owed * (money.net + reduced),
            "dscTtl": -owed * reduced,
            "svcChgTtl": owed * money.service,
            "tipTotal": owed * tip,
            "taxCollTtl": owed * money.tax,
            "nonTxblSlsTtl": 0,
            "chkTtl": total,
            "payTtl": total,
            "balDueTtl": 0,
            "returnTtl": money.net if bill.refund else 0,
            "taxes": [tax],
            "detailLines": self._lines(key, bill),
        }

    def _lines(self, key: str, bill: Bill) -> list[Row]:
        writer = _Lines(self, key, bill)
        if bill.refund is None:
            writer.sale()
        else:
            for line in bill.lines:
                writer.item(line, -line.quantity, -line.net, returnFlag=True)
        writer.settle()
        if bill.is_voided:
            writer.void_all()
        return writer.rows

    # Time cards

    def _time_cards(self, asked: Row, key: str) -> Response:
        since = moment_of(asked.get("changedSinceUTC"))
        now = self.clock.now()
        cards = [
            self._time_card(key, punch)
            for punch in self.company.punches()
            if punch.employee.outlet is self.tills[key]
            and punch.business_date.isoformat() == asked["busDt"]
            and since <= punch.known_at <= now
        ]
        return self._listing(
            key, "businessDates", [{"busDt": asked["busDt"], "timeCardDetails": cards}] if cards else []
        )

    def _time_card(self, key: str, punch: SimPunch) -> Row:
        person, zone = punch.employee, self.tills[key].timezone
        hours = Decimal(0) if person.job_title == RATELESS else punch.hours
        regular = min(hours, NORMAL_HOURS)
        jobs = self._names["getJobCodeDimensions"][1]
        return {
            "tcId": punch.number,
            "busDt": punch.business_date.isoformat(),
            "empNum": person.number,
            "payrollID": str(person.number),
            "jcNum": jobs[person.job_title],
            "rvcNum": DINING_ROOM,
            "shftNum": 1,
            **twins("clkIn", punch.started_at, zone),
            **twins("clkOut", punch.ended_at, zone),
            "regHrs": regular,
            "regPay": regular * person.hourly_rate,
            "ovt1Hrs": hours - regular,
            "ovt1Pay": (hours - regular) * person.hourly_rate,
            **dict.fromkeys(("ovt2Hrs", "ovt3Hrs", "ovt4Hrs", "premHrs", "chrgTips"), 0),
            "lastUpdatedUTC": stamp(punch.known_at),
            "addedUTC": stamp(punch.known_at),
            "adjustments": None,
        }

    # Daily totals

    def _operations(self, asked: Row, key: str) -> Response:
        wanted = date.fromisoformat(asked["busDt"])
        centers: dict[int, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
        for bill in self.bills(key):
            if business_date(bill) != wanted:
                continue
            center, money = centers[revenue_center(bill)], bill.money
            if bill.is_voided:
                center["transCnclCnt"] += 1
                center["transCnclTtl"] += bill.check.gross
                continue
            center["chkCnt"] += 1
            center["netSlsTtl"] += bill.sign * money.net
            center["svcTtl"] += bill.sign * money.service
            center["taxCollTtl"] += bill.sign * money.tax
            center["rndTtl"] += bill.sign * money.rounding
            if bill.refund is None:
                center["gstCnt"] += bill.check.covers
                center["itmDscTtl"] -= bill.check.comps
                center["subDscTtl"] -= bill.check.discounts
            else:
                center["rtnCnt"] += 1
                center["rtnTtl"] -= money.net
        rows = [{"rvcNum": number, **totals} for number, totals in sorted(centers.items())]
        return json_response({"locRef": key, "busDt": asked["busDt"], "revenueCenters": rows or None})


class _Lines:
    """The detail lines of one bill, in the order in which the till wrote them."""

    def __init__(self, sandbox: OracleMicrosSandbox, key: str, bill: Bill) -> None:
        self.rows: list[Row] = []
        self._sandbox, self._key, self._bill = sandbox, key, bill
        self._day = business_date(bill).isoformat()
        self._discounts = sandbox._names["getDiscountDimensions"][1]

    def _add(self, quantity: int, total: Decimal, parent: int | None = None, **more: Any) -> int:
        number = len(self.rows) + 1
        zone = self._sandbox.tills[self._key].timezone
        self.rows.append(
            {
                "guestCheckLineItemId": self._sandbox._id(self._bill) * 1000 + number,
                "lineNum": number,
                "dtlId": number,
                "parDtlId": parent,
                "busDt": self._day,
                **twins("detail", self._bill.at + timedelta(seconds=number), zone),
                "rvcNum": revenue_center(self._bill),
                "wsNum": 1,
                "dspTtl": total,
                "dspQty": quantity,
                "aggTtl": total,
                "aggQty": quantity,
                **more,
            }
        )
        return number

    def item(self, line: SimLine, quantity: int, total: Decimal, **flags: bool) -> int:
        number = self._sandbox._item(self._key, line.product.number)
        told = {"miNum": number, "modFlag": False, "activeTaxes": "1", "prcLvl": 1}
        return self._add(quantity, total, menuItem=told, **flags)

    def _discount(self, name: str, amount: Decimal, parent: int | None = None) -> None:
        self._add(1, -amount, parent, discount={"dscNum": self._discounts[name], "dscMiNum": None})

    def sale(self) -> None:
        check = self._bill.check
        whole = check.lines[0].discount_name if len(check.lines) > 1 else ""
        for line in check.lines:
            condiments = [(modifier, modifier.price * line.quantity) for modifier in line.modifiers]
            rest = line.gross - sum((amount for _, amount in condiments), Decimal(0))
            parent = self.item(line, line.quantity, rest)
            for modifier, amount in condiments:
                told = {"miNum": CONDIMENTS + modifier.number, "modFlag": True}
                self._add(line.quantity, amount, parent, menuItem=told)
            if line.comp_name:
                self._discount(line.comp_name, line.comp, parent)
            elif line.discount_name and not whole:
                self._discount(line.discount_name, line.discount, parent)
        if self._bill.number // 10 % 10 == SLIP and check.voided_at is None:
            first = check.lines[0]
            self.item(first, 1, first.product.price)
            self.item(first, -1, -first.product.price, vdFlag=True)
        if whole:
            self._discount(whole, check.discounts)

    def settle(self) -> None:
        """Charges, rounding and the tender."""
        bill, money = self._bill, self._bill.money
        tip = bill.check.tip if bill.refund is None else Decimal(0)
        for number, amount in ((SERVICE, money.service), (TIP, tip)):
            if amount:
                self._add(bill.sign, bill.sign * amount, serviceCharge={"svcChgNum": number})
        if money.rounding:
            self._add(1, bill.sign * money.rounding, other={"detailType": 9, "detailNum": 1})
        names = self._sandbox._names["getTenderMediaDimensions"][1]
        tender = {"tmedNum": names[bill.check.tender_name]}
        paid = self._add(bill.sign, bill.sign * (money.total + tip), tenderMedia=tender)
        if bill.refund is None:
            self.rows[paid - 1]["dspTtl"] = bill.check.tendered

    def void_all(self) -> None:
        for row in list(self.rows):
            kind = {name: row[name] for name in ("menuItem", "discount", "serviceCharge", "tenderMedia") if name in row}
            if kind:
                self._add(-row["aggQty"], -row["aggTtl"], row["parDtlId"], vdFlag=True, **kind)


def named(number: int, name: str) -> Row:
    return {"num": number, "name": name, "mstrNum": number, "mstrName": name}


def business_date(bill: Bill) -> date:
    return (bill.check if bill.refund is None else bill.refund).business_date


def revenue_center(bill: Bill) -> int:
    return DINING_ROOM if bill.check.table else COUNTER


def moment_of(text: str | None) -> datetime:
    """Raises ValueError: the vendor wants seconds and no offset."""
    return datetime.strptime(text or "1970-01-01T00:00:00", "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)


SANDBOX = OracleMicrosSandbox
