"""`c4 demo`, `c4 sandbox` and `c4 ui`: the example company's nights, from start to a summary one can read."""

from __future__ import annotations

import contextlib
import json as jsonlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from assets import dbt
from ingestion.core import progress as work
from ingestion.core import warehouse
from ingestion.core.ops import store
from ingestion.core.ops.crypto import Keyring
from ingestion.core.registry import connector
from ingestion.core.settings import Settings
from ingestion.sandbox.company import CHECKS_PER_DAY, Company
from orchestration.cli.sandboxes import Sandboxes, install_company, running
from orchestration.instance import dagster_home
from orchestration.night import NightResult, run_night

MARKER = ".c4-demo"  # says that the folder is the demo's, which may empty it, and holds its size
CENT = Decimal("0.01")


class Size(msgspec.Struct, frozen=True):
    """How large the example company of a folder is; `checks` is the average of an outlet's day."""

    outlets: int = 30
    days: int = 4
    checks: int = CHECKS_PER_DAY

    def company(self) -> Company:
        return Company.build(outlets=self.outlets, days=self.days, checks_per_day=self.checks)


@dataclass(slots=True)
class Outcome:
    """What the demo found, in the order it is printed as JSON."""

    warehouse: str
    outlets: int
    days: int
    nights: list[NightResult] = field(default_factory=list)
    totals: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "warehouse": self.warehouse,
            "outlets": self.outlets,
            "days": self.days,
            **self.totals,
            "nights": len(self.nights),
            "problems": self.problems,
            "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            "seconds": {name: round(value, 2) for name, value in self.seconds.items()},
        }


def run_demo(settings: Settings, *, outlets: int, days: int, checks: int | None, as_json: bool) -> int:
    """Run the nights, compare every mart total with the simulated truth, print. Returns the exit status."""
    console = Console(file=sys.stderr if as_json else sys.stdout)
    started = time.monotonic()
    size = Size(outlets, days, checks or CHECKS_PER_DAY)
    _fresh(settings, size)
    outcome = Outcome(warehouse.place(settings), outlets, days)
    company = size.company()
    used = [connector(name) for name in sorted(company.vendors)]
    parsing = threading.Thread(target=dbt.manifest_path, args=[settings, used], daemon=True)
    parsing.start()  # the models' manifest, while the sandboxes start: the night waits for it where it needs it
    with _sandboxes(settings, size, company) as (sandboxes, installed):
        for night in _nights(company):
            sandboxes.set_clock(night)
            at = Settings.load(installed.data, night)
            with _bars(console, f"night of {night:%Y-%m-%d}") as listener:
                outcome.nights.append(run_night(at, night, listener))
        truth = company.truth(_nights(company)[-1])
    _measure(outcome, time.monotonic() - started)
    _collect(outcome, installed, truth)
    if as_json:
        print(jsonlib.dumps(outcome.as_json()))
    else:
        _print(console, outcome, installed)
    for problem in outcome.problems:
        console.print(f"[red]{problem}[/red]")
    return 1 if outcome.problems else 0


def _nights(company: Company) -> tuple[datetime, ...]:
    """The moments at which nights run: all days but the last together, then the last with its late edits."""
    return company.nights()[-2:]


def _fresh(settings: Settings, size: Size) -> None:
    """Empty the folder of an earlier demo; refuse a folder that holds anything else, and a database that is not new."""
    data = settings.data
    held = data.exists() and any(data.iterdir())
    if held and not (data / MARKER).exists():
        raise SystemExit(f"{data} holds a company that is not the demo's; set C4_DATA to another folder")
    if not settings.is_duckdb:
        with warehouse.connect(settings) as connection:
            found = connection.execute("select 1 from pg_namespace where nspname like 'raw_%'").fetchone()
        if found is not None:
            raise SystemExit(f"{warehouse.place(settings)} holds a company already; give the demo an empty database")
    if held:
        shutil.rmtree(data)
    data.mkdir(parents=True, exist_ok=True)
    (data / MARKER).write_bytes(msgspec.json.encode(size))


def _found(settings: Settings) -> Size | None:
    """The size of the example company that an earlier demo left in the folder; None where there is none."""
    if not (settings.data / "config").is_dir():
        return None
    try:
        return msgspec.json.decode((settings.data / MARKER).read_bytes(), type=Size)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


