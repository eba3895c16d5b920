"""Changes at tills: sheets, previews, approval and sending, against the vendors' sandboxes over real sockets."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from dagster import materialize  # noqa: TID251 - the night's step
from typer.testing import CliRunner

from assets.exports.writes import write_assets
from assets.platform import AS_OF_TAG, PlatformResource
from ingestion.core import writes
from ingestion.core.config import ConfigError
from ingestion.core.errors import AccessError
from ingestion.core.ops.db import connect, migrate
from ingestion.core.ops.leases import LeaseHeldError, lease
from ingestion.core.outbox import Status, history
from ingestion.core.outbox.states import BookError
from ingestion.core.platform import Platform
from ingestion.core.registry import connector
from ingestion.core.writes import Change, Difference, SendResult, WriteKind
from ingestion.sandbox.faults import Fault, FaultKind
from ingestion.vendors.toast.sandbox import guid_of, moment_of
from orchestration.cli.app import app
from tests.stand import Stand, company

PRICES, SCHEDULES = WriteKind.PRICES, WriteKind.SCHEDULES
FAULTS = {PRICES: 100, SCHEDULES: 20}
ROUNDS = 60  # bound of the runs until every fault has struck and every change is there
# A reset tells as little as a time-out does, and no busy machine can take one for the other.
WRITE_FAULTS = (
    FaultKind.RESET_BEFORE_COMMIT,
    FaultKind.RESET_AFTER_COMMIT,
    FaultKind.THROTTLE,
    FaultKind.ERROR,
    FaultKind.MALFORMED_JSON,
)
READ_FAULTS = (FaultKind.ERROR, FaultKind.RESET_BEFORE_COMMIT, FaultKind.MALFORMED_JSON)


class Desk:
    """A stand with one vendor's tills and the person at the desk. Nobody sleeps; `slept` is what was asked for."""

    def __init__(self, stand: Stand, kind: WriteKind) -> None:
        self.stand, self.kind = stand, kind
        self.vendor = stand.vendors[0]
        self.sandbox: Any = stand.running.sandbox(self.vendor)
        self.slept: list[float] = []
        self.sheet = stand.root / "sheet.csv"

    @property
    def platform(self) -> Platform:
        return self.stand.platform()

    @property
    def faults(self) -> Any:
        return self.stand.running.faults(self.vendor)

    def write(self, *rows: str) -> None:
        head = {PRICES: "outlets,sku,price,currency,valid_from", SCHEDULES: "outlet,employee,start,end,job"}
        self.sheet.write_text("\n".join((head[self.kind], *rows)) + "\n", encoding="utf-8")

    def preview(self, *rows: str) -> list[Difference]:
        self.write(*rows)
        platform = self.platform
        return writes.preview(
            platform,
            self.kind,
            writes.read_sheet(self.kind, self.sheet),
            lambda account: writes.writer_of(platform, self.kind, account),
        )

    def submit(self, *rows: str, who: str = "Sri", approve: bool = True) -> list[Change]:
        changes = writes.submit(self.platform.ops, self.preview(*rows), who)
        if approve and changes:
            writes.approve(self.platform.ops, changes[0].submission, "Budi", self.kind)
        return changes

    def send(self, opened: Platform | None = None) -> SendResult:
        """One run for each account, as one result."""
        platform = opened or self.platform
        total = SendResult("all")
        for account in writes.accounts(platform, self.kind):
            result = writes.send_changes(platform, self.kind, account, sleep=self.slept.append)
            for name in ("posted", "confirmed", "waiting", "problems"):
                getattr(total, name).extend(getattr(result, name))
            total.drifted |= result.drifted
        return total

    def changes(self) -> list[Change]:
        return writes.changes_of(self.platform.ops, self.kind)

    def statuses(self) -> list[str]:
        return [str(change.status) for change in self.changes()]

    def events(self, change: Change) -> list[str]:
        return [event.status for event in history(self.platform.ops, change.reference)]

    def rules(self, **rules: Any) -> None:
        path = self.stand.root / "config" / "company.yaml"
        document = msgspec.yaml.decode(path.read_bytes())
        document["write_rules"] = rules
        path.write_bytes(msgspec.yaml.encode(document))

    def writings(self) -> int:
        """Calls that would change something at the vendor, faults included."""
        asked = self.stand.running.requests(self.vendor)
        return sum(count for name, count in asked.items() if name.split()[0] != "GET" and "auth" not in name)

    def incidents(self) -> list[str]:
        return [item.incident.key for item in self.platform.ops.incidents.current()]


