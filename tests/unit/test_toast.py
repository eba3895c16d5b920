"""Toast: the connector against its sandbox over a real socket, its staging over what it loaded."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import msgspec
import pytest
import requests
import yaml
from jsonschema import Draft202012Validator

from ingestion.core.errors import AccessError
from ingestion.core.fetch import Page, ScopeFailed, fetch, plan
from ingestion.core.http import ApiClient
from ingestion.core.records import PageDecoder, keyed_hasher
from ingestion.core.settings import PROJECT_ROOT, Settings
from ingestion.core.spec import Cursor, Limit
from ingestion.core.warehouse import ensure_raw_tables
from ingestion.sandbox.clock import Clock
from ingestion.sandbox.company import Company
from ingestion.sandbox.menu import COMPS
from ingestion.sandbox.server import Request, Response, RunningSandboxes, serve
from ingestion.vendors.toast import CONNECTOR
from ingestion.vendors.toast.sandbox import SANDBOX
from tests.staging import rows_in, staging_sql
from tests.stand import Stand

pytestmark = pytest.mark.xdist_group("toast")  # one night for all that only look at it
SHARED = Path(os.environ.get("C4_SHARED") or PROJECT_ROOT.parent / "shared")
SPECS = SHARED / "specs" / "toast"
LOGIN = "/authentication/v1/authentication/login"
RESTAURANT = "Toast-Restaurant-External-ID"
SUMS = ("covers", "gross_sales", "returns", "net_sales", "service_charge", "tax", "rounding", "bill_total")
TENDERS = {"CASH": "cash", "CREDIT": "credit_card", "GIFTCARD": "gift_card"}


class WatchedSandbox(SANDBOX):
    """The sandbox, keeping what it was asked and what it answered."""

    def __init__(self, company: Company, clock: Clock) -> None:
        super().__init__(company, clock)
        self.seen: list[tuple[Request, Response]] = []

    def handle(self, request: Request) -> Response:
        answer = super().handle(request)
        with self.lock:
            self.seen.append((request, answer))
        return answer


@cache
def company() -> Company:
    """Six outlets: all Indonesian time zones, a restaurant open till the cut-off, one that Toast does not show."""
    return Company.build(outlets=6, days=3, checks_per_day=50, pos=("toast",))


@pytest.fixture
def running() -> Iterator[RunningSandboxes]:
    with serve(company(), Clock(company().nights()[-1]), [WatchedSandbox]) as sandboxes:
        yield sandboxes
        assert sandboxes.errors("toast") == []


@pytest.fixture(scope="module")
def last_night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """Everything read once, at the last night."""
    with Stand.open(tmp_path_factory.mktemp("toast"), ["toast"], company()) as stand:
        assert [report.status for report in stand.sync_all()] == ["ok"]
        yield stand


def outlets() -> dict[str, str]:
    return SANDBOX(company(), Clock(company().nights()[-1])).outlets()


def client(running: RunningSandboxes, **credentials: str) -> ApiClient:
    sandbox = running.sandbox("toast")
    settings = sandbox.settings(running.url("toast"))
    limit = Limit(per_second=500, concurrent=4)
    held = sandbox.credentials() | credentials
    return ApiClient(CONNECTOR, "till", settings, held, limit=limit, sleep=lambda _: None)


def staged(data: Path, model: str) -> list[dict[str, Any]]:
    return rows_in(data, staging_sql("toast", model))


# What lands and what staging makes of it


def assert_staging_is_true(data: Path, now: datetime) -> None:
    """Every outlet-day of staging against what the company itself says."""
    known = [check for outlet in outlets().values() for check in company().checks(outlet)]
    tenders = TENDERS | {check.tender_name: check.tender for check in known}
    channels = {check.sales_type.lower(): check.channel for check in known}
    checks = {check["check_id"]: check for check in staged(data, "checks")}
    found: dict[tuple[str, date], dict[str, Any]] = defaultdict(lambda: defaultdict(Decimal))

    def day_of(check: dict[str, Any]) -> dict[str, Any]:
        return found[outlets()[check["source_outlet_id"]], check["source_business_date"]]

    for check in checks.values():
        day = day_of(check)
        if check["is_voided"]:
            day["voids"] += check["check_type"] == "sale"
            day["void_amount"] += check["gross_sales"]
            continue
        day["checks" if check["check_type"] == "sale" else "refunds"] += 1
        for name in SUMS:
            day[name] += check[name]
        parts = sum(check[name] for name in ("net_sales", "service_charge", "tax", "tip", "rounding"))
        assert check["bill_total"] == parts
        assert check["source_currency"] == "IDR"
    for line in staged(data, "check_lines"):
        check = checks[line["check_id"]]
        if check["is_voided"]:
            continue
        day = day_of(check)
        day["lines"] += check["check_type"] == "sale"
        day["comps" if line["discount_name"] in COMPS else "discounts"] += line["discounts"]
        day["net_of_lines"] += line["net_sales"]
        day[f"channel:{channels[line['source_channel']]}"] += line["net_sales"]
        assert (line["discount_name"] is None) == (line["discounts"] == 0)
        assert (line["quantity"] < 0) == (check["check_type"] == "refund")
    for payment in staged(data, "check_payments"):
        check = checks[payment["check_id"]]
        if not check["is_voided"]:
            day_of(check)[f"tender:{tenders[payment['source_tender']]}"] += payment["amount"]
    for tax in staged(data, "check_taxes"):
        check = checks[tax["check_id"]]
        if not check["is_voided"]:
            day_of(check)["tax_of_rows"] += tax["amount"]
            assert (tax["tax_name"], tax["rate"]) == (
                "PB1",
                company().outlet(outlets()[check["source_outlet_id"]]).tax_rate,
            )

    names = [*SUMS, "checks", "refunds", "lines", "discounts", "comps", "voids", "void_amount"]
    for key, truth in company().truth(now, [company().outlet(outlet) for outlet in outlets().values()]).items():
        expected = {name: getattr(truth, name) for name in names}
        expected |= {"net_of_lines": truth.net_sales, "tax_of_rows": truth.tax}
        expected |= {f"tender:{tender}": amount for tender, amount in truth.tenders.items()}
        expected |= {f"channel:{channel}": amount for channel, amount in truth.channels.items()}
        actual = found.pop(key, {})
        assert {name: value for name, value in actual.items() if value} == {
            name: value for name, value in expected.items() if value
        }, key
    assert not found


def test_two_nights_equal_the_company(tmp_path: Path) -> None:
    """Catches: lost pages, late checks and voids behind the cursor, refunds that move no order, wrong signs."""
    first, second = company().nights()[-2:]
    with Stand.open(tmp_path, ["toast"], company()) as stand:
        for night in (first, second):
            stand.set_clock(night)
            (report,) = stand.sync_all()
            assert (report.status, report.rejects) == ("ok", 0)
            assert_staging_is_true(tmp_path, night)
    known = [c for o in outlets().values() for c in company().checks(o) if c.known_at <= second]
    assert any(first < (c.void_known_at or first) <= second and c.known_at <= first for c in known), "no late void"
    assert any(first < r.known_at <= second for c in known for r in c.refunds if c.known_at <= first), "no late refund"
    assert any(c.net != c.net.to_integral_value() for c in known), "no fraction of a rupiah"


def test_refunds_and_voids_behind_the_window_bring_their_orders(running: RunningSandboxes) -> None:
    """Catches: money given back long after the sale, which moves no order into the window."""
    now, calls = running.clock.now(), client(running)
    stream = replace(CONNECTOR.stream("orders"), cursor=Cursor(lookback=timedelta(minutes=1)))
    planned = plan(
        stream,
        outlets={guid: ZoneInfo(company().outlet(ours).timezone) for guid, ours in outlets().items()},
        settings=calls.settings,
        start_date=company().start,
        as_of=now,
        cursors=dict.fromkeys(outlets(), now.isoformat()),
    )
    events = list(fetch(calls, planned))
    assert not [event for event in events if isinstance(event, ScopeFailed)]
    pages = [msgspec.json.decode(event.content) for event in events if isinstance(event, Page)]
    found = sorted(page["checks"][0]["guid"] for page in pages if isinstance(page, dict))
    known = [check for ours in outlets().values() for check in company().checks(ours) if check.known_at <= now]
    moved = [c.uid for c in known if c.voided(now) or any(refund.known_at <= now for refund in c.refunds)]
    assert len(moved) > 5
    assert found == sorted(moved)
    assert not [order for page in pages if isinstance(page, list) for order in page], "the window was not empty"


def test_hours_and_jobs_are_the_companys(last_night: Stand) -> None:
    """Catches: overtime left out, shifts of the wrong outlet or date, staff without their job."""
    staff = {person["employee_id"]: person for person in staged(last_night.root, "employees")}
    hours: dict[tuple[str, date], Decimal] = defaultdict(Decimal)
    for punch in staged(last_night.root, "punches"):
        assert punch["is_approved"]
        hours[outlets()[staff[punch["employee_id"]]["source_outlet_id"]], punch["work_date"]] += punch["hours"]
    shown = [company().outlet(outlet) for outlet in outlets().values()]
    truth = company().truth(last_night.now, shown)
    assert dict(hours) == {key: day.hours for key, day in truth.items() if day.hours}
    jobs = sorted((outlets()[person["source_outlet_id"]], person["job_title"]) for person in staff.values())
    assert jobs == sorted((p.outlet.outlet_id, p.job_title) for p in company().employees if p.outlet in shown)
    gone = sum(person["employment_status"] == "archived" for person in staff.values())
    assert gone == sum(p.left_on is not None for p in company().employees if p.outlet in shown)


def test_menu_and_modifiers(last_night: Stand) -> None:
    """Catches: an item doubled by a second menu, lines without the SKU that costs go by, options without a group."""
    products = staged(last_night.root, "products")
    assert len(products) == len(company().products) * len(outlets())
    shown = {(row["product_code"], row["product_name"], row["source_category"], row["list_price"]) for row in products}
    assert shown == {(p.sku, p.name, p.category, p.price) for p in company().products}
    assert not any(row["is_deleted"] for row in products)
    sold = {line.uid: line for o in outlets().values() for check in company().checks(o) for line in check.lines}
    for line in staged(last_night.root, "check_lines"):
        product = sold[line["line_id"].removesuffix("-refund")].product
        stated = (line["product_code"], line["product_name"], line["source_category"])
        assert stated == (product.sku, product.name, product.category)
    modifiers = staged(last_night.root, "check_modifiers")
    assert modifiers
    for row in modifiers:
        (chosen,) = sold[row["line_id"]].modifiers
        amount = chosen.price * sold[row["line_id"]].quantity
        assert (row["modifier_name"], row["option_name"], row["amount"]) == (chosen.name, chosen.option, amount)


def test_nobodys_name_is_stored(last_night: Stand) -> None:
    """Catches: names, e-mails or cards in a raw table."""
    stored = str(last_night.raw("toast"))
    people = [person for person in company().employees if person.outlet.pos == "toast"]
    assert people
    assert not [p for p in people if p.last_name in stored or p.email in stored]
    assert not [p for p in people if f"'{p.first_name}'" in stored]
    assert "4242" not in {str(value) for row in last_night.raw("toast")["payments"] for value in row.values()}
    assert "last4_digits" not in last_night.raw("toast")["payments"][0]


# Requests


def test_windows_are_cut_as_the_vendor_wants_them(tmp_path: Path) -> None:
    """Catches: a first read of months that the vendor refuses, pages that are not asked for, a wrong stamp."""
    busy = Company.build(outlets=1, days=1, checks_per_day=130, pos=("toast",))
    with Stand.open(tmp_path, [], busy, days=1) as stand, serve(busy, stand.clock, [WatchedSandbox]) as running:
        busy.write_config(tmp_path / "config", running)
        path = tmp_path / "config" / "integrations.yaml"
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        for integration in document["integrations"]:
            integration["start_date"] = date(2026, 1, 1)
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        (account,) = stand.platform().integrations("toast")
        sandbox = running.sandbox("toast")
        stand.platform().ops.set_credentials(account.integration_id, sandbox.credentials(), who="test")
        assert [report.status for report in stand.sync_all("toast")] == ["ok"]
        seen = [request for request, _ in sandbox.seen]
    labor = [request for request in seen if request.path == "/labor/v1/timeEntries"]
    assert len(labor) > 3
    bulk = [request for request in seen if request.path == "/orders/v2/ordersBulk"]
    assert any(request.arg("page") == "2" for request in bulk)
    for asked, longest in ((labor, 28), (bulk, 1)):
        names = ("startDate", "endDate") if asked is bulk else ("modifiedStartDate", "modifiedEndDate")
        spans = {tuple(datetime.fromisoformat(request.arg(name)) for name in names) for request in asked}
        assert all(end - start <= timedelta(days=longest) for start, end in spans)
        starts, ends = zip(*sorted(spans), strict=True)
        assert starts[1:] == ends[:-1]
        assert ends[-1] == stand.now
    assert sum(request.path == LOGIN for request in seen) == 1


def test_the_sandbox_refuses_as_documented(running: RunningSandboxes) -> None:
    """Catches: a sandbox so kind that a request the vendor would refuse passes unnoticed."""
    url, guid = running.url("toast"), next(iter(outlets()))
    calls = client(running)
    token = calls.request("GET", CONNECTOR.probe).request.headers["Authorization"]
    day = "startDate=2026-04-04T00:00:00.000%2B0000&endDate=2026-04-05T00:00:00.000%2B0000"
    month = "modifiedStartDate=2026-01-01T00:00:00.000%2B0000&modifiedEndDate=2026-04-01T00:00:00.000%2B0000"
    for path, headers, status in (
        (f"orders/v2/ordersBulk?{day}", {RESTAURANT: guid}, 200),
        (f"orders/v2/ordersBulk?{day}", {RESTAURANT: guid, "Authorization": "Bearer x"}, 401),
        (f"orders/v2/ordersBulk?{day}", {}, 400),
        (f"orders/v2/ordersBulk?{day}", {RESTAURANT: guid[:-1] + "x"}, 403),
        (f"orders/v2/ordersBulk?{day}&pageSize=101", {RESTAURANT: guid}, 400),
        (f"orders/v2/ordersBulk?{day.replace('.000%2B0000', 'Z')}", {RESTAURANT: guid}, 400),
        ("orders/v2/payments", {RESTAURANT: guid}, 400),
        (f"orders/v2/payments/{guid}", {RESTAURANT: guid}, 404),
        (f"labor/v1/timeEntries?{month}", {RESTAURANT: guid}, 400),
    ):
        answer = requests.get(f"{url}/{path}", headers={"Authorization": token} | headers, timeout=10)
        assert answer.status_code == status, path
        assert status == 200 or answer.json()["message"]


def test_a_token_is_renewed_and_a_wrong_secret_needs_a_person(running: RunningSandboxes) -> None:
    """Catches: a night that ends with its token; credentials that are tried again and again."""
    calls = client(running)
    calls.request("GET", CONNECTOR.probe)
    running.sandbox("toast").expire_tokens()
    assert calls.request("GET", CONNECTOR.probe).status_code == 200
    with pytest.raises(AccessError):
        client(running, client_secret="else").request("GET", CONNECTOR.probe)


# Against the published documents

DOCUMENTS = {
    "orders/v2": "orders",
    "labor/v1": "labor",
    "menus/v2": "menus",
    "restaurants/v1": "restaurants",
    "partners/v1": "partners",
    "authentication/v1": "authentication",
}


@cache
def document(name: str) -> dict[str, Any]:
    text = (SPECS / f"toast-{name}-openapi.yaml").read_text(encoding="utf-8")
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506


def strict(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """A Swagger schema as JSON schema that knows no other names; anything may be null, as the examples are."""
    if "$ref" in schema:
        return {"$ref": schema["$ref"].replace("#/definitions/", "#/$defs/")}
    properties: dict[str, Any] = {}
    for part in schema.get("allOf", []):
        inner = definitions[part["$ref"].split("/")[-1]] if "$ref" in part else part
        properties |= strict(inner, definitions).get("properties", {})
    properties |= {name: strict(inner, definitions) for name, inner in schema.get("properties", {}).items()}
    if set(properties) == {"identifier"}:
        return {"type": "object"}  # a map by numbers, which the documents describe in words only
    if properties:
        return {"type": ["object", "null"], "properties": properties, "additionalProperties": False}
    found: dict[str, Any] = {"type": [schema["type"], "null"]} if "type" in schema else {}
    if "items" in schema:
        found["items"] = strict(schema["items"], definitions)
    if "enum" in schema:
        found["enum"] = [*schema["enum"], None]
    return found


def schema_of(path: str) -> dict[str, Any] | None:
    """The schema of a path's 200 answer, from the document of its service; None where none is published."""
    service = next((prefix for prefix in DOCUMENTS if path.startswith(f"/{prefix}/")), None)
    if service is None:
        return None
    published = document(DOCUMENTS[service])
    rest = path.removeprefix(f"/{service}").split("/")
    for template, methods in published["paths"].items():
        parts = template.split("/")
        fits = len(parts) == len(rest) and all(p == r or p.startswith("{") for p, r in zip(parts, rest, strict=True))
        if fits and (operation := methods.get("get") or methods.get("post")):
            definitions = published["definitions"]
            answer = operation["responses"]["200"]["schema"]
            if "PaginatedResponse" in str(answer):
                answer = answer["items"]  # the schema is a list of pages, its example one page
            schema = strict(answer, definitions)
            return schema | {"$defs": {name: strict(inner, definitions) for name, inner in definitions.items()}}
    raise AssertionError(f"{path} is in no published document")


