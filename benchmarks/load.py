"""Pages of JSON on disk to merged raw tables, against DuckDB reading the same bytes into the same tables.

python -m benchmarks.load PAGES WAREHOUSE      our side, as a process of its own
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import typing
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from benchmarks import measured
from ingestion.core.fetch import Event, Page, ScopeDone, ScopeFailed
from ingestion.core.load import Loader
from ingestion.core.records import keyed_hasher, raw_schema
from ingestion.core.registry import connector
from ingestion.core.settings import Settings
from ingestion.core.spec import Stream, Table
from ingestion.core.warehouse import sql_type

VENDOR, STREAM, INTEGRATION = "moka", "transactions", "bench"
OUTLETS = 50
DAY = date(2026, 4, 4)
NIGHT = datetime(2026, 4, 4, 22, 0, tzinfo=UTC)  # the business date is over everywhere
UNLIMITED = 1e6  # calls per second: the pages are made once, nobody has to be spared


def render(checks: int, folder: Path) -> dict[str, int]:
    """Write the vendor's pages for about `checks` checks, asked for by the connector over a socket.

    Returns how many pages and bytes there are. Raises the ApiError of an outlet that could not be read.
    """
    from ingestion.core.fetch import fetch, plan
    from ingestion.core.http import ApiClient
    from ingestion.core.spec import Limit
    from ingestion.sandbox.clock import Clock
    from ingestion.sandbox.company import Company
    from ingestion.sandbox.server import serve

    declared = connector(VENDOR)
    company = Company.build(outlets=OUTLETS, days=1, start=DAY, checks_per_day=max(checks // (OUTLETS - 1), 1))
    pages = size = 0
    with serve(company, Clock(NIGHT), [VENDOR]) as running:
        sandbox = running.sandbox(VENDOR)
        settings = sandbox.settings(running.url(VENDOR))
        limit = Limit(per_second=UNLIMITED, concurrent=2)
        client = ApiClient(declared, INTEGRATION, settings, sandbox.credentials(), limit=limit)
        wanted = plan(
            declared.stream(STREAM),
            outlets=dict.fromkeys(sandbox.outlets(), ZoneInfo("Asia/Jakarta")),
            settings=settings,
            start_date=DAY,
            as_of=NIGHT,
            cursors={},
        )
        for event in fetch(client, wanted):
            if isinstance(event, ScopeFailed):
                raise event.error
            if isinstance(event, Page):
                pages += 1
                size += len(event.content)
                (folder / f"{event.scope}-{pages:06}.json").write_bytes(event.content)
    return {"pages": pages, "bytes": size}


def ours(pages: Path, warehouse: Path) -> None:
    """The platform's path: typed decode, Arrow, parquet, merge, cursors committed."""
    declared = connector(VENDOR)
    loader = Loader(Settings.load(warehouse.parent, NIGHT), declared, INTEGRATION, keyed_hasher(b"b" * 32))
    loader.prepare()

    def events(stream: Stream, cursors: Mapping[str, str]) -> Iterator[Event]:
        scopes = set()
        for path in sorted(pages.glob("*.json")):
            scope = path.name.split("-")[0]
            scopes.add(scope)
            yield Page(path.read_bytes(), scope, {}, reference=path.name)
        for scope in sorted(scopes):
            yield ScopeDone(scope)

    (result,) = loader.run([declared.stream(STREAM)], events, None, run_id=1, until=NIGHT)
    if result.rejects or result.failed:
        raise SystemExit(f"the pages did not load whole: {len(result.rejects)} rejects, {result.error}")


def floor(pages: Path) -> str:
    """SQL of DuckDB alone: the same columns of the same files, each list as a table of its own.

    It neither merges nor rejects, and is given every column's type, so it does less than we do.
    """
    stream = connector(VENDOR).stream(STREAM)
    outer, *inner = stream.records.split(".")
    wire = f"{_struct(stream, '')}[]"
    for step in reversed(inner):
        wire = f'struct("{step}" {wire})'
    return ";\n".join(
        [
            "set timezone = 'UTC'",
            "set preserve_insertion_order = false",
            f"create temp table records as select unnest({stream.records}) as r from read_json("
            f"'{pages}/*.json', columns = {{{outer}: '{wire}'}}, maximum_object_size = 100000000)",
            *(f"create table {table.name} as {_select(stream, table)}" for table in stream.tables),
        ]
    )


