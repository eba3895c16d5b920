"""Xero: reading and posting against its sandbox over a real socket, its staging over what was loaded."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests
import yaml
from jsonschema import Draft202012Validator

from ingestion.core.config import ConfigError
from ingestion.core.errors import AccessError, RefusedError
from ingestion.core.fetch import Page, ScopeDone, fetch, plan
from ingestion.core.http import ApiClient
from ingestion.core.journal import (
    DocumentKind,
    JournalDocument,
    JournalLine,
    JournalType,
    NotSentError,
    Receipt,
    Rejection,
    UncertainOutcomeError,
)
from ingestion.core.load import Loader, StreamResult
from ingestion.core.records import keyed_hasher
from ingestion.core.settings import PROJECT_ROOT, Settings
from ingestion.core.spec import Limit
from ingestion.core.warehouse import connect, ensure_raw_tables, rows
from ingestion.sandbox.clock import Clock
from ingestion.sandbox.company import Company
from ingestion.sandbox.faults import Fault, FaultKind
from ingestion.sandbox.server import Request, Response, RunningSandboxes, serve
from ingestion.vendors.xero import CONNECTOR
from ingestion.vendors.xero.journals import XeroJournals
from ingestion.vendors.xero.records import calendar_date, instant, month
from ingestion.vendors.xero.sandbox import KEY_LIFE, SANDBOX
from tests.staging import staging_sql

DBT = PROJECT_ROOT / "dbt_project"
SPEC = Path(os.environ.get("C4_SHARED") or PROJECT_ROOT.parent / "shared") / "specs" / "xero" / "xero_accounting.yaml"
ACCOUNT = "books"
ENTITY = "NBT"
LOOKS = pytest.mark.xdist_group("xero-night")  # one night for all that only look at it
JOURNALS = "/api.xro/2.0/ManualJournals"
DAY = date(2026, 4, 5)


class WatchedSandbox(SANDBOX):
    """The sandbox, keeping what it was asked; `after` is called with each request that it has answered."""

    def __init__(self, company: Company, clock: Clock) -> None:
        super().__init__(company, clock)
        self.seen: list[tuple[Request, Response]] = []
        self.after: Callable[[Request], None] = lambda request: None
        self.not_modified = False

    def handle(self, request: Request) -> Response:
        answer = super().handle(request)
        if self.not_modified and "If-Modified-Since" in request.headers:
            answer = Response(304)
        with self.lock:
            self.seen.append((request, answer))
            self.after(request)
        return answer

    def asked(self, method: str, path: str) -> list[Request]:
        return [request for request, _ in self.seen if (request.method, request.path) == (method, path)]


@cache
def company() -> Company:
    return Company.build(outlets=10, days=3, checks_per_day=1)


@pytest.fixture
def running() -> Iterator[RunningSandboxes]:
    with serve(company(), Clock(company().nights()[-1]), [WatchedSandbox]) as sandboxes:
        yield sandboxes
        assert sandboxes.errors("xero") == []


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder after one undisturbed night, for tests that only look."""
    data = tmp_path_factory.mktemp("night")
    with serve(company(), Clock(company().nights()[-1]), [WatchedSandbox]) as sandboxes:
        sync(sandboxes, data)
        assert sandboxes.errors("xero") == []
    return data


@pytest.fixture
def sandbox(running: RunningSandboxes) -> WatchedSandbox:
    return running.sandbox("xero")


@pytest.fixture
def target(running: RunningSandboxes) -> XeroJournals:
    return journals(running)


def client(running: RunningSandboxes, sleep: Callable[[float], None] = lambda _: None, **settings: str) -> ApiClient:
    sandbox = running.sandbox("xero")
    own = sandbox.settings(running.url("xero")) | {"timeout": "5"} | settings
    limit = Limit(per_second=500, concurrent=4)
    return ApiClient(CONNECTOR, ACCOUNT, own, sandbox.credentials(), limit=limit, sleep=sleep)


def journals(running: RunningSandboxes, **settings: str) -> XeroJournals:
    calls = client(running, **settings)
    return XeroJournals(calls, calls.settings)


def sync(
    running: RunningSandboxes,
    data: Path,
    *only: str,
    run: int = 1,
    sleep: Callable[[float], None] = lambda _: None,
    **settings: str,
) -> dict[str, StreamResult]:
    """One night of the organisation at the sandbox's clock."""
    calls = client(running, sleep, **settings)
    now = running.clock.now()
    loader = Loader(Settings.load(data, now), CONNECTOR, ACCOUNT, keyed_hasher(b"k" * 32))
    loader.prepare()
    results = loader.run(
        [stream for stream in CONNECTOR.streams if not only or stream.name in only],
        lambda stream, cursors: fetch(
            calls,
            plan(
                stream,
                outlets={},
                settings=calls.settings,
                start_date=company().start,
                as_of=now,
                cursors=cursors,
            ),
        ),
        None,
        run_id=run,
        until=now,
    )
    return {result.stream: result for result in results}