@pytest.mark.skipif(not SPECS.exists(), reason="the vendor's published documents are not here")
def test_answers_have_the_published_shape(running: RunningSandboxes) -> None:
    """Catches: a sandbox that speaks our names, types or enumerations instead of the vendor's."""
    sandbox = running.sandbox("toast")
    calls, guid = client(running), next(iter(outlets()))
    headers = {RESTAURANT: guid}
    refunded = next(c for c in company().checks(outlets()[guid]) if c.refunds)
    day = {"refundBusinessDate": f"{refunded.refunds[0].business_date:%Y%m%d}"}
    payment = calls.request("GET", "orders/v2/payments", params=day, headers=headers).json()[0]
    order = calls.request("GET", f"orders/v2/payments/{payment}", headers=headers).json()["orderGuid"]
    assert calls.request("GET", f"orders/v2/orders/{order}", headers=headers).json()["guid"] == order
    calls.request("GET", CONNECTOR.probe)
    since, until = "2026-04-04T00:00:00.000+0000", "2026-04-08T00:00:00.000+0000"
    for stream in CONNECTOR.streams:
        params = {name: until if "end" in name.lower() else since for name in stream.params if "Date" in name}
        calls.request("GET", stream.path.replace("{outlet}", guid), params=params, headers=headers)
    checked, problems = set(), set()
    for request, answer in sandbox.seen:
        if schema := schema_of(request.path):
            checked.add(request.path.split("/")[1] + "/" + request.path.split("/")[3])
            for error in Draft202012Validator(schema).iter_errors(msgspec.json.decode(answer.body)):
                problems.add(f"{request.path} {re.sub('[0-9]+', 'n', error.json_path)}: {error.message[:200]}")
    assert sorted(problems)[:20] == []
    assert checked == {
        *("orders/ordersBulk", "orders/orders", "orders/payments", "labor/jobs", "labor/employees"),
        *("labor/timeEntries", "menus/menus", "restaurants/restaurants", "partners/connectedRestaurants"),
        "authentication/authentication",
    }