@pytest.fixture(scope="module")
def empty_ops(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An ops database as the migrations leave it: making one takes longer than most tests here."""
    path = tmp_path_factory.mktemp("ops") / "ops.db"
    engine = connect(f"sqlite:///{path}")
    migrate(engine)
    engine.dispose()
    return path.read_bytes()


@pytest.fixture
def desk(tmp_path: Path, empty_ops: bytes) -> Iterator[Desk]:
    """Two outlets on Moka."""
    (tmp_path / "ops.db").write_bytes(empty_ops)
    with Stand.open(tmp_path, ["moka"], company(outlets=2, days=2), days=2) as stand:
        yield Desk(stand, PRICES)
        assert not stand.running.errors("moka")


@pytest.fixture
def rota(tmp_path: Path, empty_ops: bytes) -> Iterator[Desk]:
    """Two restaurants on Toast."""
    (tmp_path / "ops.db").write_bytes(empty_ops)
    with Stand.open(tmp_path, ["toast"], company(outlets=2, days=2, pos=("toast",)), days=2) as stand:
        yield Desk(stand, SCHEDULES)
        assert not stand.running.errors("toast")


def outlet_of(desk: Desk, number: int = 0) -> tuple[str, str]:
    """An outlet in the vendor's words and in ours."""
    return list(desk.sandbox.outlets().items())[number]


def skus(desk: Desk, outlet_id: str) -> list[str]:
    outlet = next(item for item in desk.stand.company.outlets if item.outlet_id == outlet_id)
    return [product.sku for product in desk.stand.company.menu(outlet)]


# Sheets and previews


def test_a_preview_shows_item_old_new_and_percent_and_writes_nothing(desk: Desk) -> None:
    """Catches: a difference against another outlet's price, a percentage of the new price, a preview that writes."""
    source, ours = outlet_of(desk)
    sku = skus(desk, ours)[0]
    old = desk.sandbox.price(source, sku)
    (row,) = desk.preview(f"{ours},{sku},{old + 1000}.00,IDR,")
    assert (row.refusal, row.changes, row.old, row.wish.value) == ("", True, str(old), str(old + 1000))
    assert row.percent == (Decimal(1000) / old * 100).quantize(Decimal("0.01"))
    assert row.label
    assert desk.writings() == 0
    assert desk.changes() == []


def test_a_price_that_cannot_be_meant_is_refused_with_its_row(desk: Desk) -> None:
    """Catches: a slipped zero, a price list in another currency, a typing error that reaches the guests."""
    _, ours = outlet_of(desk)
    sku = skus(desk, ours)[0]
    refused = {
        f"{sku},0,IDR,": "price: 0 is not above zero",
        f"{sku},-5,IDR,": "price: -5 is not above zero",
        f"{sku},25000,USD,": f"currency: USD, the till of {ours} has IDR",
        f"{sku},900000000,IDR,": "price: changes by",
        f"{sku},25000.5,IDR,": "price: 25000.5 has more than 0 decimals",
        "NOPE,25000,IDR,": "sku: the outlet's menu has no 'NOPE'",
    }
    for cells, words in refused.items():
        with pytest.raises(ValueError, match=f"sheet.csv line 2: {words}"):
            desk.submit(f"{ours},{cells}")
    assert desk.changes() == []


def test_one_refused_row_keeps_the_whole_sheet_back(desk: Desk) -> None:
    """Catches: half a price list at the tills."""
    _, ours = outlet_of(desk)
    first, second = skus(desk, ours)[:2]
    with pytest.raises(ValueError, match=r"line 4: speaks of the same as sheet.csv line 2"):
        desk.submit(f"{ours},{first},26000,IDR,", f"{ours},{second},26000,IDR,", f"{ours},{first},27000,IDR,")
    assert desk.changes() == []


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("p.csv", "outlets,sku,price,currency\n*,A,dear,IDR\n", r"p.csv line 2: .*decimal.*`\$.price`"),
        ("p.csv", "outlets,sku,cost\n*,A,1\n", "p.csv line 1: unknown column 'cost'"),
        ("p.csv", "outlets,sku,price,currency\n", "has no rows"),
        ("p.yaml", "- {outlets: '*', sku: A, price: 1, currency: IDR, when: now}", "row 1: unknown field 'when'"),
        ("p.yaml", "- {outlets: '*', sku: A, currency: IDR}", "row 1: .*price"),
        ("p.yaml", "price: 1", "must be a list of rows"),
        ("p.xlsx", "", "must be .csv, .yaml or .yml"),
    ],
)
def test_an_unreadable_sheet_names_row_field_and_rule(tmp_path: Path, name: str, text: str, words: str) -> None:
    """Catches: a row that is silently skipped, an error that nobody can find in the sheet."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=words):
        writes.read_sheet(PRICES, tmp_path / name)


def test_yaml_prices_are_the_decimals_that_were_written(tmp_path: Path) -> None:
    """Catches: a price that went through a binary float; a date read as a text."""
    sheet = tmp_path / "p.yaml"
    sheet.write_text("- {outlets: 'city:Jakarta', sku: A, price: 27500.10, currency: IDR, valid_from: 2026-05-01}")
    ((place, row),) = writes.read_sheet(PRICES, sheet)
    assert place == "p.yaml row 1"
    assert isinstance(row, writes.PriceRow)
    assert (row.price, row.valid_from) == (Decimal("27500.1"), date(2026, 5, 1))


def test_a_group_of_outlets_is_every_outlet_in_it(desk: Desk) -> None:
    """Catches: a group that misses an outlet, or takes one of another entity; an outlet whose till takes no prices."""
    everywhere = desk.preview("*,NOPE,1,IDR,")
    assert {row.outlet_id for row in everywhere} == {item.outlet_id for item in desk.stand.company.outlets}
    without = desk.sandbox.outlets().values()
    assert all(row.outlet_id in without or "there is none" in row.refusal for row in everywhere)
    entity = desk.stand.company.outlets[0].entity.entity_id
    assert {row.outlet_id for row in desk.preview(f"entity:{entity},NOPE,1,IDR,")} == {
        item.outlet_id for item in desk.stand.company.outlets if item.entity.entity_id == entity
    }
    (nowhere,) = desk.preview("city:Atlantis,NOPE,1,IDR,")
    assert "names no outlet" in nowhere.refusal


# Prices, from the sheet to the till


def test_a_price_is_submitted_approved_sent_and_read_back(desk: Desk) -> None:
    """Catches: a price sent without a second person's approval, or twice; a change that is never confirmed; a history
    with gaps.
    """
    source, ours = outlet_of(desk)
    sku = skus(desk, ours)[0]
    old = desk.sandbox.price(source, sku)
    (change,) = desk.submit(f"{ours},{sku},{old + 500},IDR,", approve=False)
    assert desk.send().waiting == [change.reference]
    assert desk.sandbox.price(source, sku) == old
    assert desk.submit(f"{ours},{sku},{old + 500},IDR,", approve=False) == []
    with pytest.raises(BookError, match="another person"):
        writes.approve(desk.platform.ops, change.document_key, "Sri", PRICES)
    assert desk.send().waiting == [change.reference]
    writes.approve(desk.platform.ops, change.document_key, "Budi", PRICES)
    result = desk.send()
    assert (result.posted, result.confirmed, result.problems) == ([change.reference],) * 2 + ([],)
    assert desk.sandbox.price_changes == [(source, sku, old, old + 500)]
    calls = sum(desk.stand.running.requests("moka").values())
    assert desk.send().posted == []
    assert sum(desk.stand.running.requests("moka").values()) == calls
    assert desk.events(change) == ["planned", "approved", "sending", "posted", "confirmed"]
    audited = [(entry["who"], entry["action"]) for entry in desk.platform.ops.audit_log()]
    assert audited[:2] == [("Budi", "approve prices"), ("Sri", "submit prices")]
    assert desk.submit(f"{ours},{sku},{old + 500},IDR,") == []


def test_the_rest_of_the_item_stays_as_it_was(desk: Desk) -> None:
    """Catches: another variant dropped from the menu by the update, prices per sales type lost, a price on the wrong
    variant of an item.
    """
    source, ours = outlet_of(desk)
    sku = skus(desk, ours)[0]
    sales_types = [{"sales_type_id": 7, "sales_type_name": "GoFood", "sales_type_price": 31000}]

    def add_variant(item: dict[str, Any]) -> None:
        small = item["item_variants"][0]
        large = {**small, "id": small["id"] + 500, "sku": "LARGE", "name": "Large", "price": small["price"] + 9000}
        gone = {**large, "id": small["id"] + 501, "sku": "GONE", "is_deleted": True}
        item["item_variants"] += [{**large, "track_stock": True, "sales_type_items": sales_types}, gone]
        item["description"] = "Best of the house"

    desk.sandbox.edit_item(source, sku, add_variant)
    old = desk.sandbox.price(source, sku)
    desk.submit(f"{ours},{sku},{old + 500},IDR,", f"{ours},LARGE,{old + 9500},IDR,")
    assert len(desk.send().confirmed) == 2
    assert desk.sandbox.price_changes == [(source, sku, old, old + 500), (source, "LARGE", old + 9000, old + 9500)]
    found: list[dict[str, Any]] = []
    desk.sandbox.edit_item(source, sku, found.append)
    (item,) = found
    assert item["description"] == "Best of the house"
    small, large, gone = item["item_variants"]
    assert (small["is_deleted"], large["is_deleted"], gone["is_deleted"]) == (False, False, True)
    assert (large["track_stock"], large["sales_type_items"]) == (True, sales_types)


def test_a_price_that_changed_at_the_till_is_not_overwritten(desk: Desk) -> None:
    """Catches: what a manager set at the till between approval and sending, lost; a drift that nobody hears of."""
    source, ours = outlet_of(desk)
    sku = skus(desk, ours)[0]
    old = desk.sandbox.price(source, sku)
    (change,) = desk.submit(f"{ours},{sku},{old + 500},IDR,")
    desk.sandbox.edit_item(source, sku, lambda item: item["item_variants"][0].update(price=old + 100))
    result = desk.send()
    assert change.reference in result.drifted
    assert desk.writings() == 0
    (waits,) = desk.changes()
    assert (waits.status, waits.old, waits.approved_by) == (Status.PLANNED, str(old + 100), "")
    assert desk.incidents() == [f"prices:moka-nki:{change.reference}"]
    assert desk.send().waiting == [change.reference]
    assert desk.incidents() == [f"prices:moka-nki:{change.reference}"]
    writes.approve(desk.platform.ops, change.reference, "Budi", PRICES)
    assert desk.send().confirmed == [change.reference]
    assert desk.sandbox.price_changes == [(source, sku, old + 100, old + 500)]
    assert desk.incidents() == []


def test_a_price_waits_for_its_day_and_its_steps_follow_each_other(desk: Desk) -> None:
    """Catches: a price that comes early or by the machine's clock; the second step taken for a drift of the first."""
    source, ours = outlet_of(desk)
    sku = skus(desk, ours)[0]
    old, today = desk.sandbox.price(source, sku), desk.stand.now.date()
    outlet = next(item for item in desk.stand.company.outlets if item.outlet_id == ours)
    local = desk.stand.now.astimezone(ZoneInfo(outlet.timezone)).date()
    days = [local + timedelta(days=1), local + timedelta(days=2)]
    assert local > today  # the night is a day later at the outlet than in UTC
    first, second = desk.submit(*(f"{ours},{sku},{old + 500 * n},IDR,{day}" for n, day in enumerate(days, start=1)))
    assert (first.old, second.old) == (str(old), str(old + 500))
    assert sorted(desk.send().waiting) == sorted([first.reference, second.reference])
    desk.stand.set_clock(desk.stand.now + timedelta(days=1))
    assert desk.send().confirmed == [first.reference]
    desk.stand.set_clock(desk.stand.now + timedelta(days=1))
    assert desk.send().confirmed == [second.reference]
    assert [new for *_, new in desk.sandbox.price_changes] == [old + 500, old + 1000]


