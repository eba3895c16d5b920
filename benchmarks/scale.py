"""Nights of growing companies on top of history: wall time by phase, memory, growth, against the floor of the same run.

For each size the platform loads a first day, history is laid under it, and a first night builds and publishes all of
that. None of it is measured. The measured night brings one more business date, late edits of the day before included.
The floor is plain SQL over the very bytes that the tills sent in that night; other loaders read the same receipts.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks import load, measured, others
from benchmarks.places import Place, placed, settle
from ingestion.core import warehouse
from ingestion.core.platform import Platform
from ingestion.core.records import raw_schema
from ingestion.core.registry import connector
from ingestion.core.settings import Settings
from ingestion.core.spec import Stream
from ingestion.core.spec import Table as RawTable
from ingestion.sandbox.company import Company
from orchestration.cli.sandboxes import install_company, running

COLUMNS = ("extract_load", "transform", "export", "orchestration", "night")
AGGREGATES = """
create table sales_daily as
    select outlet_id, cast(created_at as date) as day, count(*) as checks, sum(subtotal) as net_sales,
        sum(taxes) as tax, sum(total_collected) as collected
    from transactions where not coalesce(is_deleted, false) group by 1, 2;
create table sales_by_product as
    select t.outlet_id, cast(t.created_at as date) as day, c.item_variant_id, sum(c.quantity) as quantity,
        sum(c.gross_sales) as gross_sales, sum(c.net_sales) as net_sales
    from checkouts as c join transactions as t on t.id = c.root_id
    where not coalesce(t.is_deleted, false) group by 1, 2, 3;
create table sales_by_tender as
    select outlet_id, cast(created_at as date) as day, payment_type_label, count(*) as checks,
        sum(total_collected) as amount
    from transactions where not coalesce(is_deleted, false) group by 1, 2, 3
"""


def measure(sizes: Sequence[int], engine: str, history: int, checks: int, tools: Sequence[str]) -> dict[str, Any]:
    """Every size in turn, smallest first, each told on standard error when it is done.

    Raises RuntimeError where the marts of a night are not the truth.
    """
    runs = []
    for size in sorted(sizes):
        runs.append(_size(size, engine, history, checks, tools))
        print(json.dumps(runs[-1]), file=sys.stderr, flush=True)
    found = {"engine": engine, "history_days": history, "checks_per_outlet": checks, "runs": runs}
    return {**found, "growth": growth(runs)}


def growth(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Between neighbouring sizes the exponent e of seconds ~ outlets ** e; 1 grows as the company does."""
    found = []
    for small, large in itertools.pairwise(runs):
        factor = math.log(large["outlets"] / small["outlets"])
        before, after = ({**run["seconds"], "floor": run["floor"]["seconds"]} for run in (small, large))
        exponents = {
            name: round(math.log(seconds / before[name]) / factor, 2)
            for name, seconds in after.items()
            if seconds and before[name]
        }
        found.append({"from": small["outlets"], "to": large["outlets"], **exponents})
    return found


def _size(outlets: int, engine: str, history: int, checks: int, tools: Sequence[str]) -> dict[str, Any]:
    company = Company.build(outlets=outlets, days=2, checks_per_day=checks)
    first, last = company.nights()
    with contextlib.ExitStack() as stack:
        temp = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-scale-")))
        place = stack.enter_context(placed(engine))
        data = temp / "data"
        os.environ.update({"C4_DATA": str(data), "C4_WAREHOUSE": place.url, "C4_OPS": place.url})
        with running(data, outlets=outlets, days=2, checks_per_day=checks) as sandboxes:
            install_company(Settings.load(data, first), company, sandboxes.urls)
            _begin_books(data / "config" / "company.yaml", company)
            sandboxes.set_clock(first)
            measured.run("benchmarks.history", str(data), first.isoformat(), str(history))
            _night(first)
            settle(place)
            sandboxes.set_clock(last)
            sandboxes.prepare()
            before = measured.processor_seconds(sandboxes.process.pid)
            night, seconds = _night(last, place.server)
            vendors = measured.processor_seconds(sandboxes.process.pid) - before
        settings = Settings.load(data, last)
        pages = temp / "pages"
        found = {
            "outlets": outlets,
            **_true(settings, company, history),
            **_pages(settings, pages),
            "seconds": seconds,
            "process_seconds": round(night.seconds, 2),
            "cpu_seconds": round(night.cpu_seconds, 2),
            "vendors_cpu_seconds": round(vendors, 2),
            "peak_mb": round(night.tree_peak_mb),
            "server_peak_mb": round(night.beside_peak_mb) or None,
            "together_peak_mb": round(night.together_peak_mb),
            "orchestration_share": round(seconds["orchestration"] / seconds["night"], 3),
            "floor": _floor(pages, temp, place),
            "others": others.measure(pages, temp, place.floor, tools),
        }
    return {**found, "to_floor": round(seconds["night"] / found["floor"]["seconds"], 1)}