# Orders as the simulated company never has them

STAMP = "2026-04-04T05:00:00.000+0000"


def ref(guid: str) -> dict[str, str]:
    return {"guid": guid}


def selection(guid: str = "s1", **more: Any) -> dict[str, Any]:
    taxes = [{"guid": f"t-{guid}", "name": "PB1", "rate": 0.1, "taxAmount": 3.0}]
    line = {"guid": guid, "quantity": 1, "preDiscountPrice": 30.0, "price": 30.0, "tax": 3.0, "displayName": "Soto"}
    return {**line, "appliedTaxes": taxes, **more}


def bill(guid: str = "c1", **more: Any) -> dict[str, Any]:
    payment = {"guid": f"p-{guid}", "type": "CASH", "amount": 33.0, "tipAmount": 0, "paidDate": STAMP}
    sums = {"amount": 30.0, "taxAmount": 3.0, "totalAmount": 33.0}
    return {"guid": guid, "openedDate": STAMP, **sums, "selections": [selection()], "payments": [payment], **more}


def order(*checks: dict[str, Any], guid: str = "o1", **more: Any) -> dict[str, Any]:
    told = {"openedDate": STAMP, "modifiedDate": STAMP, "businessDate": 20260404, "numberOfGuests": 4}
    return {"guid": guid, **told, "checks": list(checks), **more}