def load_page(data: Path, stream: str, page: Mapping[str, Any], **constants: str) -> None:
    """A page of the vendor's, written by hand, through the real decode and load."""
    content = msgspec.json.encode(page)
    loader = Loader(Settings.load(data, company().nights()[-1]), CONNECTOR, ACCOUNT, keyed_hasher(b"k" * 32))
    result = loader.run(
        [CONNECTOR.stream(stream)],
        lambda *_: iter([Page(content, "", constants), ScopeDone("")]),
        None,
        run_id=1,
        until=None,
    )[0]
    assert result.rejects == []


def raw(data: Path, sql: str) -> list[dict[str, Any]]:
    with connect(Settings.load(data, company().nights()[-1])) as connection:
        return rows(connection, sql)


def staged(data: Path, model: str) -> list[dict[str, Any]]:
    settings = Settings.load(data, company().nights()[-1])
    ensure_raw_tables(settings, [CONNECTOR])
    return raw(data, staging_sql("xero", model))


def reference(number: int) -> str:
    return f"C4{number:014d}"


def document(number: int, *amounts: str | tuple[str, str], **changes: Any) -> JournalDocument:
    """A journal of (account, amount) lines; 150,000 of cash sales unless told otherwise."""
    lines = [item if isinstance(item, tuple) else ("1020", item) for item in amounts]
    fields: dict[str, Any] = {
        "reference": reference(number),
        "document_key": f"DSJ-MKS-001-20260405-v{number}",
        "entity_id": ENTITY,
        "outlet_id": "MKS-001",
        "business_date": DAY,
        "posting_date": DAY,
        "journal_type": JournalType.DAILY_SALES,
        "kind": DocumentKind.ORIGINAL,
        "version": 1,
        "currency": "IDR",
        "narration": "Daily sales of Boga Timur Panakkukang",
        "cost_center": "",
        "tracking_option": "MKS-001 Panakkukang",
        "lines": tuple(
            JournalLine(line_no, code, code, Decimal(amount), f"line {line_no}", "tender:cash")
            for line_no, (code, amount) in enumerate(
                lines or [("1020", "150000.0000"), ("4010", "-150000.0000")], start=1
            )
        ),
    }
    return JournalDocument(**(fields | changes))


def posted(target: XeroJournals, count: int, start: int = 1) -> list[Receipt]:
    outcomes: list[Receipt | Rejection] = []
    for first in range(start, start + count, target.max_documents):
        last = min(first + target.max_documents, start + count)
        outcomes += target.post([document(number) for number in range(first, last)])
    assert all(isinstance(outcome, Receipt) for outcome in outcomes)
    return [outcome for outcome in outcomes if isinstance(outcome, Receipt)]


def by_reference(outcomes: Sequence[Receipt | Rejection]) -> dict[str, Receipt | Rejection]:
    assert len({outcome.reference for outcome in outcomes}) == len(outcomes)
    return {outcome.reference: outcome for outcome in outcomes}


# Reading


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/Date(1553126400000+0000)/", date(2019, 3, 21)),
        ("/Date(1552348800000+1300)/", date(2019, 3, 12)),
        ("/Date(1552348800000-0800)/", date(2019, 3, 12)),
        ("/Date(-86400000+0000)/", date(1969, 12, 31)),
        ("/Date(1775347200000)/", DAY),
        ("2026-04-05T00:00:00", DAY),
    ],
)
def test_a_business_date_is_what_was_entered(text: str, expected: date) -> None:
    """Catches: a date moved to the day before or after by the offset in the text."""
    assert calendar_date(text) == expected


def test_what_is_no_date_is_refused() -> None:
    """Catches: a broken stamp that becomes 1970 or today."""
    for text in ("", "/Date()/", "/Date(12", "yesterday", "/Date(99999999999999999999)/"):
        with pytest.raises((ValueError, OverflowError)):
            instant(text)
    assert month("2026-04") == month("/Date(1775347200000+0000)/") == date(2026, 4, 1)


