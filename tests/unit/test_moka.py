"""Moka: the connector against its sandbox over a real socket, its staging over what it loaded."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import msgspec
import pytest
import requests
from jsonschema import Draft202012Validator

from ingestion.core.errors import AccessError
from ingestion.core.fetch import Page, ScopeFailed, fetch, plan
from ingestion.core.http import ApiClient
from ingestion.core.load import Loader, StreamResult
from ingestion.core.records import PageDecoder, keyed_hasher
from ingestion.core.settings import PROJECT_ROOT, Settings
from ingestion.core.spec import Limit, Stream
from ingestion.core.warehouse import ensure_raw_tables
from ingestion.sandbox.clock import Clock
from ingestion.sandbox.company import Company
from ingestion.sandbox.menu import COMPS
from ingestion.sandbox.model import SimCheck, SimOutlet
from ingestion.sandbox.server import Request, Response, RunningSandboxes, serve
from ingestion.vendors.moka import CONNECTOR
from ingestion.vendors.moka.sandbox import FIRST_REFRESH_TOKEN, SANDBOX
from ingestion.vendors.moka.transport import payment_methods_rows
from tests.staging import rows_in, staging_sql

SHARED = Path(os.environ.get("C4_SHARED") or PROJECT_ROOT.parent / "shared")
SPEC = SHARED / "specs" / "moka" / "api-docs-prod.json"
ACCOUNT = "pos"
HASHER = keyed_hasher(b"k" * 32)
JSON = {"Content-Type": "application/json"}
TRANSACTIONS = CONNECTOR.stream("transactions")
ZERO = Decimal(0)


class WatchedSandbox(SANDBOX):
    """The sandbox, keeping what it was asked; `grain` is the precision in seconds of its times of change."""

    grain = 1

    def __init__(self, company: Company, clock: Clock) -> None:
        super().__init__(company, clock)
        self.seen: list[Request] = []

    def handle(self, request: Request) -> Response:
        with self.lock:
            self.seen.append(request)
        return super().handle(request)

    def _known_receipts(self, outlet: SimOutlet) -> tuple[datetime, list[tuple[float, SimCheck]]]:
        now, receipts = super()._known_receipts(outlet)
        return now, [(stamp // self.grain * self.grain, check) for stamp, check in receipts]


@cache
def company() -> Company:
    """Six outlets: all Indonesian time zones, a restaurant open till the cut-off, one that Moka does not show."""
    return Company.build(outlets=6, days=3, checks_per_day=50)


@pytest.fixture
def running() -> Iterator[RunningSandboxes]:
    with serve(company(), Clock(company().nights()[-1]), [WatchedSandbox]) as sandboxes:
        yield sandboxes
        assert sandboxes.errors("moka") == []


def client(running: RunningSandboxes, credentials: dict[str, str] | None = None) -> ApiClient:
    sandbox = running.sandbox("moka")
    settings = sandbox.settings(running.url("moka"))
    limit = Limit(per_second=500, concurrent=4)
    held = sandbox.credentials() if credentials is None else credentials
    return ApiClient(CONNECTOR, ACCOUNT, settings, held, limit=limit, sleep=lambda _: None)


def zones() -> dict[str, ZoneInfo]:
    return {source: ZoneInfo(company().outlet(ours).timezone) for source, ours in outlets().items()}


def outlets() -> dict[str, str]:
    return SANDBOX(company(), Clock(company().nights()[-1])).outlets()


def read(
    running: RunningSandboxes, stream: Stream, calls: ApiClient, cursors: Mapping[str, str] | None = None
) -> Iterator[Any]:
    planned = plan(
        stream,
        outlets=zones(),
        settings=calls.settings,
        start_date=company().start,
        as_of=running.clock.now(),
        cursors=cursors or {},
    )
    return fetch(calls, planned)


def sync(running: RunningSandboxes, data: Path, run: int = 1) -> dict[str, StreamResult]:
    """One night of the account at the sandbox's clock."""
    calls = client(running)
    now = running.clock.now()
    loader = Loader(Settings.load(data, now), CONNECTOR, ACCOUNT, HASHER)
    loader.prepare()
    results = loader.run(
        CONNECTOR.streams,
        lambda stream, cursors: read(running, stream, calls, cursors),
        None,
        run_id=run,
        until=now,
    )
    assert {result.stream: (result.status, result.rejects) for result in results} == {
        stream.name: ("ok", []) for stream in CONNECTOR.streams
    }
    return {result.stream: result for result in results}


