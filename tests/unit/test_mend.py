"""Rejects replayed from landed pages: as they came, or mended by a person."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ingestion.core.mend import MendError, Outcome, replay_rejects
from ingestion.core.records import Reject
from ingestion.core.sync import sync
from ingestion.sandbox.faults import Fault, FaultKind
from ingestion.sandbox.server import Request, Response
from tests.stand import Stand, no_sleep

HR = "bamboohr"
JOBS = "job_info"
HOURS = "timesheet_entries"


@pytest.fixture
def stand(tmp_path: Path, engine: str) -> Iterator[Stand]:
    with Stand.open(tmp_path, [HR]) as made:
        yield made


def deliver(stand: Stand, path: str, edit: Callable[[list[dict[str, Any]]], Any]) -> None:
    """From now on the vendor's lists below `path` come edited."""
    sandbox = stand.running.sandbox(stand.vendors[0])
    answer_of = type(sandbox).handle

    def handle(request: Request) -> Response:
        answer = answer_of(sandbox, request)
        if path in request.path and answer.status == 200:
            answer.body = msgspec.json.encode(edit(msgspec.json.decode(answer.body)))
        return answer

    sandbox.handle = handle  # type: ignore[method-assign]


def read(stand: Stand, *streams: str) -> None:
    """One night of these streams."""
    platform = stand.platform()
    (integration,) = platform.integrations(stand.vendors[0])[:1]
    sync(platform, integration.integration_id, only=streams, sleep=no_sleep)


def reject_page(stand: Stand, stream: str, field: str, path: str = "") -> list[dict[str, Any]]:
    """A night in which the vendor renamed a field on the stream's first page; the open rejects."""
    fault = Fault(kind=FaultKind.RENAMED_FIELD, field=field, path=f"*{path or stream}*", count=1)
    stand.running.faults(stand.vendors[0]).add(fault)
    read(stand, stream)
    return waiting(stand)


def waiting(stand: Stand) -> list[dict[str, Any]]:
    return stand.platform().ops.rejects(status="open")


def replayed(stand: Stand, *names: str, mended: bytes | None = None) -> Outcome:
    return replay_rejects(stand.platform(), list(names) or None, mended, who="tester")


def landed_records(stand: Stand, reject: dict[str, Any]) -> list[dict[str, Any]]:
    return msgspec.json.decode(stand.platform().landing.page(reject["landing"]).content)


def mended_record(stand: Stand, reject: dict[str, Any], field: str, **changes: Any) -> bytes:
    """The rejected record with its field under its old name again."""
    record = landed_records(stand, reject)[reject["row"] - 1]
    return msgspec.json.encode({**record, field: record[f"{field}_v2"], **changes})


def hours(stand: Stand) -> dict[int, str]:
    return {row["id"]: str(row["hours"]) for row in stand.raw(HR)["timesheet_entries"]}


def test_a_mended_record_is_loaded_and_settled_the_others_wait(stand: Stand) -> None:
    """Catches: a mended record that is settled but not loaded, or that settles its neighbours on the page."""
    rejects = reject_page(stand, HOURS, "hours")
    assert hours(stand) == {}
    second = next(row for row in rejects if row["row"] == 2)

    outcome = replayed(stand, second["reject_id"], mended=mended_record(stand, second, "hours"))

    assert outcome == Outcome([second["reject_id"]], [])
    assert list(hours(stand)) == [int(second["record_key"])]
    assert {row["reject_id"] for row in waiting(stand)} == {row["reject_id"] for row in rejects} - set(outcome.settled)
    (row,) = stand.query("select c4_landing from raw_bamboohr.timesheet_entries")
    assert row["c4_landing"] == second["landing"]


def test_every_record_mended_one_by_one_equals_a_calm_read(tmp_path: Path) -> None:
    """Catches: values that a mended record loses; two replays that get the same sequence numbers."""
    with Stand.open(tmp_path / "calm", [HR]) as calm:
        read(calm, HOURS)
        expected = calm.raw(HR)["timesheet_entries"]
    with Stand.open(tmp_path / "mended", [HR]) as stand:
        rejects = reject_page(stand, HOURS, "hours")[:3]
        for row in rejects:
            replayed(stand, row["reject_id"], mended=mended_record(stand, row, "hours"))
        wanted = {row["record_key"] for row in rejects}
        assert stand.raw(HR)["timesheet_entries"] == [row for row in expected if str(row["id"]) in wanted]
        numbers = stand.query("select count(distinct c4_seq) as n from raw_bamboohr.timesheet_entries")
        assert numbers == [{"n": 3}]