@contextlib.contextmanager
def _example(settings: Settings, outlets: int | None, days: int | None) -> Iterator[tuple[Sandboxes, Settings]]:
    """The example company of the folder with its sandboxes up, at its last night. What an earlier demo left stays as
    it is, targets included, unless another size is asked for.
    """
    found = _found(settings)
    like = found or Size()
    size = Size(outlets or like.outlets, days or like.days, like.checks)
    if size != found:
        _fresh(settings, size)
    company = size.company()
    with _sandboxes(settings, size, company) as (sandboxes, installed):
        night = company.nights()[-1]
        sandboxes.set_clock(night)
        yield sandboxes, Settings.load(installed.data, night)


@contextlib.contextmanager
def _sandboxes(settings: Settings, size: Size, company: Company) -> Iterator[tuple[Sandboxes, Settings]]:
    with running(settings.data, outlets=size.outlets, days=size.days, checks_per_day=size.checks) as sandboxes:
        yield sandboxes, install_company(settings, company, sandboxes.urls)


@contextlib.contextmanager
def _bars(console: Console, title: str) -> Iterator[Any]:
    """Progress of one night: a line per step, with pages as they arrive."""
    columns = (
        SpinnerColumn(finished_text="[green]*[/green]"),
        TextColumn("{task.description:<24}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[note]:<34}"),
        TimeElapsedColumn(),
    )
    console.print(f"[bold]{title}[/bold]")
    with Progress(*columns, console=console) as bars:
        tasks: dict[str, Any] = {}
        pages: dict[str, int] = {}

        def on_step(step: str, state: str) -> None:
            if step.startswith(("marts__", "raw_c4__")):
                return  # asset checks: the summary tells about them
            if state == "start":
                tasks[step] = bars.add_task(step.replace("_", " "), total=None, note="")
            elif step in tasks:
                bars.update(tasks[step], total=1, completed=1)
                if state == "failed":
                    bars.update(tasks[step], note="[red]failed[/red]")

        def on_page(integration_id: str, stream: str, count: int) -> None:
            pages[integration_id] = pages.get(integration_id, 0) + count
            for step, task in tasks.items():
                if step.startswith("load_") and not bars.tasks[task].finished:
                    bars.update(task, note=f"{stream}: {sum(pages.values())} pages")

        unlisten = work.listen(on_page)
        try:
            yield on_step
        finally:
            unlisten()


def _measure(outcome: Outcome, total: float) -> None:
    phases = [night.phases() for night in outcome.nights]
    seconds = {name: sum(phase[name] for phase in phases) for name in phases[0]}
    outcome.seconds = {**seconds, "night": sum(night.wall for night in outcome.nights), "total": total}


def _collect(outcome: Outcome, settings: Settings, truth: dict[Any, Any]) -> None:
    """Read the published marts, hold them against the truth, and note every disagreement."""
    for night in outcome.nights:
        outcome.problems += [f"step failed: {error}" for error in night.errors]
    with warehouse.published(settings) as marts:
        if marts is None:
            outcome.problems.append("no marts were published")
            return

        def one(sql: str) -> Any:
            row = marts.execute(sql).fetchone()
            return row[0] if row else None

        outcome.outlets = one("select count(distinct outlet_id) from outlet_days")
        failures = one("select count(*) from reconciliations where status = 'fail'")
        outcome.totals = {
            "checks": one("select cast(coalesce(sum(checks), 0) as bigint) from sales_daily"),
            "sales_lines": one("select cast(coalesce(sum(lines), 0) as bigint) from sales_daily"),
            "net_sales": str(one("select coalesce(sum(net_sales), 0) from sales_daily").quantize(CENT)),
            "labor_cost": str(one("select coalesce(sum(labor_cost), 0) from labor_daily").quantize(CENT)),
            "journals": one("select count(*) from journals"),
            "unbalanced_journals": one("select count(*) from journals where not is_balanced"),
            "reconciliation_failures": failures,
            "outlet_days": dict(marts.execute("select state, count(*) from outlet_days group by 1").fetchall()),
            "truth_differences": len(untrue := differences(marts, truth)),
        }
    outcome.problems += untrue[:20]
    ops = store.Ops.open(settings.ops, Keyring.load(settings.key_file))
    tables = ops.snapshot()
    documents = tables["outbox"][1]
    outcome.totals |= {
        "journals_confirmed": sum(row["status"] == "confirmed" for row in documents),
        "journals_waiting": sum(row["status"] != "confirmed" for row in documents),
        "journal_duplicates_in_targets": _duplicates(settings),
        "rejects": sum(row["status"] == "open" for row in tables["rejects"][1]),
    }
    for name in (
        "unbalanced_journals",
        "reconciliation_failures",
        "journal_duplicates_in_targets",
        "truth_differences",
    ):
        if outcome.totals[name]:
            outcome.problems.append(f"{name.replace('_', ' ')}: {outcome.totals[name]}")