def put(data: Path, *orders: dict[str, Any], seq: int = 1) -> None:
    """Land orders in an otherwise empty warehouse, as a delivery of its own."""
    ensure_raw_tables(Settings.load(data, company().nights()[-1]), [CONNECTOR])
    stream = CONNECTOR.stream("orders")
    decoded = PageDecoder(stream, "till", keyed_hasher(b"k" * 32)).decode(
        msgspec.json.encode(orders), seq=seq, scope="r1", landing="", constants={"source_outlet_id": "r1"}
    )
    assert decoded.rejects == []
    with duckdb.connect(str(data / "warehouse.duckdb")) as connection:
        connection.register("incoming", decoded.tables["orders"])
        connection.execute("delete from raw_toast.orders where guid in (select guid from incoming)")
        for name, table in decoded.tables.items():
            connection.register("incoming", table)
            connection.execute(f"insert into raw_toast.{name} by name select * from incoming")


def test_what_was_no_sale_is_left_out(tmp_path: Path) -> None:
    """Catches: merged, test, waste and waiting orders that are sold; checks that were merged away."""
    put(
        tmp_path,
        order(bill(), bill("c9", deleted=True)),
        *(
            order(bill(f"c-{name}"), guid=f"o-{name}", **{name: value})
            for name, value in (
                ("deleted", True),
                ("createdInTestMode", True),
                ("excessFood", True),
                ("approvalStatus", "FUTURE"),
            )
        ),
    )
    assert [check["check_id"] for check in staged(tmp_path, "checks")] == ["c1"]
    assert {row["check_id"] for row in staged(tmp_path, "check_payments")} == {"c1"}
    assert {row["check_id"] for row in staged(tmp_path, "check_lines")} == {"c1"}