def test_steps_that_are_due_together_all_end_confirmed(desk: Desk) -> None:
    """Catches: an earlier step read back after the later one was sent, and taken for a drift."""
    source, ours = outlet_of(desk)
    sku = skus(desk, ours)[0]
    old, day = desk.sandbox.price(source, sku), desk.stand.now.date()
    desk.submit(f"{ours},{sku},{old + 1000},IDR,{day}", f"{ours},{sku},{old + 500},IDR,{day - timedelta(days=1)}")
    result = desk.send()
    assert (result.drifted, desk.statuses()) == ({}, ["confirmed", "confirmed"])
    assert [new for *_, new in desk.sandbox.price_changes] == [old + 500, old + 1000]


def test_a_rule_approves_small_changes_and_a_limit_refuses_great_ones(desk: Desk) -> None:
    """Catches: a rule that approves what is beyond it; a limit that cannot be set."""
    source, ours = outlet_of(desk)
    small, great = skus(desk, ours)[:2]
    desk.rules(approve_prices_within=5, refuse_prices_beyond=20)
    prices = {sku: desk.sandbox.price(source, sku) for sku in (small, great)}
    rows = [f"{ours},{small},{prices[small] * 104 // 100},IDR,", f"{ours},{great},{prices[great] * 115 // 100},IDR,"]
    first, second = desk.submit(*rows, approve=False)
    assert (first.approved_by, second.approved_by) == ("rule: within 5 %", "")
    result = desk.send()
    assert (result.confirmed, result.waiting) == ([first.reference], [second.reference])
    (refused,) = desk.preview(f"{ours},{great},{prices[great] * 130 // 100},IDR,")
    assert "more than 20 %" in refused.refusal