def staged(data: Path, model: str) -> list[dict[str, Any]]:
    """The rows of a staging model."""
    return rows_in(data, staging_sql("moka", model))


# What lands and what staging makes of it


def day_of(check: Mapping[str, Any]) -> tuple[str, date]:
    outlet_id = outlets()[check["source_outlet_id"]]
    return outlet_id, company().business_date(company().outlet(outlet_id), check["opened_at"])


def assert_staging_is_true(data: Path, now: datetime) -> None:
    """Every outlet-day of staging against what the company itself says."""
    tenders = {c.tender_name: c.tender for o in set(outlets().values()) for c in company().checks(o)}
    channels = {c.sales_type.lower(): c.channel for o in set(outlets().values()) for c in company().checks(o)}
    checks = {check["check_id"]: check for check in staged(data, "checks")}
    found: dict[tuple[str, date], dict[str, Any]] = defaultdict(lambda: defaultdict(Decimal))
    for check in checks.values():
        day = found[day_of(check)]
        if check["is_voided"]:
            day["voids"] += 1
            day["void_amount"] += check["gross_sales"]
            continue
        day["checks" if check["check_type"] == "sale" else "refunds"] += 1
        for name in ("gross_sales", "returns", "net_sales", "service_charge", "tax", "rounding", "bill_total"):
            day[name] += check[name]
        assert check["net_sales"] == check["gross_sales"] - check["discounts"] - check["comps"] - check["returns"]
        day[f"channel:{channels[check['source_channel']]}"] += check["net_sales"]
    for line in staged(data, "check_lines"):
        check = checks[line["check_id"]]
        if check["is_voided"]:
            continue
        day = found[day_of(check)]
        day["lines"] += check["check_type"] == "sale"
        day["comps" if line["discount_name"] in COMPS else "discounts"] += line["discounts"]
        day["net_of_lines"] += line["net_sales"]
        assert (line["quantity"] < 0) == (check["check_type"] == "refund")
    for payment in staged(data, "check_payments"):
        check = checks[payment["check_id"]]
        if not check["is_voided"]:
            found[day_of(check)][f"tender:{tenders[payment['source_tender']]}"] += payment["amount"]
    for tax in staged(data, "check_taxes"):
        check = checks[tax["check_id"]]
        if not check["is_voided"]:
            found[day_of(check)]["tax_of_rows"] += tax["amount"]

    names = "checks refunds lines gross_sales discounts comps returns net_sales service_charge tax rounding bill_total"
    for key, truth in company().truth(now, [company().outlet(o) for o in outlets().values()]).items():
        expected = {name: getattr(truth, name) for name in [*names.split(), "voids", "void_amount"]}
        expected |= {"net_of_lines": truth.net_sales, "tax_of_rows": truth.tax}
        expected |= {f"tender:{tender}": amount for tender, amount in truth.tenders.items()}
        expected |= {f"channel:{channel}": amount for channel, amount in truth.channels.items()}
        actual = found.pop(key, {})
        assert {name: value for name, value in actual.items() if value} == {
            name: value for name, value in expected.items() if value
        }, key
    assert not found