def test_guests_of_an_order_are_counted_once(tmp_path: Path) -> None:
    """Catches: covers multiplied by the checks of a split bill."""
    later = "2026-04-04T05:10:00.000+0000"
    put(tmp_path, order(bill("c2", openedDate=later, selections=[selection("s2")]), bill("c1")))
    assert {check["check_id"]: check["covers"] for check in staged(tmp_path, "checks")} == {"c1": 4, "c2": 0}


def test_only_money_that_came_is_a_payment(tmp_path: Path) -> None:
    """Catches: a refused card or a voided payment counted beside the one that paid."""
    card = {"type": "CREDIT", "amount": 33.0, "tipAmount": 5.0}
    payments = [
        {**card, "guid": "p1", "paymentStatus": "DENIED"},
        {**card, "guid": "p2", "paymentStatus": "CAPTURED", "voidInfo": {"voidBusinessDate": 20260404}},
        {**card, "guid": "p3", "paymentStatus": "CAPTURED"},
    ]
    put(tmp_path, order(bill(payments=payments)))
    assert [row["payment_id"] for row in staged(tmp_path, "check_payments")] == ["p3"]
    (check,) = staged(tmp_path, "checks")
    assert (check["tip"], check["bill_total"]) == (5, 38)


def test_what_is_owed_is_no_revenue(tmp_path: Path) -> None:
    """Catches: gift cards sold, gratuities or roundings inside sales or service charge."""
    lines = [selection(), selection("s2", deferred=True, price=50.0, preDiscountPrice=50.0, appliedTaxes=[])]
    charges = [
        {"guid": "g1", "chargeAmount": 6.0, "gratuity": True, "serviceChargeCategory": "SERVICE_CHARGE"},
        {"guid": "g2", "chargeAmount": 2.0, "gratuity": False, "serviceChargeCategory": "SERVICE_CHARGE"},
        {"guid": "g3", "chargeAmount": -0.02, "gratuity": False, "serviceChargeCategory": "CASH_ROUNDING"},
    ]
    put(tmp_path, order(bill(amount=81.98, selections=lines, appliedServiceCharges=charges)))
    (check,) = staged(tmp_path, "checks")
    names = ("net_sales", "service_charge", "tip", "rounding", "bill_total")
    stated = [30, 2, 6, Decimal("-0.02"), Decimal("90.98")]
    assert [check[name] for name in names] == stated
    kinds = {row["line_id"]: row["line_type"] for row in staged(tmp_path, "check_lines")}
    assert kinds == {"s1": "item", "s2": "gift_card"}