@pytest.fixture
def zone_of_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "America/Los_Angeles")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("zone_of_machine")
def test_posting_dates_do_not_depend_on_the_machine(running: RunningSandboxes, tmp_path: Path) -> None:
    """Catches: dates shifted by the zone that the platform happens to run in."""
    sync(running, tmp_path)
    dates = {(row["text"], row["posting_date"]) for row in staged(tmp_path, "gl_lines")}
    assert dates == {(line.text, line.posting_date) for line in ledger()}
    stamps = raw(tmp_path, "select distinct updated_date_utc from raw_xero.manual_journals")
    assert {row["updated_date_utc"] for row in stamps} == {line.known_at for line in ledger()}


def ledger() -> list[Any]:
    return [line for line in company().ledger_lines() if line.entity.entity_id == ENTITY]


def test_pages_are_read_to_the_end_when_the_server_gives_shorter_ones(
    running: RunningSandboxes, sandbox: WatchedSandbox, target: XeroJournals, tmp_path: Path
) -> None:
    """Catches: a short page taken for the last one."""
    receipts = posted(target, 60)
    sandbox.max_page_size = 7
    result = sync(running, tmp_path, "manual_journals", "contacts")["manual_journals"]
    loaded = {row["manual_journal_id"] for row in raw(tmp_path, "select * from raw_xero.manual_journals")}
    assert loaded >= {receipt.external_id for receipt in receipts}
    assert result.pages == -(-len(loaded) // 7)
    assert len(raw(tmp_path, "select * from raw_xero.contacts")) == len(company().suppliers)


def test_an_edit_while_paging_loses_no_other_journal(
    running: RunningSandboxes, sandbox: WatchedSandbox, target: XeroJournals, tmp_path: Path
) -> None:
    """Catches: an order in which an edited record moves to the end and pulls another one over a page border."""
    receipts = posted(target, 40)
    running.clock.advance(timedelta(hours=1))
    sandbox.max_page_size = 10

    def edit_first(request: Request) -> None:
        if request.method == "GET" and request.path == JOURNALS:
            page = msgspec.json.decode(sandbox.seen[-1][1].body)["ManualJournals"]
            ours = {receipt.external_id for receipt in receipts} & {item["ManualJournalID"] for item in page}
            if ours:
                sandbox.void(min(ours))
                sandbox.after = lambda _: None

    sandbox.after = edit_first
    sync(running, tmp_path, "manual_journals")
    loaded = {row["manual_journal_id"] for row in raw(tmp_path, "select * from raw_xero.manual_journals")}
    assert loaded >= {receipt.external_id for receipt in receipts}


def test_a_token_that_ends_while_paging_is_renewed(
    running: RunningSandboxes, sandbox: WatchedSandbox, target: XeroJournals, tmp_path: Path
) -> None:
    """Catches: a run that dies half an hour in, pages lost or doubled by the second try."""
    receipts = posted(target, 30)
    sandbox.max_page_size = 10

    def expire(request: Request) -> None:
        if request.path == JOURNALS and request.arg("page") == "2":
            running.clock.advance(timedelta(seconds=1801))
            sandbox.after = lambda _: None

    before = len(sandbox.asked("POST", "/connect/token"))
    sandbox.after = expire
    result = sync(running, tmp_path, "manual_journals")["manual_journals"]
    assert result.status == "ok"
    assert len(sandbox.asked("POST", "/connect/token")) - before == 2
    loaded = [row["manual_journal_id"] for row in raw(tmp_path, "select * from raw_xero.manual_journals")]
    assert len(loaded) == len(set(loaded))
    assert set(loaded) >= {receipt.external_id for receipt in receipts}


def test_a_second_night_asks_only_for_what_changed(
    running: RunningSandboxes, sandbox: WatchedSandbox, target: XeroJournals, tmp_path: Path
) -> None:
    """Catches: a cursor that is not sent or passes over a late void."""
    receipts = posted(target, 3)
    first = running.clock.now()
    sync(running, tmp_path)
    running.clock.advance(timedelta(days=2))
    sandbox.void(receipts[0].external_id)
    sync(running, tmp_path, run=2)

    asked = sandbox.asked("GET", JOURNALS)[-1].headers["If-Modified-Since"]
    assert asked == f"{first - timedelta(days=1):%Y-%m-%dT%H:%M:%S}"
    answered = msgspec.json.decode(sandbox.seen[-2][1].body)["ManualJournals"]
    assert {item["ManualJournalID"] for item in answered} >= {receipts[0].external_id}
    live = {row["external_id"]: row["is_live"] for row in staged(tmp_path, "journal_readback")}
    assert live == {receipt.external_id: receipt is not receipts[0] for receipt in receipts}
    booked = {row["document_id"] for row in staged(tmp_path, "gl_lines") if row["reference"]}
    assert booked == {receipt.external_id for receipt in receipts[1:]}


def test_nothing_newer_may_be_told_by_304(running: RunningSandboxes, sandbox: WatchedSandbox, tmp_path: Path) -> None:
    """Catches: an empty answer that counts as a broken page and stops the cursor."""
    sandbox.not_modified = True
    result = sync(running, tmp_path, "manual_journals")["manual_journals"]
    assert (result.status, result.rejects, result.done) == ("ok", [], {""})


def test_the_minute_limit_is_waited_for(running: RunningSandboxes, sandbox: WatchedSandbox, tmp_path: Path) -> None:
    """Catches: a Retry-After that is not kept: the sandbox answers again only when its minute is over."""
    sandbox.minute_limit = 3

    def wait(seconds: float) -> None:
        running.clock.advance(timedelta(seconds=seconds))

    results = sync(running, tmp_path, sleep=wait)
    assert {result.status for result in results.values()} == {"ok"}
    refused = [answer for _, answer in sandbox.seen if answer.status == 429]
    assert len(refused) >= 2
    assert {answer.headers["X-Rate-Limit-Problem"] for answer in refused} == {"minute"}


def test_budgets_are_read_whole_or_not_at_all(
    running: RunningSandboxes, sandbox: WatchedSandbox, tmp_path: Path
) -> None:
    """Catches: a read that fails in the middle and replaces all budgets by the first few."""
    sync(running, tmp_path, "budgets")
    before = raw(tmp_path, "select budget_id from raw_xero.budgets order by 1")
    running.faults("xero").add(Fault(kind=FaultKind.ERROR, path="/api.xro/2.0/Budgets/*", after=2, count=None))
    result = sync(running, tmp_path, "budgets", run=2)["budgets"]
    assert result.status == "failed"
    assert raw(tmp_path, "select budget_id from raw_xero.budgets order by 1") == before


@LOOKS
def test_personal_data_of_contacts_is_not_stored(night: Path) -> None:
    """Catches: an e-mail, address, phone, tax or bank number that reaches a column, or a supplier that is lost."""
    for table in ("contacts", "accounts"):
        text = str(raw(night, f"select * exclude (c4_content) from raw_xero.{table}"))
        for private in ("Kontak", "kontak", "Dewi", "Jalan", "0411", "8810", "01.234"):
            assert private not in text
    names = {row["counterparty_name"]: row["is_active"] for row in staged(night, "counterparties")}
    assert names == {supplier.name: supplier.number % 8 != 0 for supplier in company().suppliers}


def test_refused_access_says_so(running: RunningSandboxes, tmp_path: Path) -> None:
    """Catches: missing scopes or a wrong tenant taken for an empty organisation."""
    results = sync(running, tmp_path, scopes="accounting.settings.read")
    assert results["accounts"].status == "ok"
    assert isinstance(results["manual_journals"].failed[""], AccessError)
    for wrong in ({"tenant_id": "00000000-0000-0000-0000-000000000009"}, {"scopes": "accounting.transactions"}):
        results = sync(running, tmp_path, run=2, **wrong)
        assert {result.status for result in results.values()} == {"failed"}


# Staging


def test_ledger_lines_equal_what_people_posted(running: RunningSandboxes, tmp_path: Path) -> None:
    """Catches: a wrong sign, a lost or doubled line, an outlet or currency that is not told."""
    sync(running, tmp_path)
    sync(running, tmp_path, run=2)
    found = sorted(
        (row["posting_date"], row["account_code"], row["source_outlet_id"], row["amount"], row["text"])
        for row in staged(tmp_path, "gl_lines")
    )
    assert found == sorted(
        (line.posting_date, line.account.code, line.outlet.tracking_option, line.amount, line.text) for line in ledger()
    )
    assert {(row["currency"], row["reference"]) for row in staged(tmp_path, "gl_lines")} == {("IDR", None)}


@LOOKS
def test_master_data_equals_the_company(sandbox: WatchedSandbox, night: Path) -> None:
    """Catches: an account on the wrong statement or side, an outlet without its option."""
    accounts = {
        (row["account_code"], row["statement"], row["normal_side"], row["is_active"])
        for row in staged(night, "gl_accounts")
    }
    assert accounts == {(account.code, account.statement, account.normal_side, True) for account in company().accounts}
    options = {row["source_outlet_id"] for row in staged(night, "cost_centers")}
    assert options == set(sandbox.outlets())
    assert options


@LOOKS
def test_budgets_equal_the_company_and_the_overall_one_is_not_added(night: Path) -> None:
    """Catches: the overall budget counted beside the outlets' own, a month moved by a zone."""
    found = sorted(
        (row["source_outlet_id"], row["account_code"], row["month"], row["amount"])
        for row in staged(night, "budget_lines")
    )
    assert found == sorted(
        (budget.outlet.tracking_option, budget.account.code, budget.month, budget.amount)
        for budget in company().budgets()
        if budget.entity.entity_id == ENTITY
    )
    assert "OVERALL" in {row["type"] for row in raw(night, "select type from raw_xero.budgets")}


def test_of_two_budgets_of_an_outlet_the_later_holds(tmp_path: Path) -> None:
    """Catches: a forecast added to the budget that it replaces, a budget of two categories counted for the outlet."""

    def budget(name: str, stamp: str, amount: str, *tracking: tuple[str, str]) -> dict[str, Any]:
        balances = [{"Period": "2026-04", "Amount": amount, "Notes": ""}]
        return {
            "BudgetID": name,
            "Type": "TRACKING",
            "UpdatedDateUTC": stamp,
            "Tracking": [{"Name": category, "Option": option} for category, option in tracking],
            "BudgetLines": [{"AccountID": "a", "AccountCode": "0200", "BudgetBalances": balances}],
        }

    outlet, region = ("Outlet", "A"), ("Region", "East")
    budgets = [
        budget("original", "2026-01-14T01:18:26.74", "1000", outlet),
        budget("forecast", "/Date(1775000000000+0000)/", "1200", outlet),
        budget("both", "/Date(1775000000001+0000)/", "5000", outlet, region),
        budget("region", "/Date(1775000000002+0000)/", "7000", region),
    ]
    load_page(tmp_path, "budgets", {"Budgets": budgets})
    categories = [
        {"TrackingCategoryID": name, "Name": name, "Status": "ACTIVE", "Options": []} for name in ("Outlet", "Region")
    ]
    load_page(tmp_path, "tracking_categories", {"TrackingCategories": categories}, outlet_category="Outlet")
    assert [(row["account_code"], row["amount"]) for row in staged(tmp_path, "budget_lines")] == [
        ("200", Decimal(1200))
    ]


def test_tax_of_a_journal_reaches_the_tax_account(tmp_path: Path) -> None:
    """Catches: a document that does not balance in the ledger because the vendor shows no tax line."""
    tracking = [{"Name": "Region", "Option": "East"}, {"Name": "Outlet", "Option": "A"}]
    booked = [
        {
            "ManualJournalID": kind,
            "Narration": "Office supplies",
            "Date": "/Date(1775347200000+0000)/",
            "Status": "POSTED",
            "LineAmountTypes": kind,
            "UpdatedDateUTC": "/Date(1775347200000+0000)/",
            "JournalLines": [
                {"LineAmount": amount, "TaxAmount": tax, "AccountCode": "429", "Tracking": tracking},
                {"LineAmount": "-110.00", "TaxAmount": "0.00", "AccountCode": "600", "Tracking": []},
            ],
        }
        for kind, amount, tax in (
            ("Exclusive", "100.00", "10.00"),
            ("Inclusive", "110.00", "10.00"),
            ("NoTax", "110.00", "0.00"),
        )
    ]
    account = {"AccountID": "g", "Code": "820", "Name": "GST", "Type": "CURRLIAB", "Class": "LIABILITY"}
    load_page(tmp_path, "manual_journals", {"ManualJournals": booked})
    load_page(tmp_path, "accounts", {"Accounts": [account | {"Status": "ACTIVE", "SystemAccount": "GST"}]})
    category = {"TrackingCategoryID": "t", "Name": "Outlet", "Status": "ACTIVE", "Options": []}
    load_page(tmp_path, "tracking_categories", {"TrackingCategories": [category]}, outlet_category="Outlet")
    lines = staged(tmp_path, "gl_lines")
    assert sorted((row["document_id"], row["account_code"], row["amount"]) for row in lines) == [
        ("Exclusive", "429", 100),
        ("Exclusive", "600", -110),
        ("Exclusive", "820", 10),
        ("Inclusive", "429", 100),
        ("Inclusive", "600", -110),
        ("Inclusive", "820", 10),
        ("NoTax", "429", 110),
        ("NoTax", "600", -110),
    ]
    assert {row["source_outlet_id"] for row in lines if row["account_code"] != "600"} == {"A"}


def test_what_was_posted_is_read_back_line_by_line(
    running: RunningSandboxes, target: XeroJournals, tmp_path: Path
) -> None:
    """Catches: equal lines folded into one, a reference that is missed in the narration, a line without its outlet."""
    twice = document(1, ("1020", "150000"), ("4010", "-75000"), ("4010", "-75000"))
    same = tuple(replace(line, memo="food sales") for line in twice.lines)
    receipt = target.post([replace(twice, lines=same)])[0]
    assert isinstance(receipt, Receipt)
    sync(running, tmp_path)
    back = staged(tmp_path, "journal_readback")
    assert {(row["reference"], row["external_id"], row["posting_date"]) for row in back} == {
        (reference(1), receipt.external_id, DAY)
    }
    assert sorted((row["target_account"], row["amount"]) for row in back) == [
        ("1020", 150000),
        ("4010", -75000),
        ("4010", -75000),
    ]
    ours = [row for row in staged(tmp_path, "gl_lines") if row["reference"]]
    assert {row["line_id"] for row in ours} == {"1", "2", "3"}
    assert {row["source_outlet_id"] for row in ours} == {"MKS-001 Panakkukang"}


# Posting


def test_a_batch_may_be_accepted_in_part(sandbox: WatchedSandbox, target: XeroJournals) -> None:
    """Catches: a bad journal that takes good ones along, or a refusal inside HTTP 200 taken for success."""
    bad = {
        2: (document(2, ("9999", "100"), ("4010", "-100")), "'9999' is not a valid code"),
        3: (document(3, ("1100", "100"), ("4010", "-100")), "'1100' is a bank account"),
        4: (document(4, ("2010", "-100"), ("4010", "100")), "'2010' is a system account"),
        5: (document(5, "100", "-90"), "total debits (100.00) must equal total credits (-90.00)"),
        6: (document(6, tracking_option="Nowhere"), "'Nowhere' of 'Outlet' does not exist"),
        7: (document(7, "100"), "two journal lines"),
        8: (document(8, tracking_option=""), "outlet MKS-001 has no tracking option"),
        9: (document(9, "100.001", "-100.001"), "more than two decimals"),
    }
    outcomes = by_reference(target.post([document(1), *(item for item, _ in bad.values()), document(10)]))
    assert len(outcomes) == 10
    for number, (_, words) in bad.items():
        outcome = outcomes[reference(number)]
        assert isinstance(outcome, Rejection)
        assert words in outcome.reason
    for number in (1, 10):
        outcome = outcomes[reference(number)]
        assert isinstance(outcome, Receipt)
        assert (outcome.total_debit, outcome.line_count, outcome.live) == (Decimal(150000), 2, True)
    assert set(sandbox.live_documents()) == {reference(1), reference(10)}
    assert sandbox.balances() == {"1020": Decimal(300000), "4010": Decimal(-300000)}


def test_a_locked_period_is_refused_in_xeros_words(sandbox: WatchedSandbox, target: XeroJournals) -> None:
    """Catches: a lock that is read wrongly by a day, or a refusal without the date that a person needs."""
    assert target.lock_date() is None
    sandbox.lock_until(DAY - timedelta(days=1), end_of_year=True)
    assert target.lock_date() == DAY - timedelta(days=1)
    assert isinstance(target.post([document(1)])[0], Receipt)
    sandbox.lock_until(DAY)
    assert target.lock_date() == DAY
    refused = target.post([document(2)])[0]
    assert isinstance(refused, Rejection)
    assert "lock date" in refused.reason
    assert "05 Apr 2026" in refused.reason
    assert set(sandbox.live_documents()) == {reference(1)}


@pytest.mark.parametrize(
    ("kind", "stored"),
    [
        (FaultKind.RESET_AFTER_COMMIT, True),
        (FaultKind.TIMEOUT_AFTER_COMMIT, True),
        (FaultKind.MALFORMED_JSON, True),
        (FaultKind.TRUNCATED_GZIP, True),
        (FaultKind.RESET_BEFORE_COMMIT, False),
        (FaultKind.TIMEOUT_BEFORE_COMMIT, False),
        (FaultKind.ERROR, False),
    ],
)
def test_a_lost_answer_is_uncertain_until_it_is_looked_up(
    kind: FaultKind, stored: bool, running: RunningSandboxes, sandbox: WatchedSandbox
) -> None:
    """Catches: a lost answer taken for a failure (posted twice) or for success (never posted), an own retry."""
    target = journals(running, timeout="0.3")
    documents = [document(1), document(2)]
    target.lock_date()  # takes the token, so that the fault meets the posting
    running.faults("xero").add(Fault(kind=kind, method="PUT", path=JOURNALS))
    with pytest.raises(UncertainOutcomeError):
        target.post(documents)
    assert running.requests("xero")[f"PUT {JOURNALS}"] == 1
    found = target.find(documents)
    assert set(found) == {reference(1), reference(2)}
    for receipts in found.values():
        assert [(item.total_debit, item.line_count, item.live) for item in receipts] == (
            [(Decimal(150000), 2, True)] if stored else []
        )
    again = by_reference(target.post(documents))
    assert {name: [item.external_id for item in items] for name, items in target.find(documents).items()} == {
        name: [outcome.external_id] for name, outcome in again.items() if isinstance(outcome, Receipt)
    }
    assert {name: len(items) for name, items in sandbox.live_documents().items()} == dict.fromkeys(found, 1)


@pytest.mark.parametrize("kind", [FaultKind.THROTTLE, FaultKind.UNAVAILABLE])
def test_what_was_certainly_not_done_says_so(
    kind: FaultKind, running: RunningSandboxes, sandbox: WatchedSandbox, target: XeroJournals
) -> None:
    """Catches: a throttled batch, or one with an old token, that waits for a look-up which it does not need."""
    target.lock_date()
    running.faults("xero").add(Fault(kind=kind, method="PUT"))
    with pytest.raises(NotSentError):
        target.post([document(1)])
    sandbox.expire_tokens()
    with pytest.raises(NotSentError):
        target.post([document(1)])
    assert sandbox.live_documents() == {}
    assert isinstance(target.post([document(1)])[0], Receipt)
    assert len(sandbox.live_documents()[reference(1)]) == 1


def test_the_key_guards_a_batch_for_minutes_only(
    running: RunningSandboxes, sandbox: WatchedSandbox, target: XeroJournals
) -> None:
    """Catches: a key that differs between two tries of a batch, and shows why a look-up must come before a resend."""
    batch = [document(1), document(2)]
    first = by_reference(target.post(batch))
    assert by_reference(target.post(batch[::-1])) == first
    assert {len(items) for items in sandbox.live_documents().values()} == {1}
    key = sandbox.asked("PUT", JOURNALS)[0].headers["Idempotency-Key"]
    assert len(key) <= 128
    with pytest.raises(UncertainOutcomeError, match="sent before"):
        target.post([document(1), document(2, "1", "-1")])

    running.clock.advance(KEY_LIFE)
    target.post(batch)
    assert {len(items) for items in sandbox.live_documents().values()} == {2}
    assert {len(receipts) for receipts in target.find(batch).values()} == {2}


def test_find_tells_voided_from_live_over_many_pages(sandbox: WatchedSandbox, target: XeroJournals) -> None:
    """Catches: a search that stops at its first page or URL, a voided journal that blocks a repost."""
    sandbox.max_page_size = 3
    receipts = posted(target, 25)
    sandbox.void(receipts[4].external_id)
    found = target.find([document(number) for number in range(1, 28)])
    assert {name: [(item.external_id, item.live) for item in items] for name, items in found.items()} == {
        **{item.reference: [(item.external_id, item is not receipts[4])] for item in receipts},
        reference(26): [],
        reference(27): [],
    }
    assert receipts[4].reference not in sandbox.live_documents()


def test_the_wire_is_exact(running: RunningSandboxes, sandbox: WatchedSandbox) -> None:
    """Catches: floats, trailing noise, a lost line or tracking, a reference that a search could not find."""
    target = journals(running, journal_url="https://ops.example/j/{reference}")
    big = "12345678901234.0000"
    target.post([document(1, big, f"-{big}"), document(2, "12.5", "-12.5000")])
    request = sandbox.asked("PUT", JOURNALS)[0]
    assert request.query == {"summarizeErrors": ["false"]}
    for text in (b'"LineAmount":12345678901234,', b'"LineAmount":12.50,', b'"LineAmount":-12.50,'):
        assert text in request.body
    first = request.json()["ManualJournals"][0]
    assert first["Narration"].startswith(f"{reference(1)} DSJ-MKS-001-20260405-v1 Daily sales")
    assert (first["Date"], first["Status"], first["LineAmountTypes"]) == ("2026-04-05", "POSTED", "NoTax")
    assert first["Url"] == f"https://ops.example/j/{reference(1)}"
    assert first["JournalLines"][0]["Tracking"] == [{"Name": "Outlet", "Option": "MKS-001 Panakkukang"}]
    assert {line["TaxType"] for line in first["JournalLines"]} == {"NONE"}


def test_a_missing_setting_is_named(running: RunningSandboxes) -> None:
    """Catches: journals posted without their outlet because nobody said which category it is."""
    with pytest.raises(ConfigError, match="tracking_category"):
        journals(running, tracking_category="")


# The sandbox keeps the vendor's manners


def call(running: RunningSandboxes, path: str, **headers: str) -> requests.Response:
    sandbox = running.sandbox("xero")
    secret = tuple(sandbox.credentials().values())
    form = {"grant_type": "client_credentials", "scope": "accounting.manualjournals accounting.settings.read"}
    token = requests.post(f"{running.url('xero')}/connect/token", form, auth=secret, timeout=5).json()
    own = {"Authorization": f"Bearer {token['access_token']}", "Accept": "application/json"}
    return requests.get(f"{running.url('xero')}/api.xro/2.0/{path}", headers=own | headers, timeout=5)


def test_the_sandbox_has_the_traps_that_the_connector_avoids(running: RunningSandboxes, target: XeroJournals) -> None:
    """Catches: a sandbox so kind that a connector without Accept, paging or a good filter would pass."""
    posted(target, 2)
    assert call(running, "Organisation", Accept="*/*").headers["Content-Type"] == "text/xml"
    assert all(not item["JournalLines"] for item in call(running, "ManualJournals").json()["ManualJournals"])
    paged = call(running, 'ManualJournals?page=1&where=Date>=DateTime(2026,04,05) AND Status=="POSTED"').json()
    assert paged["pagination"]["itemCount"] == len(paged["ManualJournals"])
    assert {item["Date"] for item in paged["ManualJournals"]} >= {"/Date(1775347200000+0000)/"}
    for bad in ("where=Nonsense", 'where=Colour=="red"', "order=Colour"):
        answer = call(running, f"ManualJournals?page=1&{bad}")
        assert (answer.status_code, answer.json()["ErrorNumber"]) == (400, 16)
    assert call(running, "Journals").status_code == 404
    assert call(running, "Contacts").status_code == 401
    with pytest.raises(RefusedError):
        client(running).request("GET", "api.xro/2.0/Nothing")


@cache
def schemas() -> dict[str, Any]:
    if not SPEC.exists():
        pytest.skip("the vendor's published specification is not beside the project (C4_SHARED)")
    with SPEC.open(encoding="utf-8") as handle:
        return yaml.load(handle, getattr(yaml, "CSafeLoader", yaml.SafeLoader))["components"]  # noqa: S506


def unknown_names(value: Any, schema: Mapping[str, Any]) -> set[str]:
    """Names that the published schema does not have: a typo would otherwise be an optional field left out."""
    while "$ref" in schema:
        schema = schemas()["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    if isinstance(value, list):
        return {name for item in value for name in unknown_names(item, schema.get("items", {}))}
    if not isinstance(value, dict):
        return set()
    known = schema.get("properties", {})
    inner = {name for key in value.keys() & known.keys() for name in unknown_names(value[key], known[key])}
    return inner | (value.keys() - known.keys())


def test_requests_and_answers_fit_the_published_specification(
    running: RunningSandboxes, sandbox: WatchedSandbox, target: XeroJournals, tmp_path: Path
) -> None:
    """Catches: a field that the vendor spells otherwise or gives another type, on either side."""
    components = schemas()
    target.post([document(1), document(2, "100", "-90")])
    sandbox.lock_until(DAY)
    sync(running, tmp_path)
    envelope = {"Id", "Status", "ProviderName", "DateTimeUTC"}
    checked: dict[str, int] = defaultdict(int)
    for request, answer in sandbox.seen:
        if not request.path.startswith("/api.xro/2.0/"):
            continue
        name = request.path.split("/")[3].replace("Organisation", "Organisations")
        body = {key: item for key, item in msgspec.json.decode(answer.body).items() if key not in envelope}
        bodies = [body] + ([request.json() | {}] if request.method == "PUT" else [])
        for content in bodies:
            loose = msgspec.json.decode(msgspec.json.encode(content, enc_hook=float))
            root = {"$ref": f"#/components/schemas/{name}", "components": components}
            assert [error.message for error in Draft202012Validator(root).iter_errors(loose)] == []
            assert unknown_names(loose, root) == set()
            checked[name] += 1
    assert set(checked) == {"Accounts", "TrackingCategories", "Contacts", "Budgets", "ManualJournals", "Organisations"}


def test_staging_reads_alike_on_an_empty_organisation(tmp_path: Path) -> None:
    """Catches: a model that fails before the first night, or invents a row."""
    for path in sorted((DBT / "models" / "staging" / "xero").glob("*.sql")):
        assert staged(tmp_path, path.stem.removeprefix("stg_xero__")) == []
