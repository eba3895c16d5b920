"""Pages of JSON on disk to merged raw tables, against DuckDB reading the same bytes into the same tables.

python -m benchmarks.load ours|floor PAGES WAREHOUSE      one side, as a process of its own
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb

from benchmarks import measured
from ingestion.core.fetch import Event, Page, ScopeDone
from ingestion.core.load import Loader
from ingestion.core.records import keyed_hasher
from ingestion.core.registry import connector
from ingestion.core.settings import Settings
from ingestion.core.spec import Stream
from ingestion.sandbox.clock import Clock
from ingestion.sandbox.company import Company
from ingestion.sandbox.server import Request, sandbox_classes

VENDOR, STREAM = "moka", "transactions"
OUTLETS = 50
DAY = date(2026, 4, 4)
NIGHT = datetime(2026, 4, 4, 21, 30, tzinfo=UTC)


def render(checks: int, folder: Path) -> dict[str, int]:
    """Write the vendor's own pages for about `checks` checks; returns pages and bytes."""
    company = Company.build(outlets=OUTLETS, days=1, start=DAY, checks_per_day=checks // (OUTLETS - 1))
    sandbox = sandbox_classes()[VENDOR](company, Clock(NIGHT))
    pages = size = 0
    for outlet in sandbox.outlets():
        for body in _outlet_pages(sandbox, outlet):
            pages += 1
            size += len(body)
            (folder / f"{outlet}-{pages:06}.json").write_bytes(body)
    return {"pages": pages, "bytes": size}


def _outlet_pages(sandbox: Any, outlet: str) -> Iterator[bytes]:
    """Every page of one outlet, asked for as the connector does, without a socket between."""
    from ingestion.core.fetch import fill
    from ingestion.core.http import ApiClient
    from ingestion.sandbox.server import RunningSandboxes

    raise NotImplementedError((fill, ApiClient, RunningSandboxes, Request))


def ours(pages: Path, warehouse: Path) -> None:
    """The platform's path: typed decode, Arrow, parquet, merge."""
    declared = connector(VENDOR)
    loader = Loader(Settings.load(warehouse.parent, NIGHT), declared, "bench", keyed_hasher(b"b" * 32))
    loader.prepare()

    def events(stream: Stream, cursors: Mapping[str, str]) -> Iterator[Event]:
        for path in sorted(pages.glob("*.json")):
            yield Page(path.read_bytes(), path.name.split("-")[0], {})
        yield ScopeDone("")

    loader.run([declared.stream(STREAM)], events, None, run_id=1, until=NIGHT)


def floor(pages: Path, warehouse: Path) -> None:
    """DuckDB alone: the same files into a table of checks and a table of lines."""
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute(
            "create table payments as select unnest(data.payments, recursive := false) as p from "
            f"read_json('{pages}/*.json', maximum_object_size = 100000000)"
        )
        connection.execute("create table transactions as select p.* from payments")
        connection.execute("create table checkouts as select p.id as root_id, unnest(p.checkouts) as c from payments")


def measure(checks: int, repeat: int) -> dict[str, Any]:
    """Both sides in turn, several times; medians and the ratio pair by pair."""
    with tempfile.TemporaryDirectory(prefix="bench-load-") as temp:
        pages = Path(temp) / "pages"
        pages.mkdir()
        size = render(checks, pages)
        sides: dict[str, list[measured.Measured]] = {"ours": [], "floor": []}
        for _ in range(repeat):
            for side, runs in sides.items():
                folder = Path(temp) / side
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                runs.append(measured.run("benchmarks.load", side, str(pages), str(folder / "warehouse.duckdb")))
        with duckdb.connect(str(Path(temp) / "ours" / "warehouse.duckdb"), read_only=True) as connection:
            loaded = connection.execute(f"select count(*) from raw_{VENDOR}.{STREAM}").fetchone()
    ratios = [a.seconds / b.seconds for a, b in zip(sides["ours"], sides["floor"], strict=True)]
    return {
        "checks": loaded[0] if loaded else 0,
        **size,
        "ours_seconds": round(statistics.median(run.seconds for run in sides["ours"]), 2),
        "floor_seconds": round(statistics.median(run.seconds for run in sides["floor"]), 2),
        "ratio": round(statistics.median(ratios), 2),
        "ours_peak_mb": round(max(run.peak_mb for run in sides["ours"])),
        "floor_peak_mb": round(max(run.peak_mb for run in sides["floor"])),
    }


if __name__ == "__main__":
    {"ours": ours, "floor": floor}[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