def test_unmended_rejects_stay_open_and_keep_their_place(stand: Stand) -> None:
    """Catches: a replay that settles what does not fit, doubles rejects, or forgets which record of the page it was."""
    before = {row["reject_id"]: (row["landing"], row["row"], row["rule"]) for row in reject_page(stand, HOURS, "hours")}
    assert len(before) > 5

    for _ in range(2):
        outcome = replayed(stand)
        assert outcome.settled == []
        assert set(outcome.open) == set(before)

    rows = waiting(stand)
    assert {row["reject_id"]: (row["landing"], row["row"], row["rule"]) for row in rows} == before
    assert {row["attempts"] for row in rows} == {3}
    third = next(row for row in rows if row["row"] == 3)
    assert replayed(stand, third["reject_id"], mended=mended_record(stand, third, "hours")).settled


def test_records_without_a_readable_key_are_told_apart_by_their_row(stand: Stand) -> None:
    """Catches: rejects of unknown keys that multiply with each replay, or settle each other."""
    rejects = reject_page(stand, HOURS, "id")
    assert {row["record_key"] for row in rejects} == {"?"}
    first, second = rejects[:2]

    assert replayed(stand).settled == []
    assert {row["reject_id"] for row in waiting(stand)} == {row["reject_id"] for row in rejects}
    outcome = replayed(stand, first["reject_id"], mended=mended_record(stand, first, "id"))

    assert outcome.settled == [first["reject_id"]]
    assert len(hours(stand)) == 1
    assert second["reject_id"] in {row["reject_id"] for row in waiting(stand)}


def test_an_old_page_never_overwrites_newer_neighbours(stand: Stand) -> None:
    """Catches: a replay of the whole page, which would bring back what the vendor has changed since."""

    def night_one(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        del rows[0]["location"]
        return [rows[0], {**rows[1], "jobTitle": "Barista"}]

    deliver(stand, "tables/jobInfo", night_one)
    read(stand, JOBS)
    (reject,) = waiting(stand)
    deliver(stand, "tables/jobInfo", lambda rows: [{**rows[1], "jobTitle": "Manager"}])
    read(stand, JOBS)
    record = landed_records(stand, reject)[0]

    outcome = replayed(stand, reject["reject_id"], mended=msgspec.json.encode({**record, "location": "Kemang"}))

    assert outcome.settled == [reject["reject_id"]]
    rows = {f"{row['employee_id']}/{row['id']}": row for row in stand.raw(HR)["job_info"]}
    assert len(rows) == 2
    assert rows.pop(reject["record_key"])["location"] == "Kemang"
    assert [row["job_title"] for row in rows.values()] == ["Manager"]


def test_what_today_s_declarations_take_is_settled(stand: Stand) -> None:
    """Catches: records that an older version refused and that stay rejected after the upgrade that takes them."""
    read(stand, HOURS)
    platform = stand.platform()
    lost = stand.query("select id, c4_landing from raw_bamboohr.timesheet_entries order by c4_seq")[6]
    run = platform.ops.start_run("bamboohr-group", stand.now)
    with platform.ops.recording(run) as ledger:
        reject = Reject(str(lost["id"]), "hours", "was too long for yesterday's version", row=7)
        ledger.reject("bamboohr-group", HOURS, reject, lost["c4_landing"])
        ledger.finish("ok", stand.now)

    before = hours(stand)
    assert len(before) > 7
    outcome = replayed(stand)

    assert len(outcome.settled) == 1
    assert waiting(stand) == []
    assert hours(stand) == before
    log = platform.ops.audit_log(1)[0]
    assert (log["who"], log["subject"], log["outcome"]) == ("tester", outcome.settled[0], "settled")


def test_a_page_that_never_came_whole_is_replaced_by_its_mended_bytes(stand: Stand) -> None:
    """Catches: a page-level reject whose records cannot be brought in; one that is settled unread."""
    stand.running.faults(HR).add(Fault(kind=FaultKind.MALFORMED_JSON, path=f"*{HOURS}*", count=None))
    read(stand, HOURS)
    (reject,) = waiting(stand)
    assert reject["kind"] == "page"
    assert replayed(stand) == Outcome([], [reject["reject_id"]])
    broken = stand.platform().landing.page(reject["landing"]).content
    whole = broken[: broken.rindex(b"},{")] + b"}]"

    with pytest.raises(MendError, match="do not fit"):
        replayed(stand, reject["reject_id"], mended=broken)
    assert hours(stand) == {}
    assert replayed(stand, reject["reject_id"], mended=whole).settled == [reject["reject_id"]]

    assert set(hours(stand)) == {record["id"] for record in msgspec.json.decode(whole)}
    assert waiting(stand) == []


def test_mended_bytes_that_do_not_fit_say_why_and_change_nothing(stand: Stand) -> None:
    """Catches: a second error that hides the first, a mended record that overwrites another one."""
    rejects = reject_page(stand, HOURS, "hours")
    first, name = rejects[0], rejects[0]["reject_id"]
    other = landed_records(stand, first)[rejects[1]["row"] - 1]
    runs = len(stand.platform().ops.snapshot()["sync_runs"][1])
    refused = {
        "hours: are negative": mended_record(stand, first, "hours", hours=-1),
        "truncated": b'{"id": 1,',
        "Expected `object`": b"[]",
        f"is record {first['record_key']}": msgspec.json.encode({**other, "hours": other["hours_v2"]}),
    }

    for words, mended in refused.items():
        with pytest.raises(MendError, match=words):
            replayed(stand, name, mended=mended)

    assert hours(stand) == {}
    assert waiting(stand) == rejects
    assert len(stand.platform().ops.snapshot()["sync_runs"][1]) == runs


def test_what_cannot_be_replayed_is_refused_in_words(stand: Stand) -> None:
    """Catches: an unknown id that passes for success, mended bytes that are poured over several rejects."""
    reject_page(stand, HOURS, "hours")
    with pytest.raises(MendError, match="no open reject 0000"):
        replayed(stand, "0000")
    with pytest.raises(MendError, match="exactly one reject"):
        replayed(stand, mended=b"{}")


def test_a_reject_whose_page_is_gone_stays_open(stand: Stand) -> None:
    """Catches: a replay that finds nothing to load and calls that settled."""
    rejects = reject_page(stand, HOURS, "hours")
    first = rejects[0]
    (stand.root / "landing" / first["landing"].rpartition("#")[0]).unlink()

    assert replayed(stand).settled == []
    with pytest.raises(MendError, match="cannot be read any more"):
        replayed(stand, first["reject_id"], mended=mended_like(first))
    assert len(waiting(stand)) == len(rejects)


def mended_like(reject: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"id": int(reject["record_key"])})