def _begin_books(path: Path, company: Company) -> None:
    """Posting begins with the first night: the books of the history are made."""
    document = msgspec.yaml.decode(path.read_bytes())
    for entity in document["entities"]:
        entity["posts_from"] = company.start.isoformat()
    path.write_bytes(msgspec.yaml.encode(document))


def _night(at: datetime, server: int | None = None) -> tuple[measured.Measured, dict[str, float]]:
    """The command that runs a night, and what it says of its phases."""
    run = measured.run("orchestration.cli", "night", "--json", "--as-of", at.isoformat(), beside=server)
    return run, json.loads(run.output.splitlines()[-1])["phases"]


def _true(settings: Settings, company: Company, history: int) -> dict[str, int]:
    """How much the marts hold. Raises RuntimeError where that is not what happened: then no time means anything.

    Tills are read up to the moment of the night, and without it.
    """
    truth = company.truth(settings.as_of - timedelta(microseconds=1))
    with warehouse.published(settings) as marts:
        if marts is None:
            raise RuntimeError("no marts were published")
        days = marts.execute("select outlet_id, business_date, checks, net_sales from sales_daily").fetchall()
    found = {(outlet, day): (checks, net) for outlet, day, checks, net in days}
    wrong = [key for key, day in truth.items() if day.checks and found.get(key) != (day.checks, day.net_sales)]
    dates = {day for _, day in found}
    if wrong or len(dates) < history + len(company.dates):
        raise RuntimeError(f"{len(wrong)} outlet-days are not the truth, {len(dates)} business dates: {wrong[:3]}")
    night = company.dates[-1]
    return {
        "checks": sum(checks for (_, day), (checks, _) in found.items() if day == night),
        "checks_with_history": sum(checks for checks, _ in found.values()),
    }


def _pages(settings: Settings, folder: Path) -> dict[str, int]:
    """The tills' pages of the measured night, taken out of the landing zone."""
    folder.mkdir()
    platform = Platform.open(settings)
    count = size = 0
    for integration in platform.integrations(load.VENDOR):
        for name in platform.landing.batches(load.VENDOR, integration.integration_id, load.STREAM):
            if f"/{settings.as_of:%Y/%m/%d}/" in name:
                for page in platform.landing.pages(name):
                    count, size = count + 1, size + len(page.content)
                    (folder / f"{count:06}.json").write_bytes(page.content)
    return {"pages": count, "bytes": size}


def _floor(pages: Path, folder: Path, place: Place) -> dict[str, Any]:
    statements = folder / "floor.sql"
    if place.floor:
        statements.write_text(";\n".join([*_postgres_tables(), AGGREGATES]), encoding="utf-8")
        run = measured.run("benchmarks.floor_postgres", str(statements), place.floor, str(pages))
    else:
        statements.write_text(f"{load.floor(pages)};\n{AGGREGATES}", encoding="utf-8")
        run = measured.run("benchmarks.floor", str(statements), str(folder / "floor.duckdb"))
    return {"seconds": round(run.seconds, 2), "peak_mb": round(run.tree_peak_mb)}