def test_a_voided_line_counts_in_no_total(tmp_path: Path) -> None:
    """Catches: a line taken off the bill that is sold or taxed all the same."""
    put(tmp_path, order(bill(selections=[selection(), selection("s2", voided=True)])))
    (check,) = staged(tmp_path, "checks")
    assert (check["gross_sales"], check["net_sales"]) == (30, 30)
    assert {row["line_id"]: row["is_voided"] for row in staged(tmp_path, "check_lines")} == {"s1": False, "s2": True}
    assert sum(row["amount"] for row in staged(tmp_path, "check_taxes")) == 3


def test_discounts_name_their_lines(tmp_path: Path) -> None:
    """Catches: a comp called by the small discount of its check, a line doubled by two discounts."""
    named = [
        {"guid": "d1", "name": "Member 12.5%", "discountAmount": 1.0},
        {"guid": "d2", "name": "Owner comp", "discountAmount": 29.0},
    ]
    of_check = [{"guid": "d3", "name": "Student 10%", "discountAmount": 3.0}]
    lines = [
        selection("s1", price=0.0, appliedDiscounts=named),
        selection("s2", price=27.0),
        selection("s3"),
    ]
    put(tmp_path, order(bill(selections=lines, appliedDiscounts=of_check)))
    stated = {row["line_id"]: (row["discount_name"], row["discounts"]) for row in staged(tmp_path, "check_lines")}
    assert stated == {"s1": ("Owner comp", 30), "s2": ("Student 10%", 3), "s3": (None, 0)}