def test_a_row_of_a_file_is_mended_in_the_file(tmp_path: Path) -> None:
    """Catches: a row of a file that is patched past its file, and comes back with the next reading."""
    with Stand.open(tmp_path, [HR]) as stand:
        platform = stand.platform()
        run = platform.ops.start_run("bamboohr-group", stand.now)
        with platform.ops.recording(run) as ledger:
            row = Reject("sales.csv#7", "quantity", "is no number", row=7, payload=b"x,y")
            ledger.reject("bamboohr-group", HOURS, row, "files/drop/checks/2026/04/04/1.pages")
            ledger.finish("ok", stand.now)
        (reject,) = waiting(stand)

        with pytest.raises(MendError, match="row of a file: mend the file"):
            replayed(stand, reject["reject_id"], mended=b"{}")
        assert replayed(stand) == Outcome([], [reject["reject_id"]])


def test_children_come_with_their_mended_root(tmp_path: Path) -> None:
    """Catches: a mended receipt without its lines, or with lines that staging takes for an older delivery."""
    with Stand.open(tmp_path, ["moka"]) as stand:
        rejects = reject_page(stand, "transactions", "total_collected", "get_latest_transactions")
        reject = rejects[1]
        page = msgspec.json.decode(stand.platform().landing.page(reject["landing"]).content)
        record = page["data"]["payments"][reject["row"] - 1]
        mended = msgspec.json.encode({**record, "total_collected": record["total_collected_v2"]})

        assert replayed(stand, reject["reject_id"], mended=mended).settled

        lines = stand.query(
            "select line.uuid from raw_moka.checkouts as line join raw_moka.transactions as root "
            "on root.id = line.root_id and root.c4_seq = line.c4_seq "
            "and root.integration_id = line.integration_id where root.id = ? order by 1",
            [record["id"]],
        )
        assert [line["uuid"] for line in lines] == sorted(line["uuid"] for line in record["checkouts"])


def test_an_odd_format_holds_nobody_up(tmp_path: Path) -> None:
    """Catches: one stream that is no plain list of records and keeps all other rejects from being replayed."""
    with Stand.open(tmp_path, ["moka"]) as stand:
        stand.running.faults("moka").add(
            Fault(kind=FaultKind.RENAMED_FIELD, field="payment_type", path="*payment_methods*", count=1)
        )
        read(stand, "payment_methods")
        reject_page(stand, "transactions", "total_collected", "get_latest_transactions")
        odd = next(row for row in waiting(stand) if row["stream"] == "payment_methods")
        plain = [row for row in waiting(stand) if row["reject_id"] != odd["reject_id"]]

        outcome = replayed(stand)

        assert odd["reject_id"] in outcome.open
        assert len(outcome.open) == len(plain) + 1
        record = {"total_collected": 0, "total_number_of_transactions": 0, "methods": []}
        assert replayed(stand, odd["reject_id"], mended=msgspec.json.encode(record)).settled == [odd["reject_id"]]