@pytest.mark.parametrize("made_ahead", [False, True])
def test_two_nights_equal_the_company(running: RunningSandboxes, tmp_path: Path, made_ahead: bool) -> None:
    """Catches: lost pages, refunds, voids or late sales behind the cursor, wrong signs, fractions that vanish; answers
    made ahead that differ from others, or that outlive their time.
    """
    first, second = company().nights()[-2:]
    running.set_clock(first)
    before = sync(running, tmp_path, run=1)
    assert_staging_is_true(tmp_path, first)
    running.prepare()
    running.set_clock(second)
    if made_ahead:
        running.prepare()
    after = sync(running, tmp_path, run=2)
    assert_staging_is_true(tmp_path, second)
    known = [c for o in outlets().values() for c in company().checks(o) if c.known_at <= second]
    assert any(first < (c.void_known_at or first) <= second and c.known_at <= first for c in known), "no late void"
    assert any(first < r.known_at <= second for c in known for r in c.refunds if c.known_at <= first), "no late refund"
    assert any(c.net != c.net.to_integral_value() for c in known), "no fraction of a rupiah"
    assert after["transactions"].rows["transactions"] < before["transactions"].rows["transactions"]


def test_mokas_own_totals_agree_with_the_receipts(running: RunningSandboxes, tmp_path: Path) -> None:
    """Catches: a report of the wrong day or zone, refunds on the wrong day, a measure mapped to the wrong figure."""
    sync(running, tmp_path)
    found: dict[tuple[str, date, str], Decimal] = defaultdict(Decimal)
    checks = {check["check_id"]: check for check in staged(tmp_path, "checks") if not check["is_voided"]}
    local = {
        check_id: check["opened_at"].astimezone(zones()[check["source_outlet_id"]]).date()
        for check_id, check in checks.items()
    }
    measures = "gross_sales discounts returns net_sales service_charge tax rounding bill_total"
    for check_id, check in checks.items():
        key = (check["source_outlet_id"], local[check_id])
        found[*key, "checks"] += check["check_type"] == "sale"
        for measure in measures.split():
            found[*key, measure] += check[measure]
    for payment in staged(tmp_path, "check_payments"):
        if payment["check_id"] in checks:
            outlet = checks[payment["check_id"]]["source_outlet_id"]
            found[outlet, local[payment["check_id"]], f"tender:{payment['source_tender']}"] += payment["amount"]
    totals = {
        (row["source_outlet_id"], row["control_date"], row["measure"]): row["amount"]
        for row in staged(tmp_path, "pos_control_totals")
    }
    days = {(outlet, day) for outlet, day, _ in totals}
    assert days == {(outlet, company().start + timedelta(days=n)) for outlet in zones() for n in range(3)}
    # the last night's hours after midnight belong to a calendar day that is not over
    reported = {key: amount for key, amount in found.items() if key[:2] in days}
    assert {key: amount for key, amount in totals.items() if amount} == {
        key: amount for key, amount in reported.items() if amount
    }


def test_menu_and_modifiers(running: RunningSandboxes, tmp_path: Path) -> None:
    """Catches: menu pages after the first that are not read, options that lose their modifier or their line."""
    sync(running, tmp_path)
    products = staged(tmp_path, "products")
    lines = {line["line_id"]: line for line in staged(tmp_path, "check_lines")}
    assert {line["source_product_id"] for line in lines.values()} <= {row["source_product_id"] for row in products}
    shown = {(row["product_code"], row["product_name"], row["source_category"], row["list_price"]) for row in products}
    assert shown == {(p.sku, p.name, p.category, p.price) for p in company().products}
    assert len(products) == len(company().products) * len(outlets())

    sold = {line.uid: line for o in outlets().values() for check in company().checks(o) for line in check.lines}
    modifiers = staged(tmp_path, "check_modifiers")
    assert modifiers
    for row in modifiers:
        line = sold[row["line_id"]]
        (chosen,) = line.modifiers
        stated = (row["modifier_name"], row["option_name"], row["amount"])
        assert stated == (chosen.name, chosen.option, chosen.price * line.quantity)
        assert row["amount"] <= lines[row["line_id"]]["gross_sales"]
    assert {row["source_outlet_id"] for row in staged(tmp_path, "outlets")} == set(outlets())


