"""One suite for every connector in the registry: nothing here names a vendor.

A connector is right when, whatever the wire does, the raw tables end up as a calm first read leaves them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ingestion.core.registry import connectors
from ingestion.core.settings import PROJECT_ROOT
from ingestion.core.spec import Category, Connector
from ingestion.core.sync import replay
from ingestion.sandbox.faults import Fault, FaultKind
from tests.stand import Stand, company, tills

Tables = dict[str, list[dict[str, Any]]]
VENDORS = list(connectors())
HTTP_VENDORS = [name for name, connector in connectors().items() if any(stream.path for stream in connector.streams)]

ROUNDS = 8  # a vendor with few calls a night meets the faults over several

# What passes by itself. `after` spreads the faults over the requests, so that none meets more of them than a client
# retries.
PASSING_FAULTS = [
    Fault(kind=FaultKind.THROTTLE, retry_after="0", count=2),
    Fault(kind=FaultKind.THROTTLE),
    Fault(kind=FaultKind.ERROR, count=2, after=3),
    Fault(kind=FaultKind.UNAVAILABLE, after=5),
    Fault(kind=FaultKind.EXPIRED_TOKEN, after=7),
    Fault(kind=FaultKind.DUPLICATE_DELIVERY, count=3, after=8),
    Fault(kind=FaultKind.EXTRA_FIELD, count=3, after=9),
    Fault(kind=FaultKind.TIMEOUT_BEFORE_COMMIT, after=12),
    Fault(kind=FaultKind.TIMEOUT_AFTER_COMMIT, after=13),
    Fault(kind=FaultKind.RESET_BEFORE_COMMIT, count=2, after=15),
    Fault(kind=FaultKind.RESET_AFTER_COMMIT, after=17),
    Fault(kind=FaultKind.SLOW_DRIP, seconds=0.05, after=18),
    Fault(kind=FaultKind.MALFORMED_JSON, after=19),
    Fault(kind=FaultKind.TRUNCATED_GZIP, after=21),
]


def of(vendors: list[str]) -> list[Any]:
    """Parameters that keep one vendor's tests together, so that its calm read is made once."""
    return [pytest.param(vendor, marks=pytest.mark.xdist_group(f"conformance-{vendor}")) for vendor in vendors]


def stand_of(folder: Path, vendor: str) -> AbstractContextManager[Stand]:
    """As little of a company as has every table and late facts: of a till, two outlets and two days."""
    if connectors()[vendor].category is not Category.POS:
        return Stand.open(folder, [vendor])
    return Stand.open(folder, [vendor], made=company(outlets=2, days=2, pos=tills([vendor])), days=2)


@pytest.fixture(params=of(HTTP_VENDORS))
def http_stand(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stand]:
    with stand_of(tmp_path, request.param) as made:
        yield made


@dataclass
class Calm:
    """A vendor's stand after undisturbed reads: what its raw tables held after each, and the calls of each."""

    stand: Stand
    tables: list[Tables]
    calls: list[int]

    @property
    def first(self) -> Tables:
        return self.tables[0]


