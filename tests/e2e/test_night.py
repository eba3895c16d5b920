"""Whole nights against the simulated company: the job that the schedule starts, real sockets, a real DuckDB."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest

from ingestion.core import warehouse
from ingestion.core.backfill import LANDING, backfill
from ingestion.core.ops.backfills import Asked
from ingestion.core.registry import connectors
from ingestion.core.spec import Category
from ingestion.sandbox.company import Company
from ingestion.sandbox.faults import Fault, FaultKind
from orchestration.cli.demo import differences
from orchestration.cli.journals import KEY, SUMS, drill_journal
from orchestration.cli.rejects import reject_rows
from tests.e2e.nights import Rows, night, published_rows
from tests.receivers import SlackReceiver
from tests.stand import FIRST_DAY, Stand

pytestmark = pytest.mark.e2e
GROUP = pytest.mark.xdist_group("night")  # these share one company's nights


def marts(stand: Stand, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(stand.settings().published_path), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def all_marts(stand: Stand) -> Rows:
    """Every row of every mart, without until when a night has read: that is no figure."""
    return {
        name: [tuple(cell for cell in row if not cell.startswith("complete_until=")) for row in rows]
        for name, rows in published_rows(stand.settings()).items()
    }


def documents(stand: Stand) -> list[dict[str, Any]]:
    return stand.platform().ops.snapshot()["outbox"][1]


def live_in_targets(stand: Stand) -> dict[str, int]:
    """How many live documents each target's own ledger holds per reference of ours."""
    found: dict[str, int] = {}
    for vendor in ("sap-s4hana", "xero"):
        for reference, held in stand.running.sandbox(vendor).live_documents().items():
            found[reference] = found.get(reference, 0) + len(held)
    return found


@GROUP
def test_every_mart_total_is_the_truth(group: Stand) -> None:
    """Catches: any rupiah or any check lost, doubled or moved on its way from the vendors to the marts."""
    with warehouse.published(group.settings()) as connection:
        assert connection is not None
        assert differences(connection, group.company.truth(group.now)) == []
    assert marts(group, "select count(*) from marts.reconciliations where status = 'fail'") == [(0,)]
    assert marts(group, "select domain, source_code from marts.mapping_exceptions") == []
    unexplained = "not is_voided and difference_kind not in ('none', 'fx')"
    assert marts(group, f"select count(*) from marts.fct_checks where {unexplained}") == [(0,)]
    used = {outlet.pos for outlet in group.company.outlets}
    assert used >= {name for name, connector in connectors().items() if connector.category is Category.POS}


@GROUP
def test_every_closed_day_is_posted_once(group: Stand) -> None:
    """Catches: a journal that is missing, unbalanced, unconfirmed or doubled in a target."""
    states = {state for (state,) in marts(group, "select distinct state from marts.outlet_days")}
    assert states <= {"posted", "amended"}
    assert marts(group, "select count(*) from marts.journals where not is_balanced") == [(0,)]
    held = documents(group)
    assert held
    assert {document["status"] for document in held} == {"confirmed"}
    live = live_in_targets(group)
    assert {document["reference"]: 1 for document in held} == live


@GROUP
def test_late_edits_became_corrections(group: Stand) -> None:
    """Catches: a void after posting that never reaches the books, or that is booked twice."""
    corrected = [document for document in documents(group) if document["kind"] != "original"]
    assert corrected, "the example days hold late voids; none was corrected"
    balances = marts(
        group,
        "select entity_id, account_code, sum(debit) - sum(credit) from marts.journal_lines group by 1, 2 "
        "having sum(debit) <> sum(credit) order by 1, 2",
    )
    posted: dict[tuple[str, str], Decimal] = {}
    entity = {document["reference"]: document["entity_id"] for document in documents(group)}
    for line in group.platform().ops.snapshot()["outbox_lines"][1]:
        key = (entity[line["reference"]], line["account_code"])
        posted[key] = posted.get(key, Decimal(0)) + line["amount"]
    assert {(row[0], row[1]): row[2] for row in balances} == {key: value for key, value in posted.items() if value}


