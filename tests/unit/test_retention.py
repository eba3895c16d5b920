"""What the policy lets go, and above all what it does not: each test takes away one reason to be sure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import duckdb
import pytest

from assets.platform import AS_OF_TAG, PlatformResource
from ingestion.core import retention, warehouse
from ingestion.core.backfill import LANDING, backfill
from ingestion.core.config import ConfigError, load_config
from ingestion.core.ops.backfills import Asked
from ingestion.core.ops.leases import lease
from ingestion.core.records import Reject
from ingestion.core.sync import sync
from orchestration.jobs import retention_job
from orchestration.schedules import retention_schedule
from tests.stand import FIRST_DAY, Stand, company, no_sleep

TILL, STAFF = "pawoon-group", "bamboohr-group"
READ = {TILL: ["products", "transactions"], STAFF: ["job_info"]}  # facts, a menu, a list that replaces itself
POLICY = "vendors: {pawoon: {landing_days: 30}, bamboohr: {landing_days: 30}}"
MONTHS = timedelta(days=100)


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """Two nights of a company, a hundred days ago, every day of them posted. The last test deletes what may go."""
    made = company(outlets=2, days=2, checks_per_day=6, pos=("pawoon",))
    with Stand.open(tmp_path_factory.mktemp("old"), ["pawoon", "bamboohr"], made, days=2) as opened:
        for night in made.nights():
            opened.set_clock(night)
            for account, streams in READ.items():
                assert sync(opened.platform(), account, only=streams, sleep=no_sleep).status == "ok"
        opened.set_clock(opened.now + MONTHS)
        policy(opened, POLICY)
        publish(opened)
        yield opened


def policy(stand: Stand, text: str) -> None:
    path = stand.root / "config" / "company.yaml"
    kept = path.read_text(encoding="utf-8").partition("\nretention:")[0]
    path.write_text(f"{kept}\nretention: {{{text}}}\n" if text else kept, encoding="utf-8")


def publish(stand: Stand, open_from: date | None = None) -> None:
    """Marts that say which outlet-days are posted."""
    path = stand.settings().published_path
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    with duckdb.connect(str(path)) as marts:
        marts.execute("create schema marts")
        marts.execute(
            "create table marts.outlet_days (outlet_id varchar, business_date date, state varchar, waits_for varchar)"
        )
        for outlet in stand.company.outlets:
            for day in (FIRST_DAY, FIRST_DAY + timedelta(days=1)):
                is_open = open_from is not None and day >= open_from
                row = [outlet.outlet_id, day, "open" if is_open else "posted", "data" if is_open else ""]
                marts.execute("insert into marts.outlet_days values (?, ?, ?, ?)", row)


def batches(stand: Stand, account: str, stream: str) -> list[str]:
    platform = stand.platform()
    return platform.landing.batches(platform.connector(account).slug, account, stream)


def going(report: retention.Report) -> dict[str, list[str]]:
    return {old.stream: list(old.batches) for old in report.old}


def reasons(report: retention.Report, stream: str) -> str:
    return "; ".join(reason for _, name, reason in report.stays if name == stream)


def test_without_a_policy_everything_is_kept(stand: Stand) -> None:
    """Catches: a default that forgets; a vendor's own entry that is read beside the default, not in its place."""
    policy(stand, "")
    assert not retention.review(stand.platform()).old
    policy(stand, "default: {landing_days: 30}, vendors: {pawoon: {raw_days: 30}}")
    assert set(going(retention.review(stand.platform()))) == {"job_info"}
    policy(stand, POLICY)


@pytest.mark.parametrize(
    "text", ["default: {landing_days: 0}", "default: {landing: 30}", "vendors: {nobody: {landing_days: 30}}"]
)
def test_a_policy_that_says_something_else_than_meant_is_refused(stand: Stand, text: str) -> None:
    """Catches: a typing error that keeps everything, or nothing."""
    policy(stand, text)
    with pytest.raises(ConfigError, match=r"company\.yaml"):
        load_config(stand.root / "config")
    policy(stand, POLICY)


def test_what_is_old_and_settled_may_go_but_for_the_newest_list(stand: Stand) -> None:
    """Catches: the last known menu or list of staff forgotten; a review that deletes."""
    before = [batches(stand, account, name) for account, names in READ.items() for name in names]
    report = retention.review(stand.platform())
    transactions, menus, lists = (
        batches(stand, *each) for each in ((TILL, "transactions"), (TILL, "products"), (STAFF, "job_info"))
    )
    assert going(report) == {"transactions": transactions, "products": menus[:-1], "job_info": lists[:-1]}
    assert "newest" in reasons(report, "products")
    (old,) = [item for item in report.old if item.stream == "transactions"]
    assert [{"n": old.raw_rows}] == stand.query("select count(*) as n from raw_pawoon.transactions")
    assert old.bytes > 0
    assert [batches(stand, account, name) for account, names in READ.items() for name in names] == before


def test_nothing_goes_that_may_still_be_corrected(stand: Stand) -> None:
    """Catches: a short policy that forgets days whose books are open."""
    now = stand.now
    stand.set_clock(now - timedelta(days=60))
    report = retention.review(stand.platform())
    stand.set_clock(now)
    assert not report.old