def test_nobodys_name_is_stored(running: RunningSandboxes, tmp_path: Path) -> None:
    """Catches: staff names in a raw table; hashes that cannot tell one person from another."""
    sync(running, tmp_path)
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        stored = str([connection.table(f"raw_moka.{table.name}").fetchall() for _, table in CONNECTOR.tables()])
    cashiers = {check.cashier for o in outlets().values() for check in company().checks(o)}
    assert len(cashiers) > 1
    assert not [name for name in cashiers if name in stored]
    staff = {check["staff_ref"] for check in staged(tmp_path, "checks")}
    assert staff == {HASHER(name) for name in cashiers}


# Paging and requests


def page_ids(events: Iterator[Any]) -> tuple[list[list[str]], list[Exception]]:
    pages, failed = [], []
    for event in events:
        if isinstance(event, Page):
            pages.append([payment["id"] for payment in msgspec.json.decode(event.content)["data"]["payments"]])
        elif isinstance(event, ScopeFailed):
            failed.append(event.error)
    return pages, failed


def small_pages(size: int) -> Stream:
    return replace(TRANSACTIONS, params={**TRANSACTIONS.params, "per_page": str(size)})


@pytest.mark.parametrize("grain", [1, 600])
def test_paging_reads_every_receipt(running: RunningSandboxes, grain: int) -> None:
    """Catches: an end before `completed`, receipts of one instant that a page's end separates and loses."""
    running.sandbox("moka").grain = grain
    pages, failed = page_ids(read(running, small_pages(20), client(running)))
    now = running.clock.now()
    known = {c.uid for o in outlets().values() for c in company().checks(o) if c.known_at <= now}
    assert failed == []
    assert {uid for page in pages for uid in page} == known
    assert len(pages) >= len(known) / 20


def test_paging_that_stands_still_is_an_error(running: RunningSandboxes) -> None:
    """Catches: an endless loop when more receipts share an instant than a page holds."""
    running.sandbox("moka").grain = 86_400
    pages, failed = page_ids(read(running, small_pages(5), client(running)))
    assert len(failed) == len(outlets())
    assert all("does not go back in time" in str(error) for error in failed)
    assert len(pages) <= 2 * len(outlets())


def test_requests_are_as_the_vendor_wants_them(running: RunningSandboxes) -> None:
    """Catches: the token of a next_url in our URLs, an old version's path, a GET without a content type."""
    calls = client(running)
    for stream in CONNECTOR.streams:
        wanted = small_pages(20) if stream is TRANSACTIONS else stream
        assert not [event for event in read(running, wanted, calls) if isinstance(event, ScopeFailed)]
    seen = [request for request in running.sandbox("moka").seen if request.method == "GET"]
    assert all(request.headers["Content-Type"] == "application/json" for request in seen)
    assert not [request for request in seen if "access_token" in request.query]
    latest = [request for request in seen if "latest_transactions" in request.path]
    assert {request.path.split("/")[1] for request in latest} == {"v4"}
    assert {request.arg("time_filter") for request in latest} == {"synchronized_at"}
    assert len({request.arg("since") for request in latest}) == 1
    days = {request.arg("start") for request in seen if request.path.endswith("sales_summary")}
    assert days == {"04/04/2026", "05/04/2026", "06/04/2026"}