def test_a_refund_without_lines_stays_in_sight(tmp_path: Path) -> None:
    """Catches: money given back that vanishes, or that is guessed to be sales."""
    refund = {"refundAmount": 10.0, "tipRefundAmount": 0, "refundDate": STAMP, "refundBusinessDate": 20260406}
    payment = {"guid": "p1", "type": "CASH", "amount": 33.0, "refundStatus": "PARTIAL", "refund": refund}
    put(tmp_path, order(bill(payments=[payment])))
    (back,) = [check for check in staged(tmp_path, "checks") if check["check_type"] == "refund"]
    assert (back["source_business_date"], back["refunded_check_id"]) == (date(2026, 4, 6), "c1")
    assert (back["returns"], back["tax"], back["bill_total"]) == (0, 0, -10)
    paid = {row["check_id"]: row["amount"] for row in staged(tmp_path, "check_payments")}
    assert paid == {"c1": 33, back["check_id"]: -10}


def test_the_last_delivery_of_an_order_counts(tmp_path: Path) -> None:
    """Catches: lines, checks or payments that left an order and stay with us."""
    put(tmp_path, order(bill(selections=[selection(), selection("s2")]), bill("c2", selections=[selection("s3")])))
    assert len(staged(tmp_path, "check_lines")) == 3
    put(tmp_path, order(bill()), seq=100)
    assert [row["line_id"] for row in staged(tmp_path, "check_lines")] == ["s1"]
    assert [row["payment_id"] for row in staged(tmp_path, "check_payments")] == ["p-c1"]