class CalmReads(dict[str, Calm]):
    """Two undisturbed reads of each vendor, made when first asked for."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack

    def __missing__(self, vendor: str) -> Calm:
        made = self._stack.enter_context(stand_of(self._folder / vendor, vendor))
        self[vendor] = Calm(made, [], [])
        for _ in range(2):
            for report in made.sync_all():
                assert report.status == "ok", report.error or [s.error for s in report.streams]
                assert report.rejects == 0, [r for s in report.streams for r in s.rejects]
            self[vendor].tables.append(made.raw(vendor))
            self[vendor].calls.append(sum(made.running.requests(vendor).values()) - sum(self[vendor].calls))
        assert not made.running.errors(vendor)
        return self[vendor]


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CalmReads]:
    with ExitStack() as stack:
        yield CalmReads(tmp_path_factory.mktemp("calm"), stack)


@pytest.mark.parametrize("vendor", of(VENDORS))
def test_every_stream_delivers_and_its_key_is_one(vendor: str, calm: CalmReads) -> None:
    """Catches: a stream that reads nothing, a key that is not unique or not filled, a child without its root."""
    connector = connectors()[vendor]
    for stream, table in connector.tables():
        rows = calm[vendor].first[table.name]
        assert rows, f"{table.name} is empty"
        if table is stream.root:
            keys = [tuple(row[name] for name in ("integration_id", *table.key)) for row in rows]
            assert len(keys) == len(set(keys)), f"{table.name}: key {table.key} repeats"
            assert all(value is not None for key in keys for value in key)
        else:
            roots = {
                tuple(row[name] for name in ("integration_id", *stream.root.key))
                for row in calm[vendor].first[stream.root.name]
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


@pytest.mark.parametrize("vendor", of(VENDORS))
def test_reading_twice_equals_reading_once(vendor: str, calm: CalmReads) -> None:
    """Catches: look-back windows that double rows, children that pile up, state that does not survive a run; a second
    run that reads everything from the beginning again.
    """
    first, second = calm[vendor].tables
    assert second == first
    assert calm[vendor].calls[1] <= calm[vendor].calls[0]


@pytest.mark.parametrize("vendor", of(VENDORS))
def test_replay_from_landing_equals_the_api(vendor: str, calm: CalmReads) -> None:
    """Catches: pages that were changed on their way to landing, a decode that depends on the live call."""
    stand = calm[vendor].stand
    calls = stand.running.requests(vendor)
    stand.drop_warehouse()
    for integration in stand.platform().integrations(vendor):
        report = replay(stand.platform(), integration.integration_id)
        assert report.status == "ok"
    assert stand.live(vendor) == _live(connectors()[vendor], calm[vendor].first)
    assert stand.running.requests(vendor) == calls


@pytest.mark.parametrize("vendor", of(VENDORS))
def test_late_facts_and_a_broken_record_arrive_with_the_next_run(vendor: str, tmp_path: Path, calm: CalmReads) -> None:
    """Catches: a cursor that passes over late edits; a bad record that takes its page along, that is rejected without
    field and rule, or that is lost. Two runs over time equal one run at the end.
    """
    with stand_of(tmp_path, vendor) as stand:
        broken = spoil_a_record(stand, vendor) if vendor in HTTP_VENDORS else None
        stand.set_clock(stand.now - timedelta(days=1))
        stand.sync_all()
        rejects = stand.open_rejects()
        assert bool(rejects) is (broken is not None), f"a record without {broken} was taken"
        assert all(reject["field"] and reject["rule"] for reject in rejects)
        stand.running.faults(vendor).clear()
        stand.set_clock(stand.now + timedelta(days=1))
        stand.sync_all()
        assert stand.live(vendor) == _live(connectors()[vendor], calm[vendor].first)


def spoil_a_record(stand: Stand, vendor: str) -> str:
    """Rename the first field of a stream's key in its next answer; returns the field."""
    stream = next(s for s in connectors()[vendor].streams if s.path and s.records is not None and s.rows is None)
    field = stream.root.record.__struct_encode_fields__[stream.root.record.__struct_fields__.index(stream.root.key[0])]
    fault = Fault(kind=FaultKind.RENAMED_FIELD, field=field, path=_glob(stream.path), count=1)
    stand.running.faults(vendor).add(fault)
    return f"{stream.name}.{field}"


def test_a_night_without_the_vendor_and_passing_faults_leave_no_trace(
    http_stand: Stand,
    calm: CalmReads,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Catches: an exception that escapes the sync, a cursor that moves although nothing was read; a lost page, a
    doubled page, a run that dies (retries within the run or the next run heal it); credentials in logs, in the audit of
    calls, in error texts, in files.
    """
    caplog.set_level(logging.DEBUG)
    vendor = http_stand.vendors[0]
    sandbox = http_stand.running.faults(vendor)
    sandbox.add(Fault(kind=FaultKind.ERROR, count=None))
    assert all(report.status == "failed" for report in http_stand.sync_all())
    assert all(not rows for rows in http_stand.raw(vendor).values())
    sandbox.clear()
    http_stand.reset_breakers()

    down = sandbox.struck.copy()
    sandbox.add(*(replace(fault, method="GET") for fault in PASSING_FAULTS))
    for _ in range(ROUNDS):
        http_stand.sync_all()
        if not sandbox.pending():
            break
    assert set(sandbox.struck - down) == {fault.kind for fault in PASSING_FAULTS}
    sandbox.clear()
    http_stand.reset_breakers()
    reports = http_stand.sync_all()
    assert all(report.status == "ok" for report in reports)
    assert http_stand.live(vendor) == _live(connectors()[vendor], calm[vendor].first)
    assert not http_stand.running.errors(vendor)
    assert_no_secret_is_readable(http_stand, caplog.text, *capfd.readouterr())


def assert_no_secret_is_readable(stand: Stand, *texts: str) -> None:
    """Fail the test where a credential of the stand's vendor is in a text or in a file of the stand."""
    (vendor,) = stand.vendors
    secrets = [value.encode() for value in stand.running.sandbox(vendor).credentials().values() if len(value) >= 6]
    assert secrets
    files = {path.name: path.read_bytes() for path in stand.root.rglob("*") if path.is_file()}
    for secret in secrets:
        assert not any(secret in text.encode() for text in texts)
        readable = [name for name, content in files.items() if secret in content]
        assert not readable, f"a credential lies readable in {readable}"


def _live(connector: Connector, tables: Tables) -> dict[str, list[tuple]]:
    return Stand.live_rows(connector, tables)


def _glob(path: str) -> str:
    head = path.split("{", 1)[0]
    tail = path.rsplit("}", 1)[-1] if "}" in path else ""
    return f"*{head}*{tail}" if "{" in path else f"*{path}*"