def test_a_later_sheet_replaces_what_waits_and_a_person_may_withdraw(desk: Desk) -> None:
    """Catches: two prices for one SKU on their way; a change that nobody can stop; an approval of what is done."""
    source, ours = outlet_of(desk)
    sku = skus(desk, ours)[0]
    old = desk.sandbox.price(source, sku)
    desk.submit(f"{ours},{sku},{old + 500},IDR,")
    (second,) = desk.submit(f"{ours},{sku},{old + 700},IDR,")
    assert desk.statuses() == ["withdrawn", "planned"]
    writes.withdraw(desk.platform.ops, second.submission, "Sri", PRICES)
    assert (desk.send().posted, desk.sandbox.price_changes) == ([], [])
    for act in (writes.approve, writes.withdraw):
        with pytest.raises(BookError):
            act(desk.platform.ops, second.reference, "Budi", PRICES)
        with pytest.raises(LookupError):
            act(desk.platform.ops, "C4NOTHING", "Budi", PRICES)
        with pytest.raises(ValueError, match="name"):
            act(desk.platform.ops, second.reference, " ", PRICES)


def test_what_the_till_refuses_waits_for_a_person_in_its_own_words(desk: Desk) -> None:
    """Catches: a refusal that is repeated every night, or forgotten; an item that left the menu since."""
    source, ours = outlet_of(desk)
    sku, gone = skus(desk, ours)[:2]
    old = desk.sandbox.price(source, sku)
    first, second = desk.submit(f"{ours},{sku},{old + 500},IDR,", f"{ours},{gone},{old},IDR,")
    desk.sandbox.edit_item(source, gone, lambda item: item.update(is_deleted=True))
    desk.sandbox.edit_item(source, sku, lambda item: item.update(category_id=None))
    assert len(desk.send().problems) == 2
    reasons = {change.reference: (change.status, change.reason) for change in desk.changes()}
    assert reasons == {
        first.reference: (Status.REJECTED, "param is missing or the value is empty: category_id"),
        second.reference: (Status.REJECTED, f"sku: the outlet's menu has no {gone!r}"),
    }
    calls = desk.writings()
    desk.send()
    assert desk.writings() == calls