@pytest.mark.parametrize(
    ("path", "headers", "status", "kind"),
    [
        ("v1/profile/self", {}, 415, "ApiErrors::SetApplicationJsonAsContentTypeError"),
        ("v1/profile/self", JSON | {"Authorization": "Bearer x"}, 401, "Doorkeeper::OAuth::InvalidTokenResponse"),
        ("v1/outlets/1/items", JSON, 404, "ApiErrors::ResourceNotFoundError"),
        ("v1/outlets/27001/reports/get_latest_transactions", JSON, 410, "ApiErrors::TerminatedEndPoint"),
        ("v2/outlets/27001/reports/sales_summary?start=04/04/2026", JSON, 400, "ActionController::ParameterMissing"),
    ],
)
def test_the_sandbox_refuses_as_documented(
    running: RunningSandboxes, path: str, headers: dict[str, str], status: int, kind: str
) -> None:
    """Catches: a sandbox so kind that a request the vendor would refuse passes unnoticed."""
    granted = requests.post(
        f"{running.url('moka')}/oauth/token",
        json={"grant_type": "client_credentials", **running.sandbox("moka").credentials()},
        timeout=10,
    ).json()
    sent = {"Authorization": f"Bearer {granted['access_token']}"} | headers
    answer = requests.get(f"{running.url('moka')}/{path}", headers=sent, timeout=10)
    assert (answer.status_code, answer.json()["meta"]["error_type"]) == (status, kind)


# Tokens


def test_an_expired_token_is_renewed_in_the_middle(running: RunningSandboxes) -> None:
    calls = client(running)
    assert calls.request("GET", CONNECTOR.probe).json()["business_id"] == int(calls.settings["business_id"])
    running.sandbox("moka").expire_tokens()
    assert calls.request("GET", CONNECTOR.probe).status_code == 200


def test_refresh_tokens_rotate_and_are_kept(running: RunningSandboxes) -> None:
    """Catches: a refresh token used twice, which locks the company out until a person authorises the app again."""
    held = running.sandbox("moka").credentials() | {"refresh_token": FIRST_REFRESH_TOKEN}
    first = client(running, held)
    first.request("GET", CONNECTOR.probe)
    kept = held["refresh_token"]
    assert kept != FIRST_REFRESH_TOKEN
    running.sandbox("moka").expire_tokens()
    first.request("GET", CONNECTOR.probe)
    assert held["refresh_token"] not in (kept, FIRST_REFRESH_TOKEN)
    client(running, held).request("GET", CONNECTOR.probe)
    with pytest.raises(AccessError, match="authorise the app again"):
        client(running, held | {"refresh_token": kept}).request("GET", CONNECTOR.probe)


def test_a_wrong_secret_needs_a_person(running: RunningSandboxes) -> None:
    with pytest.raises(AccessError):
        client(running, {"client_id": "someone", "client_secret": "else"}).request("GET", CONNECTOR.probe)


# Against the published document


NULLABLE = {"total_rounding_amount", "loyalty", "latitude", "longitude"}  # by description, or nothing to say here


def published(path: str) -> dict[str, Any]:
    return document()["paths"][path]["get"]["responses"]["200"]


def example(path: str) -> Any:
    return published(path)["examples"]["application/json"]


@cache
def document() -> dict[str, Any]:
    return msgspec.json.decode(SPEC.read_bytes())