# Per entity first its sum, then its outlets. Amounts are in the entity's functional currency.
SUMMARY = """
    with outlets as (
        select
            o.entity_id, e.currency, o.outlet_id, o.name,
            coalesce(sum(k.checks), 0) as checks, coalesce(sum(k.net_sales), 0) as net_sales,
            sum(k.labor_cost) as labor_cost, sum(k.prime_cost) as prime_cost,
            (select count(*) from journals as j where j.outlet_id = o.outlet_id and j.is_postable) as journals,
            (
                select count(*) from outlet_days as d
                where d.outlet_id = o.outlet_id and d.state in ('open', 'closed')
            ) as held
        from dim_outlets as o
        join dim_entities as e on e.entity_id = o.entity_id
        left join kpis_daily as k on k.outlet_id = o.outlet_id
        group by o.entity_id, e.currency, o.outlet_id, o.name
    )
    select
        entity_id, currency, outlet_id, name, cast(sum(checks) as bigint), sum(net_sales),
        sum(labor_cost) / nullif(sum(net_sales), 0), sum(prime_cost) / nullif(sum(net_sales), 0),
        cast(sum(journals) as bigint), cast(sum(held) as bigint)
    from outlets
    group by grouping sets ((entity_id, currency), (entity_id, currency, outlet_id, name))
    order by entity_id, outlet_id nulls first
"""

TRUTH_COLUMNS = {
    "checks": "checks",
    "lines": "lines",
    "gross_sales": "gross_sales",
    "discounts": "discounts",
    "comps": "comps",
    "returns": "returns",
    "net_sales": "net_sales",
    "service_charge": "service_charge",
    "tax": "tax",
    "tips": "tips",
    "rounding": "rounding",
}
LABOR_COLUMNS = {"hours": "hours", "overtime_hours": "overtime_hours", "labor_cost": "labor_cost"}


def differences(marts: warehouse.Connection, truth: dict[Any, Any]) -> list[str]:
    """Every outlet-day figure of the marts that is not exactly the simulated truth."""
    found: list[str] = []
    for mart, columns in (("sales_daily", TRUTH_COLUMNS), ("labor_daily", LABOR_COLUMNS)):
        names = ", ".join(columns)
        rows = marts.execute(f"select outlet_id, business_date, {names} from {mart}").fetchall()  # noqa: S608
        actual = {(row[0], row[1]): row[2:] for row in rows}
        for key, day in truth.items():
            values = actual.pop(key, (0,) * len(columns))
            for name, value in zip(columns, values, strict=True):
                expected = getattr(day, columns[name])
                if Decimal(value or 0) != Decimal(expected):
                    found.append(f"{mart} {key[0]} {key[1]} {name}: {value}, truth {expected}")
        found += [f"{mart} has {key[0]} {key[1]}, which the truth does not know" for key in actual]
    return found


def _duplicates(settings: Settings) -> int:
    """References that a target holds more than once alive, read from the read-back of the targets."""
    with warehouse.connect(settings) as connection:
        row = connection.execute(
            "select count(*) from (select reference from intermediate.int_unified__journal_readback where is_live "
            "group by reference having count(distinct external_id) > 1) as doubled"
        ).fetchone()
    return int(row[0]) if row else 0