def test_two_runs_to_one_account_do_not_mix(desk: Desk) -> None:
    """Catches: the night and `c4 prices send` at the same time, each writing."""
    _, ours = outlet_of(desk)
    desk.submit(f"{ours},{skus(desk, ours)[0]},26000,IDR,")
    ops = desk.platform.ops
    with lease(ops.sessions, "writes:moka-nki:prices", ops.now), pytest.raises(LeaseHeldError):
        desk.send()


def test_an_outlet_that_is_down_keeps_no_other_back(tmp_path: Path, empty_ops: bytes) -> None:
    """Catches: healthy tills that wait for a dead one, night after night; tries without an end."""
    (tmp_path / "ops.db").write_bytes(empty_ops)
    with Stand.open(tmp_path, ["moka"], company(outlets=4, days=2), days=2) as stand:
        desk = Desk(stand, PRICES)
        entity = stand.company.outlets[0].entity.entity_id
        account = desk.platform.config.integration("moka-nki").outlets
        assert len(account) == 2
        (dead, ours), (other, _) = account.items()
        sku = skus(desk, ours)[0]
        old = desk.sandbox.price(dead, sku)
        desk.submit(f"entity:{entity},{sku},{old + 700},IDR,")
        down = Fault(kind=FaultKind.RESET_BEFORE_COMMIT, method="GET", path=f"*/{dead}/items*", count=None)
        desk.faults.add(down)
        desk.send()
        assert sorted(desk.statuses()) == ["confirmed", "failed"]
        assert (desk.sandbox.price(dead, sku), desk.sandbox.price(other, sku)) == (old, old + 700)
        assert len(desk.slept) < 100


@pytest.mark.parametrize("fault", [FaultKind.TIMEOUT_AFTER_COMMIT, FaultKind.TIMEOUT_BEFORE_COMMIT])
def test_an_uncertain_answer_is_resolved_by_reading_and_never_sent_blindly(desk: Desk, fault: FaultKind) -> None:
    """Catches: a price sent again although it was there; one given up although it was not."""
    source, ours = outlet_of(desk)
    sku = skus(desk, ours)[0]
    desk.stand.set_timeout(1)
    old = desk.sandbox.price(source, sku)
    desk.submit(f"{ours},{sku},{old + 500},IDR,")
    desk.faults.add(Fault(kind=fault, method="PUT"))
    assert len(desk.send().confirmed) == 1
    assert desk.sandbox.price_changes == [(source, sku, old, old + 500)]
    assert desk.writings() == (1 if fault is FaultKind.TIMEOUT_AFTER_COMMIT else 2)