def lists_in(value: Any, found: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """The elements of every list of an example by the list's name, wherever it stands."""
    for name, inner in value.items() if isinstance(value, dict) else ():
        if isinstance(inner, list):
            found.setdefault(name, []).extend(inner)
        for element in inner if isinstance(inner, list) else [inner]:
            lists_in(element, found)
    return found


def shape(name: str, values: list[Any], schema: Mapping[str, Any], lists: Mapping[str, list[Any]]) -> dict[str, Any]:
    """A JSON schema that examples fit: their fields, with types of the same kind; null says nothing about a type.

    What all examples have is required. Fields that only the published schema has are allowed.
    """
    if "$ref" in schema:
        schema = document()["definitions"][schema["$ref"].rsplit("/", 1)[1]]
    if all(isinstance(value, dict) for value in values):
        described = schema.get("properties", {})
        names = {key for value in values for key in value}
        properties: dict[str, Any] = {key: {} for key in described.keys() - names}
        for key in names:
            properties[key] = shape(key, [v[key] for v in values if key in v], described.get(key, {}), lists)
        required = [key for key in names if all(key in value for value in values)]
        return {"type": ["object", "null"][: 1 + (name in NULLABLE)], "properties": properties} | {
            "required": required,
            "additionalProperties": False,
        }
    if all(isinstance(value, list) for value in values):
        elements = lists.get(name, [])
        return {"type": "array", "items": shape("", elements, schema.get("items", {}), lists) if elements else {}}
    kinds = {bool: "boolean", int: "number", float: "number", str: "string", type(None): "null"}
    found = {kinds[type(value)] for value in values} | ({"null"} if name in NULLABLE else set())
    return {} if found == {"null"} else {"type": sorted(found)}


needs_spec = pytest.mark.skipif(not SPEC.exists(), reason="the vendor's published document is not here")


@needs_spec
@pytest.mark.parametrize("stream", CONNECTOR.streams, ids=lambda stream: stream.name)
def test_answers_have_the_shape_of_the_published_examples(running: RunningSandboxes, stream: Stream) -> None:
    """Catches: a sandbox that speaks our names instead of the vendor's."""
    path = f"/{stream.path}".replace("{outlet}", "{outlet_id}")
    answer = {"meta": {"code": 200, "errors": {}}} | example(path)  # one example forgets the envelope
    schema = shape("", [answer], published(path)["schema"], lists_in(answer, {}))
    validator = Draft202012Validator(schema)
    pages = [event for event in read(running, stream, client(running)) if isinstance(event, Page)]
    assert pages
    for page in pages:
        problems = [
            f"{error.json_path}: {error.message}" for error in validator.iter_errors(msgspec.json.decode(page.content))
        ]
        assert problems == []


@needs_spec
def test_the_published_receipt_is_read_to_the_rupiah(tmp_path: Path) -> None:
    """Catches: signs, service charge and rounding of a real refunded receipt taken wrongly."""
    put(tmp_path, "transactions", example("/v4/outlets/{outlet_id}/reports/get_latest_transactions")["data"])
    sale, refund = sorted(staged(tmp_path, "checks"), key=lambda check: check["check_type"], reverse=True)
    names = ["gross_sales", "discounts", "returns", "net_sales", "service_charge", "tax", "rounding", "bill_total"]
    assert [sale[name] for name in names] == [64000, 11400, 0, 52600, 21040, 18410, -50, 92000]
    assert [refund[name] for name in names] == [0, 0, 52600, -52600, -21040, -18410, 50, -92000]
    assert (refund["refunded_check_id"], refund["is_voided"]) == (sale["check_id"], False)
    payments = {row["check_id"]: (row["source_tender"], row["amount"]) for row in staged(tmp_path, "check_payments")}
    assert payments == {sale["check_id"]: ("Cash", 92000), refund["check_id"]: ("Cash", -92000)}


@needs_spec
def test_the_published_payment_methods_are_one_list() -> None:
    page = msgspec.json.encode(example("/v2/outlets/{outlet_id}/reports/payment_methods"))
    (row,) = payment_methods_rows(page)
    methods = {method["payment_type"] for method in msgspec.json.decode(row)["methods"]}
    assert methods == {"Cash", "Credit / Debit", "Invoice", "EDC", "Gift Card", "Other"}


# Receipts as the simulated company never has them

LINE = {
    "uuid": "l1",
    "item_id": 7,
    "item_variant_id": 70,
    "item_name": "Nasi Goreng",
    "item_variant_name": "Large",
    "category_name": "Rice",
    "sku": "",
    "quantity": 1,
    "item_price": 30000.0,
    "gross_sales": 30000.0,
    "net_sales": 30000.0,
    "sales_type_name": "Dine In",
    "modifiers": [],
    "discounts": [],
}
RECEIPT = {
    "id": "r1",
    "outlet_id": 27001,
    "created_at": "2026-04-04T12:00:00.000000+07:00",
    "updated_at": "2026-04-04T12:00:05.000000+07:00",
    "synchronized_at": "2026-04-04T12:00:05.000000+07:00",
    "subtotal": 30000,
    "discounts": 0,
    "gratuities": 0,
    "taxes": 3000,
    "total_rounding_amount": None,
    "total_collected": 33000,
    "payment_type": "cash",
    "payment_type_label": "Cash",
    "checkouts": [LINE],
}
REFUND = {
    "uuid": "f1",
    "refunded_at": "2026-04-05T12:00:00.000000+07:00",
    "subtotal": -30000,
    "total_gratuity_amount": 0,
    "total_tax_amount": -3000,
    "total_rounding_amount": None,
    "total_collected_amount": -33000,
    "checkouts": [{**LINE, "uuid": "l2", "quantity": -1, "gross_sales": -30000.0, "net_sales": -30000.0}],
}


def decode(stream: Stream, data: Any, seq: int = 1) -> Any:
    content = msgspec.json.encode({"data": data})
    return PageDecoder(stream, ACCOUNT, HASHER).decode(content, seq=seq, scope="", landing="", constants={})


def put(data: Path, stream: str, page: Any, seq: int = 1) -> None:
    """Land one page's rows in an otherwise empty warehouse, as a delivery of its own."""
    ensure_raw_tables(Settings.load(data, datetime(2026, 4, 6, 22, tzinfo=UTC)), [CONNECTOR])
    decoded = decode(CONNECTOR.stream(stream), page, seq)
    assert decoded.rejects == []
    root = CONNECTOR.stream(stream).root.name
    with duckdb.connect(str(data / "warehouse.duckdb")) as connection:
        connection.register("incoming", decoded.tables[root])
        connection.execute(f"delete from raw_moka.{root} where id in (select id from incoming)")
        for name, table in decoded.tables.items():
            connection.register("incoming", table)
            connection.execute(f"insert into raw_moka.{name} by name select * from incoming")


def receipts(*payments: dict[str, Any]) -> dict[str, Any]:
    return {"next_url": "", "completed": True, "payments": list(payments)}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"total_collected": None}, "total_collected"),
        ({"created_at": "2026-04-04T12:00:00"}, "created_at"),
        ({"outlet_id": "27001"}, "outlet_id"),
        ({"checkouts": [{**LINE, "quantity": -1}]}, "quantity"),
        ({"checkouts": [{key: value for key, value in LINE.items() if key != "net_sales"}]}, "net_sales"),
        ({"checkouts": [{**LINE, "gross_sales": "dear"}]}, "gross_sales"),
        ({"payment_refunds": [{**REFUND, "checkouts": [{**LINE, "quantity": 1}]}]}, "quantity"),
        ({"total_collected": 10**15}, "total_collected"),
    ],
)
def test_a_bad_receipt_is_named_and_the_others_land(change: dict[str, Any], field: str) -> None:
    """Catches: a receipt without its total taken for a free one, a refund taken for a sale, a page lost for one row."""
    decoded = decode(TRANSACTIONS, receipts({**RECEIPT, "id": "good"}, {**RECEIPT, **change, "id": "bad"}))
    assert decoded.tables["transactions"]["id"].to_pylist() == ["good"]
    (reject,) = decoded.rejects
    assert reject.record_key == "bad"
    assert field in (reject.field + reject.rule)


