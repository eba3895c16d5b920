"""One suite for every connector in the registry: nothing here names a vendor.

A connector is right when, whatever the wire does, the raw tables end up as a calm first read leaves them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ingestion.core.registry import connectors
from ingestion.core.settings import PROJECT_ROOT
from ingestion.core.spec import Connector
from ingestion.core.sync import replay
from ingestion.sandbox.faults import Fault, FaultKind
from tests.stand import Stand

Tables = dict[str, list[dict[str, Any]]]
VENDORS = list(connectors())
HTTP_VENDORS = [name for name, connector in connectors().items() if any(stream.path for stream in connector.streams)]

ROUNDS = 5  # a vendor with few calls a night meets the faults over several

# What passes by itself, kind by kind. `after` spreads a night's faults over its requests, so that none meets more of
# them than a client retries.
PASSING_FAULTS = {
    "refused": [
        Fault(kind=FaultKind.THROTTLE, retry_after="0", count=2),
        Fault(kind=FaultKind.THROTTLE),
        Fault(kind=FaultKind.ERROR, count=2, after=3),
        Fault(kind=FaultKind.UNAVAILABLE, after=5),
    ],
    "cut off": [
        Fault(kind=FaultKind.TIMEOUT_BEFORE_COMMIT),
        Fault(kind=FaultKind.TIMEOUT_AFTER_COMMIT, after=1),
        Fault(kind=FaultKind.RESET_BEFORE_COMMIT, count=2, after=3),
        Fault(kind=FaultKind.RESET_AFTER_COMMIT, after=5),
        Fault(kind=FaultKind.SLOW_DRIP, seconds=0.05, after=6),
    ],
    "spoiled": [
        Fault(kind=FaultKind.EXPIRED_TOKEN, after=2),
        Fault(kind=FaultKind.MALFORMED_JSON, after=1),
        Fault(kind=FaultKind.TRUNCATED_GZIP, after=3),
    ],
    "odd": [
        Fault(kind=FaultKind.DUPLICATE_DELIVERY, count=3),
        Fault(kind=FaultKind.EXTRA_FIELD, count=3, after=2),
    ],
}


def of(vendors: list[str]) -> list[Any]:
    """Parameters that keep one vendor's tests together, so that its calm read is made once."""
    return [pytest.param(vendor, marks=pytest.mark.xdist_group(f"conformance-{vendor}")) for vendor in vendors]


@pytest.fixture(params=of(VENDORS))
def stand(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stand]:
    with Stand.open(tmp_path, [request.param]) as made:
        yield made


@pytest.fixture(params=of(HTTP_VENDORS))
def http_stand(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stand]:
    with Stand.open(tmp_path, [request.param]) as made:
        yield made