def test_a_run_that_died_after_the_call_sends_nothing_twice(desk: Desk) -> None:
    """Catches: a crash between the till's answer and our note of it; a restored database that knows less."""

    class PowerCut(BaseException):
        """The process ends here."""

    source, ours = outlet_of(desk)
    sku = skus(desk, ours)[0]
    old = desk.sandbox.price(source, sku)
    (change,) = desk.submit(f"{ours},{sku},{old + 500},IDR,")
    platform = desk.platform
    target = writes.writer_of(platform, PRICES, change.target)

    class Dying:
        def held(self, outlet: str, wishes: Any) -> Any:
            return target.held(outlet, wishes)

        def put(self, outlet: str, wish: Any, held: Any) -> None:
            target.put(outlet, wish, held)
            raise PowerCut

    zones = platform.zones(platform.config.integration(change.target))
    with pytest.raises(PowerCut):
        writes.send(platform.ops, PRICES, change.target, Dying, zones, desk.stand.now, sleep=desk.slept.append)
    assert desk.statuses() == ["sending"]
    result = desk.send()
    assert (result.confirmed, desk.writings()) == ([change.reference], 1)


def test_simphony_takes_prices_through_another_api_and_account(tmp_path: Path, empty_ops: bytes) -> None:
    """Catches: the reading account used for writing, the price of every level or location changed, a second call after
    a lost answer, an inherited price written where it would change everywhere.
    """
    (tmp_path / "ops.db").write_bytes(empty_ops)
    made = company(outlets=2, days=2, pos=("oracle-micros",))
    with Stand.open(tmp_path, ["oracle-micros"], made, days=2) as stand:
        desk = Desk(stand, PRICES)
        source, ours = outlet_of(desk)
        first, second, third = skus(desk, ours)[:3]
        old = {sku: desk.sandbox.price(source, sku) for sku in (first, second, third)}
        rows = [f"{ours},{sku},{price + 500},IDR," for sku, price in old.items()]
        changes = desk.submit(*rows, approve=False)
        desk.sandbox.set_price(source, third, old[third] + 100)
        stand.set_timeout(1)
        desk.faults.add(Fault(kind=FaultKind.TIMEOUT_AFTER_COMMIT, method="POST", path="*update*"))
        writes.approve(desk.platform.ops, changes[0].submission, "Budi", PRICES)
        result = desk.send()
        assert sorted(result.confirmed) == sorted(change.reference for change in changes[:2])
        assert list(result.drifted) == [changes[2].reference]
        assert desk.sandbox.price_changes == [(source, sku, old[sku], old[sku] + 500) for sku in (first, second)]
        (unknown,) = desk.preview(f"{ours},NOPE,25000,IDR,")
        assert unknown.refusal == "sku: the enterprise has no menu items 'NOPE'"
        accounts = writes.accounts(desk.platform, PRICES)
        credentials = desk.sandbox.credentials() | {"ccapi_password": ""}
        for account in accounts:
            desk.platform.ops.set_credentials(account, credentials, who="test")
        with pytest.raises(AccessError, match="ccapi_password"):
            desk.preview(f"{ours},{first},25000,IDR,")
        assert not stand.running.errors("oracle-micros")


# Schedules


def staff(desk: Desk, number: int = 0) -> tuple[str, str, str]:
    """Restaurant in the vendor's words and in ours, and an employee of it by staff number."""
    source, ours = outlet_of(desk)
    people = [person for person in desk.stand.company.employees if person.outlet.outlet_id == ours]
    return source, ours, str([person for person in people if person.left_on is None][number].number)


def shift(desk: Desk, days: int, start: str = "09:00", end: str = "17:00", number: int = 0) -> str:
    """A row of the schedule, so many days after the night."""
    _, ours, employee = staff(desk, number)
    day = desk.stand.now.date() + timedelta(days=days)
    return f"{ours},{employee},{day}T{start}:00+07:00,{day}T{end}:00+07:00,"