def _print(console: Console, outcome: Outcome, settings: Settings) -> None:
    with warehouse.published(settings) as marts:
        rows = marts.execute(SUMMARY).fetchall() if marts is not None else []
    view = Table(title="The group after the last night", title_justify="left", box=SIMPLE_HEAD, padding=0, expand=True)
    view.add_column("outlet", no_wrap=True, min_width=7)
    view.add_column("name", no_wrap=True, overflow="ellipsis", ratio=1)
    for name in ("checks", "net sales", "labor %", "prime %", "journals", "held"):
        view.add_column(name, justify="right", no_wrap=True, min_width=max(len(name), 11 * (name == "net sales")))
    for entity, currency, outlet, name, count, net, labor, prime, posted, held in rows:
        if outlet is None:
            view.add_section()
        view.add_row(
            outlet or entity,
            name or f"all outlets, {currency}",
            f"{count:,}",
            f"{net:,.0f}",
            f"{labor or 0:.1%}",
            f"{prime or 0:.1%}",
            str(posted),
            str(held or "-"),
            style="bold" if outlet is None else "",
        )
    console.print(view)
    totals = outcome.totals
    console.print(
        f"{totals['checks']:,} checks, net sales {Decimal(totals['net_sales']):,.0f}, "
        f"{totals['journals_confirmed']} journals confirmed in SAP S/4HANA and Xero, "
        f"{totals['reconciliation_failures']} reconciliation failures, {totals['rejects']} open rejects, "
        f"{outcome.seconds['total']:.0f} s"
    )
    console.print(f"\nMarts for analysts: [bold]{warehouse.published_place(settings)}[/bold] (read-only, never locked)")
    console.print("Try:")
    for sql in (
        "select outlet_id, business_date, state, reason from outlet_days order by 2 desc, 1",
        "select outlet_id, sum(net_sales) as net_sales, avg(labor_pct) as labor_pct from labor_daily group by 1",
        "select rule, status, count(*) as days from reconciliations group by 1, 2 order by 1",
    ):
        console.print(f'  {_c4(settings)} query "{sql}"', soft_wrap=True, highlight=False)
    console.print(f"See it in Dagster: {_c4(settings)} ui", soft_wrap=True, highlight=False)


def _c4(settings: Settings) -> str:
    """The command as it can be pasted: with the data folder where it is not the default, and the path to c4."""
    command = Path(sys.executable).with_name("c4")
    here = Path.cwd()
    shown = command.relative_to(here) if command.is_relative_to(here) else command
    return f"C4_DATA={settings.data} {shown}" if "C4_DATA" in os.environ else str(shown)


def serve_sandboxes(settings: Settings, *, outlets: int | None, days: int | None) -> None:
    """Host the sandboxes until interrupted."""
    console = Console()
    with _example(settings, outlets, days) as (sandboxes, installed):
        for vendor, url in sandboxes.urls.items():
            console.print(f"{vendor:<14} {url}")
        console.print(f"configuration  {installed.config}\nlogical time   C4_AS_OF={installed.as_of.isoformat()}")
        console.print("Ctrl-C stops them.")
        with contextlib.suppress(KeyboardInterrupt):
            sandboxes.process.wait()


def serve_ui(settings: Settings, *, port: int, outlets: int | None, days: int | None) -> None:
    """`dagster dev` over the data folder, with sandboxes where no company is configured."""
    with ui_environment(settings, outlets=outlets, days=days) as environment:
        command = [str(Path(sys.executable).with_name("dagster")), "dev", "-m", "orchestration.definitions"]
        Console().print(f"Dagster UI: http://127.0.0.1:{port}  (materialise all assets of the job `nightly`)")
        with subprocess.Popen([*command, "-h", "127.0.0.1", "-p", str(port)], env=environment) as served:
            signal.signal(signal.SIGTERM, lambda *_: served.terminate())
            with contextlib.suppress(KeyboardInterrupt):  # the terminal has told Dagster as well: it ends by itself
                served.wait()


@contextlib.contextmanager
def ui_environment(settings: Settings, *, outlets: int | None, days: int | None) -> Iterator[dict[str, str]]:
    """What Dagster's processes need to know of the data folder. A folder without a company gets the example company;
    the sandboxes of an example company, also of one that an earlier demo left, are up for the block.
    """
    environment = {**os.environ, "C4_DATA": str(settings.data)}
    with contextlib.ExitStack() as stack:
        if (settings.data / MARKER).exists() or not (settings.data / "config").is_dir():
            _, installed = stack.enter_context(_example(settings, outlets, days))
            environment["C4_AS_OF"] = installed.as_of.isoformat()
        yield environment | {"DAGSTER_HOME": str(dagster_home(settings))}