def _postgres_tables() -> Iterator[str]:
    """The tables of `load.floor` in Postgres' words, from a table of pages."""
    stream = connector(load.VENDOR).stream(load.STREAM)
    steps = "".join(f"->'{step}'" for step in stream.records.split("."))
    yield (
        f"create temp table records as select r.* from pages, jsonb_to_recordset(page{steps}) "
        f"as r ({_record(stream, stream.root)})"
    )
    for table in stream.tables:
        own = ", ".join(f'r."{name}"' for name in load.own_columns(stream, table))
        if table is stream.root:
            yield f"create table {table.name} as select {own} from records as r"
            continue
        carried = [f'records."{name}" as root_{name}' for name in stream.root.key]
        source, above = "records", "records"
        parts = table.path.split(".")
        for depth, part in enumerate(parts, start=1):
            here = ".".join(parts[:depth])
            alias = "r" if depth == len(parts) else f"r{depth}"
            level = next(other for other in stream.tables if other.path == here)
            source += f', jsonb_to_recordset({above}."{part}") as {alias} ({_record(stream, level)})'
            above = alias
            carried += [
                f'{alias}."{path.rpartition(".")[2]}" as {name}'
                for name, path in table.inherit.items()
                if path.rpartition(".")[0] == here
            ]
        yield f"create table {table.name} as select {', '.join(carried)}, {own} from {source}"


def _record(stream: Stream, table: RawTable) -> str:
    """The columns of a record and, as JSON, the lists below it."""
    schema = raw_schema(stream, table)
    columns = [f'"{name}" {warehouse.sql_type(schema.field(name).type)}' for name in load.own_columns(stream, table)]
    lists = [
        other.path.rpartition(".")[2]
        for other in stream.tables
        if other.path and other.path.rpartition(".")[0] == table.path
    ]
    return ", ".join([*columns, *(f'"{name}" jsonb' for name in lists)])


def _memory(run: Mapping[str, Any]) -> str:
    night, server, together = (run[name] for name in ("peak_mb", "server_peak_mb", "together_peak_mb"))
    return f"{night:,}, server {server:,}, at once {together:,}" if server else f"{night:,}"


def show(result: Mapping[str, Any]) -> None:
    """The figures as a table on standard error."""
    title = (
        f"{result['engine']}, {result['history_days']} days of history, {result['checks_per_outlet']} checks per outlet"
    )
    view = Table(title=title, title_justify="left")
    for name in ("outlets", "checks", *COLUMNS, "vendors' CPU", "peak MB", "floor", "night / floor", *others.TOOLS):
        view.add_column(name, justify="right")
    for run in result["runs"]:
        beside = (run["others"].get(tool, {"skipped": ""}) for tool in others.TOOLS)
        view.add_row(
            f"{run['outlets']:,}",
            f"{run['checks']:,}",
            *(f"{run['seconds'][name]:.1f}" for name in COLUMNS),
            f"{run['vendors_cpu_seconds']:.1f}",
            _memory(run),
            f"{run['floor']['seconds']:.1f}",
            f"{run['to_floor']:.1f}",
            *(f"{tool['seconds']:.1f}" if "seconds" in tool else "-" for tool in beside),
        )
    console = Console(stderr=True, width=160)
    console.print(view)
    for step in result["growth"]:
        exponents = ", ".join(f"{name} {value}" for name, value in step.items() if name not in ("from", "to"))
        console.print(f"growth from {step['from']:,} to {step['to']:,} outlets: {exponents}")
    for tool, told in result["runs"][0]["others"].items():
        if "skipped" in told:
            console.print(f"{tool}: skipped, {told['skipped']}")


def plot(result: Mapping[str, Any], target: Path) -> None:
    """Seconds by phase over outlets as an SVG, the floor and the other loaders beside them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    sizes = [run["outlets"] for run in result["runs"]]
    for name in COLUMNS:
        axes.plot(sizes, [run["seconds"][name] for run in result["runs"]], marker="o", label=name.replace("_", " "))
    axes.plot(sizes, [run["floor"]["seconds"] for run in result["runs"]], "k--", marker="x", label="floor")
    for tool in others.TOOLS:
        times = [run["others"].get(tool, {}).get("seconds") for run in result["runs"]]
        if all(times):
            axes.plot(sizes, times, ":", marker=".", label=f"{tool} (load only)")
    axes.set(xscale="log", yscale="log", xlabel="outlets", ylabel="seconds", title=f"A night on {result['engine']}")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes], minor=False)
    axes.legend(fontsize="small")
    figure.savefig(target)