def test_shifts_are_created_moved_and_read_back(rota: Desk) -> None:
    """Catches: a moved shift posted as a second one, tolerances and job lost by the update, times in the wrong zone."""
    desk = rota
    created = desk.submit(shift(desk, 2), shift(desk, 3), shift(desk, 2, number=1))
    assert len(desk.send().confirmed) == 3
    assert [method for method, *_ in desk.sandbox.shift_changes] == ["POST"] * 3
    assert {row["externalId"] for row in desk.sandbox.shifts.values()} == {f"C4:{item.reference}" for item in created}
    (mine,) = [row for row in desk.sandbox.shifts.values() if row["externalId"] == f"C4:{created[0].reference}"]
    assert moment_of(mine["inDate"]).hour == 2  # 09:00 in Jakarta
    mine["scheduleConfig"] = {"minBeforeClockIn": 10}
    assert desk.submit(shift(desk, 2), shift(desk, 3)) == []
    (moved,) = desk.submit(shift(desk, 2, "10:00", "18:00"))
    assert desk.send().confirmed == [moved.reference]
    assert desk.sandbox.shift_changes[3][:2] == ("PUT", mine["guid"])
    now = desk.sandbox.shifts[mine["guid"]]
    assert (now["scheduleConfig"], now["jobReference"]) == (mine["scheduleConfig"], mine["jobReference"])
    assert len(desk.sandbox.shifts) == 3


def test_a_shift_that_was_moved_in_toast_goes_back_to_approval(rota: Desk) -> None:
    """Catches: a manager's change of the schedule overwritten; a second shift beside one that is there."""
    desk = rota
    desk.submit(shift(desk, 2))
    desk.send()
    (row,) = desk.sandbox.shifts.values()
    (change,) = desk.submit(shift(desk, 2, "10:00", "18:00"))
    row["inDate"] = row["inDate"].replace("T02:00", "T03:30")
    assert change.reference in desk.send().drifted
    assert len(desk.sandbox.shift_changes) == 1
    new = desk.submit(shift(desk, 5))
    person = row["employeeReference"]
    busy = {**row, "guid": guid_of("shift", "by hand"), "externalId": None, "employeeReference": person}
    start, end = (f"{moment:%Y-%m-%dT%H:%M:%S}.000+0000" for moment in writes.change.shift_times(new[0].new))
    desk.sandbox.shifts[busy["guid"]] = {**busy, "inDate": start, "outDate": end.replace("T10:", "T09:")}
    assert new[0].reference in desk.send().drifted


def test_a_shift_that_cannot_be_meant_is_refused(rota: Desk) -> None:
    """Catches: a shift in the past, one that ends before it begins, one for somebody who is not there."""
    _, ours, employee = staff(rota)
    day = rota.stand.now.date() + timedelta(days=2)
    refused = {
        f"{employee},{day}T17:00:00+07:00,{day}T09:00:00+07:00,": "end: is not after start",
        f"{employee},{day}T01:00:00+07:00,{day}T23:00:00+07:00,": "end: the shift is longer than 16 hours",
        f"{employee},2020-01-01T09:00:00+07:00,2020-01-01T17:00:00+07:00,": "start: is over",
        f"99999999,{day}T09:00:00+07:00,{day}T17:00:00+07:00,": "employee: the restaurant has no employees by this id",
        f"{employee},{day}T09:00:00+07:00,{day}T17:00:00+07:00,Astronaut": "job: must name one of",
    }
    for cells, words in refused.items():
        (row,) = rota.preview(f"{ours},{cells}")
        assert words in row.refusal


def test_a_shift_without_its_zone_is_no_shift(rota: Desk) -> None:
    """Catches: local times taken for UTC."""
    _, ours, employee = staff(rota)
    with pytest.raises(ConfigError, match=r"line 2: .*timezone.*`\$.start`"):
        rota.preview(f"{ours},{employee},2030-01-01T09:00:00,2030-01-01T17:00:00,")


# Faults