def _struct(stream: Stream, path: str) -> str:
    """DuckDB's type of the records at a path: the columns that we keep, and the lists below."""
    table = next(table for table in stream.tables if table.path == path)
    fields = {name: sql_type(raw_schema(stream, table).field(name).type) for name in own_columns(stream, table)}
    for child in stream.tables:
        parent, _, name = child.path.rpartition(".")
        if child.path and parent == path:
            fields[name] = f"{_struct(stream, child.path)}[]"
    members = ", ".join(f'"{name}" {kind}' for name, kind in fields.items())
    return f"struct({members})"


def own_columns(stream: Stream, table: Table) -> list[str]:
    """Columns of a table that are fields of its record."""
    own = set(typing.get_type_hints(table.record))
    return [name for name in raw_schema(stream, table).names if name in own and name not in table.inherit]


def _select(stream: Stream, table: Table) -> str:
    """The rows of one table, with the root's key and what they inherit."""
    own = ", ".join(f'r."{name}"' for name in own_columns(stream, table))
    if not table.path:
        return f"select {own} from records"
    source, carried = "records", {f"root_{name}": f'r."{name}"' for name in stream.root.key}
    steps = table.path.split(".")
    for depth, step in enumerate(steps, start=1):
        names = ", ".join(f"{value} as {name}" for name, value in carried.items())
        source = f'(select {names}, unnest(r."{step}") as r from {source})'
        carried = {name: name for name in carried}
        here = ".".join(steps[:depth])
        for name, path in table.inherit.items():
            if path.rpartition(".")[0] == here:
                carried[name] = f'r."{path.rpartition(".")[2]}"'
    return f"select {', '.join(carried)}, {own} from {source}"


def counts(warehouse: Path, schema: str) -> dict[str, int]:
    """Rows per table; of the root each record once, for page boundaries deliver some twice."""
    stream = connector(VENDOR).stream(STREAM)
    found = {}
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        for table in stream.tables:
            rows = f"distinct ({', '.join(table.key)})" if table is stream.root else "*"
            found[table.name] = connection.execute(f"select count({rows}) from {schema}.{table.name}").fetchall()[0][0]
    return found


def measure(checks: int, repeat: int) -> dict[str, Any]:
    """Both sides in turn, several times; medians and the ratio pair by pair.

    Raises RuntimeError when the sides did not write the same rows, for then their times mean nothing.
    """
    with tempfile.TemporaryDirectory(prefix="bench-load-") as temp:
        pages = Path(temp) / "pages"
        pages.mkdir()
        size = render(checks, pages)
        statements = Path(temp) / "floor.sql"
        statements.write_text(floor(pages), encoding="utf-8")
        sides: dict[str, list[measured.Measured]] = {"ours": [], "floor": []}
        commands = {"ours": ("benchmarks.load", str(pages)), "floor": ("benchmarks.floor", str(statements))}
        for _ in range(repeat):
            for side, runs in sides.items():
                folder = Path(temp) / side
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                runs.append(measured.run(*commands[side], str(folder / "warehouse.duckdb")))
        rows = counts(Path(temp) / "ours" / "warehouse.duckdb", f"raw_{VENDOR}")
        read = counts(Path(temp) / "floor" / "warehouse.duckdb", "main")
    if rows != read:
        raise RuntimeError(f"the sides differ: {rows} against {read}")
    ratios = [a.seconds / b.seconds for a, b in zip(sides["ours"], sides["floor"], strict=True)]
    return {
        "checks": rows[STREAM],
        "rows": sum(rows.values()),
        **size,
        "ours_seconds": round(statistics.median(run.seconds for run in sides["ours"]), 2),
        "floor_seconds": round(statistics.median(run.seconds for run in sides["floor"]), 2),
        "ratio": round(statistics.median(ratios), 2),
        "ours_peak_mb": round(max(run.peak_mb for run in sides["ours"])),
        "floor_peak_mb": round(max(run.peak_mb for run in sides["floor"])),
    }


if __name__ == "__main__":
    ours(Path(sys.argv[1]), Path(sys.argv[2]))
