"""Sync and replay of one account: what is written down about a run, and what a replay may touch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ingestion.core.sync import Pick, replay, sync
from ingestion.sandbox.faults import Fault, FaultKind
from tests.stand import Stand, no_sleep

VENDOR = "bamboohr"
LIST = "job_info"  # a `replace` stream


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    with Stand.open(tmp_path, [VENDOR]) as made:
        yield made


def account(stand: Stand) -> str:
    return stand.platform().integrations(VENDOR)[0].integration_id


def runs(stand: Stand) -> list[tuple[str, str]]:
    """Stream and status of what was written down, oldest first."""
    _, rows = stand.platform().ops.snapshot()["sync_runs"]
    return [(row["stream"], row["status"]) for row in rows]


def watermarks(stand: Stand) -> dict[str, Any]:
    _, rows = stand.platform().ops.snapshot()["watermarks"]
    return {row["stream"]: row["complete_until"] for row in rows}


def landed(stand: Stand, stream: str) -> list[Any]:
    landing = stand.platform().landing
    (batch,) = landing.batches(VENDOR, account(stand), stream)
    return list(landing.pages(batch))


def test_one_failing_stream_is_told_and_the_others_are_read(stand: Stand) -> None:
    """Catches: a night that calls itself good, or reads nothing, because one resource is away; a watermark that says
    complete for what was never read.
    """
    stand.running.faults(VENDOR).add(Fault(kind=FaultKind.ERROR, path="*employmentStatus*", count=None))
    report = sync(stand.platform(), account(stand), sleep=no_sleep)
    assert report.status == "partial"
    states = {result.stream: result.status for result in report.streams}
    assert states.pop("employment_status") == "failed"
    assert set(states.values()) == {"ok"}
    assert "employment_status" not in watermarks(stand)
    assert set(watermarks(stand).values()) == {stand.now}
    assert set(watermarks(stand)) == set(states)
    assert stand.query("select count(*) > 0 as n from raw_bamboohr.job_info") == [{"n": True}]


def test_missing_credentials_are_told_with_what_to_do_and_end_nothing_else(stand: Stand) -> None:
    stand.platform().ops.set_credentials(account(stand), {"api_key": ""}, who="test")
    report = sync(stand.platform(), account(stand), sleep=no_sleep)
    assert report.status == "failed"
    assert "c4 credentials set" in report.error
    assert {status for _, status in runs(stand)} == {"failed"}
    assert watermarks(stand) == {}
    assert not stand.running.requests(VENDOR)


def test_a_warehouse_that_refuses_is_written_down_as_a_failed_run(stand: Stand) -> None:
    """Catches: a run that died and stands in the books as good; watermarks without their rows."""
    stand.settings().warehouse_path.write_bytes(b"this is no database" * 1000)
    with pytest.raises(Exception, match="warehouse"):
        sync(stand.platform(), account(stand), sleep=no_sleep)
    assert runs(stand)
    assert {status for _, status in runs(stand)} == {"failed"}
    assert watermarks(stand) == {}
    stand.settings().warehouse_path.unlink()
    assert sync(stand.platform(), account(stand), sleep=no_sleep).status == "ok"
    assert set(watermarks(stand).values()) == {stand.now}


def test_some_streams_can_be_named_by_any_iterable(stand: Stand) -> None:
    report = sync(stand.platform(), account(stand), only=iter([LIST, "time_off_requests"]), sleep=no_sleep)
    assert [result.stream for result in report.streams] == [LIST, "time_off_requests"]


def test_replaying_one_page_of_a_list_leaves_the_rest_of_the_list(stand: Stand) -> None:
    """Catches: a mended record of a `replace` stream that sweeps all the others away."""
    sync(stand.platform(), account(stand), only=[LIST], sleep=no_sleep)
    before = stand.raw(VENDOR)[LIST]
    assert len(before) > 1
    first = landed(stand, LIST)[0]
    record = msgspec.json.decode(first.content)[0] | {"jobTitle": "Mended"}
    mended = Pick(frozenset({1}), msgspec.json.encode(record))
    report = replay(stand.platform(), account(stand), only=[LIST], picks={first.reference: mended})
    assert (report.status, report.rows) == ("ok", 1)
    after = stand.raw(VENDOR)[LIST]
    assert len(after) == len(before)
    assert [row["job_title"] for row in after].count("Mended") == 1


def test_a_replay_asks_nobody_and_moves_no_watermark(stand: Stand) -> None:
    sync(stand.platform(), account(stand), sleep=no_sleep)
    before, marks = stand.raw(VENDOR), watermarks(stand)
    asked = stand.running.requests(VENDOR)
    stand.drop_warehouse()
    assert replay(stand.platform(), account(stand)).status == "ok"
    assert stand.raw(VENDOR) == before
    assert (watermarks(stand), stand.running.requests(VENDOR)) == (marks, asked)


def test_a_damaged_batch_ends_the_replay_and_changes_nothing(stand: Stand) -> None:
    """Catches: half a replay that replaces a whole list, or a damage nobody hears of."""
    sync(stand.platform(), account(stand), only=[LIST], sleep=no_sleep)
    before = stand.raw(VENDOR)[LIST]
    (path,) = (stand.root / "landing").rglob(f"{LIST}/*/*/*/*.pages")
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(Exception, match="cut short"):
        replay(stand.platform(), account(stand), only=[LIST])
    assert stand.raw(VENDOR)[LIST] == before
    assert runs(stand)[-1] == (LIST, "failed")
    path.unlink()
    assert sync(stand.platform(), account(stand), only=[LIST], sleep=no_sleep).status == "ok"
    assert stand.raw(VENDOR)[LIST] == before