@pytest.mark.parametrize("kind", [PRICES, SCHEDULES])
def test_faults_without_end_and_each_change_took_effect_once(kind: WriteKind, request: pytest.FixtureRequest) -> None:
    """Catches: a price or shift written twice or never, whatever is lost on the way and in which order."""
    desk: Desk = request.getfixturevalue("desk" if kind is PRICES else "rota")
    chance = random.Random(f"faults of {kind}")
    source, ours = outlet_of(desk)
    desk.stand.set_timeout(20)
    if kind is PRICES:
        wanted = {sku: desk.sandbox.price(source, sku) for sku in skus(desk, ours)[:20]}
        wanted = {sku: price * 110 // 100 + 1 for sku, price in wanted.items()}
        changes = desk.submit(*(f"{ours},{sku},{price},IDR," for sku, price in wanted.items()))
    else:
        changes = desk.submit(*(shift(desk, 2 + n) for n in range(10)))
    for number in range(FAULTS[kind] // 2):
        every = {"count": 1, "after": chance.randint(0, 1)}
        path = "*/items*" if kind is PRICES else "*/shifts*"
        method = "PUT" if kind is PRICES else "POST"
        desk.faults.add(
            Fault(kind=WRITE_FAULTS[number % len(WRITE_FAULTS)], path=path, method=method, **every),
            Fault(kind=READ_FAULTS[number % len(READ_FAULTS)], path=path, method="GET", **every),
        )
    confirmed: Counter[str] = Counter()
    platform = desk.platform
    for _ in range(ROUNDS):
        confirmed.update(desk.send(platform).confirmed)
        platform.ops.reset_breakers()
        if len(confirmed) == len(changes):
            break
    struck = sum(desk.faults.struck.values())
    assert confirmed == Counter(change.reference for change in changes)
    assert set(desk.statuses()) == {"confirmed"}
    assert struck >= FAULTS[kind] * 0.95, f"only {struck} faults struck"
    if kind is PRICES:
        assert {sku: desk.sandbox.price(source, sku) for sku in wanted} == wanted
        assert Counter(sku for _, sku, *_ in desk.sandbox.price_changes) == Counter(list(wanted))
    else:
        assert Counter(row["externalId"] for row in desk.sandbox.shifts.values()) == Counter(
            f"C4:{change.reference}" for change in changes
        )
        assert len(desk.sandbox.shift_changes) == len(changes)


# The night and the command line


def test_the_nights_step_sends_as_of_its_logical_time(desk: Desk) -> None:
    """Catches: a step that is not wired, one that takes the machine's clock for the night's, a silent one."""
    source, ours = outlet_of(desk)
    due, early = skus(desk, ours)[:2]
    prices = [desk.sandbox.price(source, sku) + 500 for sku in (due, early)]
    far = desk.stand.now.date() + timedelta(days=3)
    desk.submit(f"{ours},{due},{prices[0]},IDR,{desk.stand.now.date()}", f"{ours},{early},{prices[1]},IDR,{far}")
    ran = materialize(
        write_assets([connector("moka")]),
        resources={"platform": PlatformResource(data=str(desk.stand.root))},
        tags={AS_OF_TAG: desk.stand.now.isoformat()},
    )
    (told,) = ran.asset_materializations_for_node("exports__moka_prices")
    assert {name: value.value for name, value in told.metadata.items()} == {
        "posted": 1,
        "confirmed": 1,
        "waiting": 1,
        "back to approval": 0,
    }
    assert [check.passed for check in ran.get_asset_check_evaluations()] == [True]
    assert [sku for _, sku, *_ in desk.sandbox.price_changes] == [due]


def test_a_price_list_from_the_command_line_to_the_till(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a command that exits 0 on a refusal, one that cannot be run, an answer that is no JSON."""
    source, ours = outlet_of(desk)
    sku = skus(desk, ours)[0]
    old = desk.sandbox.price(source, sku)
    monkeypatch.setenv("C4_DATA", str(desk.stand.root))
    monkeypatch.setenv("C4_AS_OF", desk.stand.now.isoformat())
    monkeypatch.delenv("C4_CONFIG", raising=False)
    runner = CliRunner()

    def c4(*words: str, code: int = 0) -> Any:
        done = runner.invoke(app, ["prices", *words], catch_exceptions=False)
        assert done.exit_code == code, done.output
        return json.loads(done.output) if "--json" in words else done.output

    desk.write(f"{ours},{sku},0,IDR,")
    assert c4("preview", str(desk.sheet), "--json", code=1)[0]["says"] == "price: 0 is not above zero"
    assert "line 2: price: 0" in c4("submit", str(desk.sheet), "--by", "Sri", code=1)
    desk.write(f"{ours},{sku},{old + 500},IDR,")
    assert c4("preview", str(desk.sheet), "--json")[0]["new"] == str(old + 500)
    (submitted,) = c4("submit", str(desk.sheet), "--by", "Sri", "--json")
    assert c4("list", "--status", "planned", "--json") == [submitted]
    assert "was submitted by Sri" in c4("approve", submitted["submission"], "--by", " sri", code=1)
    desk.rules(approve_own=True)
    c4("approve", submitted["submission"], "--by", "Sri")
    assert sum(row["confirmed"] for row in c4("send", "--json")) == 1
    (shown,) = c4("show", submitted["document_key"], "--json")
    assert shown["change"]["status"] == "confirmed"
    c4("withdraw", submitted["reference"], "--by", "Sri", code=1)
    assert desk.sandbox.price(source, sku) == old + 500