class CalmReads(dict[str, Tables]):
    """What a vendor's raw tables hold after one undisturbed read; read when first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __missing__(self, vendor: str) -> Tables:
        with Stand.open(self._folder / vendor, [vendor]) as made:
            for report in made.sync_all():
                assert report.status == "ok", report.error or [s.error for s in report.streams]
                assert report.rejects == 0, [r for s in report.streams for r in s.rejects]
            assert not made.running.errors(vendor)
            self[vendor] = made.raw(vendor)
        return self[vendor]


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory) -> CalmReads:
    return CalmReads(tmp_path_factory.mktemp("calm"))


@pytest.mark.parametrize("vendor", of(VENDORS))
def test_every_stream_delivers_and_its_key_is_one(vendor: str, calm: CalmReads) -> None:
    """Catches: a stream that reads nothing, a key that is not unique or not filled, a child without its root."""
    connector = connectors()[vendor]
    for stream, table in connector.tables():
        rows = calm[vendor][table.name]
        assert rows, f"{table.name} is empty"
        if table is stream.root:
            keys = [tuple(row[name] for name in ("integration_id", *table.key)) for row in rows]
            assert len(keys) == len(set(keys)), f"{table.name}: key {table.key} repeats"
            assert all(value is not None for key in keys for value in key)
        else:
            roots = {
                tuple(row[name] for name in ("integration_id", *stream.root.key))
                for row in calm[vendor][stream.root.name]
            }
            for row in rows:
                parent = (row["integration_id"], *(row[f"root_{name}"] for name in stream.root.key))
                assert parent in roots, f"{table.name}: a row without its {stream.root.name}"


@pytest.mark.parametrize("vendor", of(VENDORS))
def test_inventory_names_every_stream(vendor: str) -> None:
    """Catches: a stream nobody documented."""
    connector = connectors()[vendor]
    text = (PROJECT_ROOT / "ingestion" / "vendors" / connector.slug / "README.md").read_text(encoding="utf-8")
    missing = [stream.name for stream in connector.streams if stream.name not in text]
    assert not missing


def test_reading_twice_equals_reading_once(stand: Stand, calm: CalmReads) -> None:
    """Catches: look-back windows that double rows, children that pile up, state that does not survive a run."""
    vendor = stand.vendors[0]
    stand.sync_all()
    first = stand.raw(vendor)
    reports = stand.sync_all()
    assert all(report.status == "ok" for report in reports)
    assert stand.raw(vendor) == first == calm[vendor]


@pytest.mark.parametrize("vendor", of(VENDORS))
def test_late_facts_arrive_with_the_next_run(vendor: str, tmp_path: Path, calm: CalmReads) -> None:
    """Catches: a cursor that passes over late edits. Two runs over time equal one run at the end."""
    with Stand.open(tmp_path, [vendor]) as stand:
        stand.set_clock(stand.now - timedelta(days=1))
        stand.sync_all()
        stand.set_clock(stand.now + timedelta(days=1))
        stand.sync_all()
        assert stand.live(vendor) == _live(connectors()[vendor], calm[vendor])


@pytest.mark.parametrize("faults", PASSING_FAULTS.values(), ids=list(PASSING_FAULTS))
def test_passing_faults_leave_no_trace(http_stand: Stand, faults: list[Fault], calm: CalmReads) -> None:
    """Catches: a lost page, a doubled page, a run that dies. Retries within the run or the next run heal it."""
    vendor = http_stand.vendors[0]
    sandbox = http_stand.running.faults(vendor)
    sandbox.add(*(replace(fault, method="GET") for fault in faults))
    for _ in range(ROUNDS):
        http_stand.sync_all()
        if not sandbox.pending():
            break
    assert set(sandbox.struck) == {fault.kind for fault in faults}
    sandbox.clear()
    http_stand.reset_breakers()
    reports = http_stand.sync_all()
    assert all(report.status == "ok" for report in reports)
    assert http_stand.live(vendor) == _live(connectors()[vendor], calm[vendor])
    assert not http_stand.running.errors(vendor)


def test_down_all_night_is_told_and_heals(http_stand: Stand, calm: CalmReads) -> None:
    """Catches: an exception that escapes the sync, a cursor that moves although nothing was read."""
    vendor = http_stand.vendors[0]
    http_stand.running.faults(vendor).add(Fault(kind=FaultKind.ERROR, count=None))
    reports = http_stand.sync_all()
    assert all(report.status == "failed" for report in reports)
    assert all(not rows for rows in http_stand.raw(vendor).values())
    http_stand.running.faults(vendor).clear()
    http_stand.reset_breakers()
    assert all(report.status == "ok" for report in http_stand.sync_all())
    assert http_stand.raw(vendor) == calm[vendor]


def test_replay_from_landing_equals_the_api(stand: Stand, calm: CalmReads) -> None:
    """Catches: pages that were changed on their way to landing, a decode that depends on the live call."""
    vendor = stand.vendors[0]
    stand.sync_all()
    calls = stand.running.requests(vendor)
    stand.drop_warehouse()
    for integration in stand.platform().integrations(vendor):
        report = replay(stand.platform(), integration.integration_id)
        assert report.status == "ok"
    assert stand.raw(vendor) == calm[vendor]
    assert stand.running.requests(vendor) == calls


def test_a_broken_record_is_rejected_kept_and_replayable(http_stand: Stand, calm: CalmReads) -> None:
    """Catches: a bad record that takes its page along, a reject without record, field and rule, a lost record."""
    vendor = http_stand.vendors[0]
    connector = connectors()[vendor]
    stream = next(s for s in connector.streams if s.path and s.records is not None and s.rows is None)
    field = stream.root.record.__struct_encode_fields__[stream.root.record.__struct_fields__.index(stream.root.key[0])]
    http_stand.running.faults(vendor).add(
        Fault(kind=FaultKind.RENAMED_FIELD, field=field, path=_glob(stream.path), count=1)
    )
    http_stand.sync_all()
    rejects = http_stand.open_rejects()
    assert rejects, f"{stream.name}: a record without {field} was taken"
    assert all(reject["field"] and reject["rule"] for reject in rejects)
    http_stand.running.faults(vendor).clear()
    http_stand.sync_all()
    assert http_stand.live(vendor) == _live(connector, calm[vendor])


def test_secrets_and_tokens_reach_no_log_and_no_store(
    http_stand: Stand, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Catches: credentials in logs, in the audit of calls, in error texts, in files."""
    caplog.set_level(logging.DEBUG)
    vendor = http_stand.vendors[0]
    http_stand.running.faults(vendor).add(Fault(kind=FaultKind.ERROR, count=3, after=3))
    http_stand.sync_all()
    secrets = [value.encode() for value in http_stand.running.sandbox(vendor).credentials().values() if len(value) >= 6]
    assert secrets
    printed = capfd.readouterr()
    texts = [caplog.text.encode(), printed.out.encode(), printed.err.encode()]
    files = [path for path in http_stand.root.rglob("*") if path.is_file()]
    for secret in secrets:
        assert not any(secret in text for text in texts)
        for path in files:
            assert secret not in path.read_bytes(), f"a credential lies readable in {path.name}"


def test_requests_stay_within_the_window(stand: Stand) -> None:
    """Catches: a second run that reads everything from the beginning again."""
    vendor = stand.vendors[0]
    stand.sync_all()
    first = sum(stand.running.requests(vendor).values())
    stand.sync_all()
    second = sum(stand.running.requests(vendor).values()) - first
    assert second <= first


def _live(connector: Connector, tables: Tables) -> dict[str, list[tuple]]:
    return Stand.live_rows(connector, tables)


def _glob(path: str) -> str:
    head = path.split("{", 1)[0]
    tail = path.rsplit("}", 1)[-1] if "}" in path else ""
    return f"*{head}*{tail}" if "{" in path else f"*{path}*"