def test_endless_fractions_are_kept_to_four_places(tmp_path: Path) -> None:
    """Catches: a receipt rejected for float noise; a third of a rupiah that unbalances the day."""
    third = {**LINE, "net_sales": 28333.333333333332}
    receipt = {**RECEIPT, "checkouts": [{**third, "uuid": f"l{n}"} for n in range(3)]}
    put(tmp_path, "transactions", receipts({**receipt, "subtotal": 85000, "taxes": 8500, "total_collected": 93500}))
    (check,) = staged(tmp_path, "checks")
    assert check["net_sales"] == Decimal("84999.9999")
    assert check["rounding"] == Decimal("0.0001")
    assert check["net_sales"] + check["tax"] + check["rounding"] == check["bill_total"]


def test_a_difference_that_is_no_rounding_stays_visible(tmp_path: Path) -> None:
    """Catches: missing money booked away as rounding."""
    put(tmp_path, "transactions", receipts({**RECEIPT, "total_collected": 43000, "total_rounding_amount": 50}))
    (check,) = staged(tmp_path, "checks")
    assert check["rounding"] == 50
    assert check["bill_total"] - check["net_sales"] - check["tax"] - check["rounding"] == 9950


def test_the_last_delivery_of_a_receipt_counts(tmp_path: Path) -> None:
    """Catches: a line or a refund that Moka took back and that stays with us."""
    two_lines = [LINE, {**LINE, "uuid": "l9", "gross_sales": 5000.0, "net_sales": 5000.0}]
    put(tmp_path, "transactions", receipts({**RECEIPT, "checkouts": two_lines, "payment_refunds": [REFUND]}), seq=1)
    assert len(staged(tmp_path, "check_lines")) == 3
    put(tmp_path, "transactions", receipts(RECEIPT), seq=100)
    (line,) = staged(tmp_path, "check_lines")
    assert (line["line_id"], line["product_code"], line["product_name"]) == ("l1", None, "Nasi Goreng Large")
    (check,) = staged(tmp_path, "checks")
    assert check["gross_sales"] == 30000