def test_days_that_are_not_posted_keep_what_was_read_since(stand: Stand) -> None:
    """Catches: the pages of a day that waits for a controller; a policy that trusts marts which are not there."""
    last = FIRST_DAY + timedelta(days=1)
    publish(stand, open_from=last + timedelta(days=1))
    assert going(retention.review(stand.platform()))["transactions"] == batches(stand, TILL, "transactions")
    publish(stand, open_from=last)
    report = retention.review(stand.platform())
    assert "transactions" not in going(report)
    assert str(last) in reasons(report, "transactions")
    stand.settings().published_path.unlink()
    report = retention.review(stand.platform())
    assert not report.old
    assert "no marts" in reasons(report, "transactions")
    publish(stand)


def test_the_page_of_an_open_reject_stays(stand: Stand) -> None:
    """Catches: a record that a person was to mend, and whose bytes are gone."""
    first, *rest = batches(stand, TILL, "transactions")
    ops = stand.platform().ops
    run_id = ops.start_run(TILL, stand.now - MONTHS)
    with ops.recording(run_id) as ledger:
        ledger.reject(TILL, "transactions", Reject("9", "total", "is no number", "record", 1, b"{}"), f"{first}#1")
    assert going(retention.review(stand.platform()))["transactions"] == rest
    (reject,) = ops.rejects(status="open")
    ops.resolve_reject(str(reject["reject_id"]), "budi", "mended")
    assert going(retention.review(stand.platform()))["transactions"] == [first, *rest]


def test_what_the_warehouse_lost_stays_until_it_is_back(stand: Stand) -> None:
    """Catches: the only copy of a record deleted because it is old."""
    with warehouse.connect(stand.settings(), read_only=False) as connection:
        (lost,) = connection.execute("select min(id) from raw_pawoon.transactions").fetchone() or ("",)
        connection.execute("delete from raw_pawoon.transactions where id = ?", [lost])
        for part in ("items", "payments", "taxes"):
            connection.execute(f"delete from raw_pawoon.transaction_{part} where root_id = ?", [lost])
    report = retention.review(stand.platform())
    assert len(going(report).get("transactions", [])) < len(batches(stand, TILL, "transactions"))
    assert "warehouse has not" in reasons(report, "transactions")
    asked = Asked(TILL, LANDING, FIRST_DAY, FIRST_DAY + timedelta(days=1), streams="transactions")
    assert backfill(stand.platform(), asked, "budi").is_finished
    assert going(retention.review(stand.platform()))["transactions"] == batches(stand, TILL, "transactions")


def test_what_goes_is_gone_audited_and_in_the_marts_all_the_same(stand: Stand) -> None:
    """Catches: a raw row that a model reads deleted with its page; a deletion without a trace; one under a backfill."""
    policy(stand, POLICY.replace("pawoon: {", "pawoon: {raw_days: 30, "))
    with warehouse.connect(stand.settings(), read_only=False) as connection:
        connection.execute(
            "insert into raw_pawoon.transaction_items "
            "select * replace (1 as c4_seq) from raw_pawoon.transaction_items limit 3"
        )
    before = {vendor: stand.live(vendor) for vendor in ("pawoon", "bamboohr")}
    ops = stand.platform().ops
    with lease(ops.sessions, f"backfill:{TILL}", ops.now):
        blocked = retention.apply(stand.platform(), "budi")
    assert set(going(blocked)) == {"job_info"}
    assert [item.rows for item in blocked.replaced] == [3]
    ended = retention_job().execute_in_process(
        run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
        resources={"platform": PlatformResource(data=str(stand.root))},
        tags={AS_OF_TAG: stand.now.isoformat()},
    )
    (output,) = [event for event in ended.all_events if event.is_successful_output]
    told = output.step_output_data.metadata
    assert (told["raw rows"].value, told["bytes"].value > 0) == (0, True)
    assert batches(stand, TILL, "transactions") == []
    assert len(batches(stand, TILL, "products")) == len(batches(stand, STAFF, "job_info")) == 1
    assert {vendor: stand.live(vendor) for vendor in before} == before
    log = [(row["who"], row["subject"]) for row in ops.audit_log() if row["action"] == "retention"]
    assert (f"dagster run {ended.run_id}", f"{TILL} transactions landing") in log
    assert ("budi", f"{TILL} raw_pawoon.transaction_items") in log
    again = retention.apply(stand.platform(), "budi")
    assert not again.old


def test_once_a_week_what_is_old_goes_where_schedules_are_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a policy that nobody carries out; a deletion that starts on a machine where nothing should."""
    for on, status in (("off", "STOPPED"), ("on", "RUNNING")):
        monkeypatch.setenv("C4_SCHEDULES", on)
        weekly = retention_schedule(retention_job())
        assert (weekly.default_status.value, weekly.job_name) == (status, "retention")
    assert (weekly.cron_schedule, weekly.execution_timezone) == ("0 12 * * 0", "UTC")