@GROUP
def test_a_drill_leads_from_corrected_books_to_their_sources(group: Stand, capsys: pytest.CaptureFixture[str]) -> None:
    """Catches: a drill that shows what the sources are now beside a document that was corrected since, and leaves the
    difference to the reader; one that counts documents which never reached the books.
    """
    held = documents(group)
    corrected = {tuple(document[name] for name in KEY) for document in held if document["kind"] != "original"}
    originals = [document for document in held if document["kind"] == "original"]
    first = next(document for document in originals if tuple(document[name] for name in KEY) in corrected)
    drill_journal(group.settings(), first["reference"], component=None, limit=5, as_json=True)
    found = json.loads(capsys.readouterr().out)
    lines = {(line["component"], line["account"]): line for line in found["lines"]}
    assert all(Decimal(line["in the books"]) == Decimal(line["sources"]) for line in lines.values())
    assert any(Decimal(line["this document"]) != Decimal(line["sources"]) for line in lines.values())
    for total in SUMS:
        assert sum(Decimal(line[total]) for line in lines.values()) == 0, "each of them balances"
    chosen = next(line for line in found["lines"] if Decimal(line["sources"]))
    drill_journal(group.settings(), first["document_key"], component=chosen["component"], limit=1, as_json=False)
    told = capsys.readouterr().out
    assert chosen["component"] in told
    assert "not shown" in told


@GROUP
def test_the_same_night_again_changes_nothing_even_where_only_the_landing_zone_is_left(group: Stand) -> None:
    """Catches: look-back windows, re-posting, or clocks that make a second run differ from the first; a figure that
    nights one by one have made and that cannot be derived again; raw rows that the landing zone does not have.
    """
    before, sent = all_marts(group), {document["reference"] for document in documents(group)}
    live, raw = live_in_targets(group), {vendor: group.live(vendor) for vendor in group.vendors}
    group.drop_warehouse()
    platform = group.platform()
    for integration in platform.config.integrations:
        asked = Asked(integration.integration_id, LANDING, integration.start_date, group.now.date())
        assert backfill(platform, asked, "test").is_finished
    assert {vendor: group.live(vendor) for vendor in group.vendors} == raw
    night(group)
    after = all_marts(group)
    assert after.keys() == before.keys()
    for name, rows in before.items():
        assert after[name] == rows, name
    assert {document["reference"] for document in documents(group)} == sent
    assert live_in_targets(group) == live


BAD_INPUT = {  # what is wrong with the first page of an outlet's sales, and what the reject must say
    "wrong type": (Fault(kind=FaultKind.CHANGED_FIELD, field="subtotal", value="a lot", count=None), "subtotal"),
    "missing key": (
        Fault(kind=FaultKind.CHANGED_FIELD, field="total_collected", value=None, count=None),
        "total_collected",
    ),
    "negative quantity": (
        Fault(kind=FaultKind.CHANGED_FIELD, field="checkouts.0.quantity", value=-2, count=None),
        "quantity",
    ),
    "broken JSON": (Fault(kind=FaultKind.MALFORMED_JSON, count=None), "page"),
    "truncated gzip": (Fault(kind=FaultKind.TRUNCATED_GZIP, count=None), "page"),
}