def test_a_void_takes_its_refund_along(tmp_path: Path) -> None:
    """Catches: a refund that reduces sales of a receipt which counts nowhere."""
    put(tmp_path, "transactions", receipts({**RECEIPT, "is_deleted": True, "payment_refunds": [REFUND]}))
    assert {check["check_type"]: check["is_voided"] for check in staged(tmp_path, "checks")} == {
        "sale": True,
        "refund": True,
    }


def test_a_removed_line_counts_in_no_total(tmp_path: Path) -> None:
    """Catches: a line deleted before payment that is sold all the same."""
    removed = {**LINE, "uuid": "l9", "is_deleted": True}
    put(tmp_path, "transactions", receipts({**RECEIPT, "checkouts": [LINE, removed]}))
    (check,) = staged(tmp_path, "checks")
    assert (check["gross_sales"], check["rounding"]) == (30000, 0)
    voided = {line["line_id"]: line["is_voided"] for line in staged(tmp_path, "check_lines")}
    assert voided == {"l1": False, "l9": True}


def test_the_greatest_discount_names_the_line(tmp_path: Path) -> None:
    """Catches: a line doubled by its two discounts; a comp called by the small discount beside it."""
    discounts = [
        {"discount_name": "Member 12.5%", "discount_amount": 3750.0},
        {"discount_name": "Owner comp", "discount_amount": 26250.0},
    ]
    line = {**LINE, "net_sales": 0.0, "discounts": discounts}
    put(
        tmp_path,
        "transactions",
        receipts({**RECEIPT, "subtotal": 0, "taxes": 0, "total_collected": 0, "checkouts": [line]}),
    )
    (row,) = staged(tmp_path, "check_lines")
    assert (row["discounts"], row["net_sales"], row["discount_name"]) == (30000, 0, "Owner comp")


def test_a_price_typed_in_has_no_product(tmp_path: Path) -> None:
    """Catches: custom amounts rejected or lost because they belong to no item."""
    typed = {
        **LINE,
        "item_id": None,
        "item_variant_id": None,
        "item_name": None,
        "item_variant_name": None,
        "sku": None,
    }
    put(tmp_path, "transactions", receipts({**RECEIPT, "checkouts": [typed]}))
    (line,) = staged(tmp_path, "check_lines")
    assert (line["source_product_id"], line["product_code"], line["gross_sales"]) == (None, None, 30000)