def test_a_bad_night_costs_only_what_is_bad_and_the_next_one_heals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: a bad record or page, or a vendor that is down, that ends the night or is passed over in silence; days
    posted although they are incomplete; an unmapped code that is dropped, or booked as if it were known. Processes
    are killed at every boundary in test_load.py and test_outbox_faults.py, and in a whole night in test_services.py.
    """
    made = Company.build(
        outlets=13, days=1, start=FIRST_DAY, checks_per_day=20, ugly=["unknown_tender"], pos=("moka", "pawoon")
    )
    with SlackReceiver() as slack, Stand.open(tmp_path, made=made, days=1) as stand:
        monkeypatch.setenv("C4_SLACK_WEBHOOK", slack.url)
        down = {outlet.outlet_id for outlet in made.outlets if outlet.pos == "pawoon"}
        stand.running.faults("pawoon").add(Fault(kind=FaultKind.UNAVAILABLE, count=None, retry_after="0"))
        tills = {ours: theirs for theirs, ours in stand.running.sandbox("moka").outlets().items()}
        spoiled = dict(zip(sorted(tills), BAD_INPUT, strict=False))
        assert len(spoiled) == len(BAD_INPUT) < len(tills)
        for outlet, name in spoiled.items():
            path = f"*/outlets/{tills[outlet]}/reports/get_latest_transactions*"
            stand.running.faults("moka").add(replace(BAD_INPUT[name][0], path=path))
        result = night(stand)
        told = len(slack.messages)

        rejects = {row["scope"]: row for row in stand.platform().ops.rejects(status="open")}
        assert set(rejects) == {tills[outlet] for outlet in spoiled}
        for outlet, name in spoiled.items():
            reject = rejects[tills[outlet]]
            assert (reject["field"] or reject["kind"]).endswith(BAD_INPUT[name][1]), name
            assert reject["rule"], name
        waiting = dict(marts(stand, "select outlet_id, reason from marts.outlet_days where state <> 'posted'"))
        assert {*spoiled, *down} <= set(waiting), waiting
        assert all("pawoon" in waiting[outlet] for outlet in down)
        assert any("accounts_synced" in name for name, _ in result.failed_checks)
        assert any("pawoon" in message for message in slack.messages)
        assert marts(stand, "select count(*) from marts.labor_daily where hours > 0")[0][0] == len(made.outlets)
        assert any("mapped" in reason for reason in waiting.values())
        assert marts(stand, "select count(*) from marts.journal_lines where account_code = '2900'")[0][0] > 0
        assert any(row["kind"] == "unmapped" for row in reject_rows(stand.settings()))

        map_mystery_tenders(stand)
        for vendor in ("moka", "pawoon"):
            stand.running.faults(vendor).clear()
        stand.reset_breakers()
        night(stand)
        assert marts(stand, "select domain, source_code from marts.mapping_exceptions") == []
        assert reject_rows(stand.settings()) == []
        with warehouse.published(stand.settings()) as connection:
            assert connection is not None
            assert differences(connection, made.truth(stand.now)) == []
        assert marts(stand, "select distinct state from marts.outlet_days") == [("posted",)]
        assert set(live_in_targets(stand).values()) == {1}
        assert len(set(slack.messages[:told])) == told, "one message per incident"


def map_mystery_tenders(stand: Stand) -> None:
    """Write the tenders that nobody had told into the company's mapping table, as a controller does."""
    made = stand.company
    checks = (check for outlet in made.outlets for check in made.checks(outlet.outlet_id))
    names = {check.tender_name.lower() for check in checks if check.tender == "mystery"}
    codes = names | {name.replace(" ", "_") for name in names}  # as one till spells them
    mapping = stand.root / "config" / "code_mapping.csv"
    header = mapping.read_text(encoding="utf-8").splitlines()[0].split(",")
    with mapping.open("a", encoding="utf-8") as handle:
        for code in sorted(codes):
            row = {"domain": "tender", "vendor": "*", "source_code": code, "canonical": "ewallet"}
            handle.write(",".join(row.get(name, "") for name in header) + "\n")


def test_journals_begin_where_the_entity_begins_to_post(tmp_path: Path) -> None:
    """Catches: a group that goes live with history and posts again what its books have; marts or schedules that wait
    for days that nobody posts; days that stay unposted when posting is to begin earlier after all; posted days that are
    reversed because posting is to begin later.
    """
    made = Company.build(outlets=2, days=2, start=FIRST_DAY, checks_per_day=10, pos=("moka",))
    last = FIRST_DAY + timedelta(days=1)
    with Stand.open(tmp_path, made=made, days=2) as stand:
        post_from(stand, last.isoformat())
        night(stand)
        assert {document["business_date"] for document in documents(stand)} == {last}
        days = marts(stand, "select distinct business_date, state, reason, waits_for from marts.outlet_days order by 1")
        assert days == [
            (FIRST_DAY, "locked", f"posting begins on {last}", ""),
            (last, "posted", "all journals are in the books", ""),
        ]
        before = f"where business_date < '{last}'"
        held = marts(stand, f"select distinct is_postable, hold_reason from marts.journals {before}")
        assert held == [(False, f"its books are kept elsewhere: posting begins on {last}")]
        with warehouse.published(stand.settings()) as connection:
            assert connection is not None
            assert differences(connection, made.truth(stand.now)) == []

        post_from(stand, None)
        night(stand)
        posted = live_in_targets(stand)
        assert {document["business_date"] for document in documents(stand)} == {FIRST_DAY, last}
        assert marts(stand, "select distinct state from marts.outlet_days") == [("posted",)]

        post_from(stand, (last + timedelta(days=1)).isoformat())
        night(stand)
        assert live_in_targets(stand) == posted
        assert {document["kind"] for document in documents(stand)} == {"original"}
        assert marts(stand, "select distinct state from marts.outlet_days") == [("locked",)]


def post_from(stand: Stand, date: str | None) -> None:
    path = stand.root / "config" / "company.yaml"
    document = msgspec.yaml.decode(path.read_bytes())
    for entity in document["entities"]:
        entity["posts_from"] = date
    path.write_bytes(msgspec.yaml.encode(document))
