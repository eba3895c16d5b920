"""`c4`: every command a data engineer or a controller needs, each a thin layer over the platform."""

from __future__ import annotations

import json as jsonlib
import os
import sys
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ingestion.core.config import ConfigError
from ingestion.core.settings import Settings
from orchestration.cli.writes import commands

app = typer.Typer(no_args_is_help=True, pretty_exceptions_show_locals=False, help=__doc__)
journals_app = typer.Typer(no_args_is_help=True, help="Look at, drill into and approve journals.")
events_app = typer.Typer(no_args_is_help=True, help="Look at and replay the events that vendors sent.")
tokens_app = typer.Typer(no_args_is_help=True, help="Bearer tokens of the receiver's own API.")
credentials_app = typer.Typer(no_args_is_help=True, help="Store an account's credentials, encrypted.")
rejects_app = typer.Typer(no_args_is_help=True, help="Look at and replay what was rejected.")
app.add_typer(journals_app, name="journals")
app.add_typer(rejects_app, name="rejects")
app.add_typer(credentials_app, name="credentials")
app.add_typer(events_app, name="events")
app.add_typer(tokens_app, name="tokens")
app.add_typer(commands("prices"), name="prices")
app.add_typer(commands("schedules"), name="schedules")
console = Console()
UPRIGHT = 7  # fields of a row that fit side by side

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]


def table(title: str, rows: list[dict[str, object]], empty: str = "nothing") -> None:
    """Print rows as a table, or say that there are none. A single row of many fields stands upright."""
    if not rows:
        console.print(f"[dim]{title}: {empty}[/dim]")
        return
    if len(rows) == 1 and len(rows[0]) > UPRIGHT:
        rows = [{"field": name.replace("_", " "), "value": _text(value)} for name, value in rows[0].items()]
    view = Table(title=title, title_justify="left", header_style="bold")
    for name in rows[0]:
        view.add_column(name.replace("_", " "), justify="right" if _numeric(rows, name) else "left", overflow="fold")
    for row in rows:
        view.add_row(*(_text(value) for value in row.values()))
    console.print(view)


def _text(value: object) -> str:
    """How a value is shown: amounts without idle zeros, times to the minute."""
    if isinstance(value, Decimal):
        whole = value == value.to_integral_value()
        return f"{value:,.0f}" if whole else f"{value.normalize():,f}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M %Z}"
    return "" if value is None else str(value)


def _numeric(rows: list[dict[str, object]], name: str) -> bool:
    values = [row[name] for row in rows if row[name] not in (None, "")]
    return bool(values) and all(isinstance(value, int | float | Decimal) for value in values)


@app.command()
def demo(
    as_json: AsJson = False,
    outlets: Annotated[int, typer.Option(help="How many outlets the example company has.")] = 30,
    days: Annotated[int, typer.Option(help="How many business dates, late edits among them.")] = 4,
    checks: Annotated[int | None, typer.Option(help="Checks per outlet and day.")] = None,
) -> None:
    """One night of the example company: vendors to reconciled marts to journals. Exits 1 if anything disagrees."""
    from orchestration.cli.demo import run_demo

    raise typer.Exit(run_demo(Settings.load(), outlets=outlets, days=days, checks=checks, as_json=as_json))


@app.command()
def night(
    as_of: Annotated[str | None, typer.Option(help="Logical time, ISO 8601 with a zone; now without it.")] = None,
    full_refresh: Annotated[bool, typer.Option(help="Make every mart anew, all of history.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run one night here and now: the job that the schedule starts. Exits 1 if a step failed."""
    from orchestration.night import run_night

    settings = Settings.load(as_of=datetime.fromisoformat(as_of) if as_of else None)
    result = run_night(settings, settings.as_of, full_refresh=full_refresh)
    report = {
        "success": result.success,
        "run_id": result.run_id,
        "errors": result.errors,
        "failed_checks": [f"{severity} {name}" for name, severity in result.failed_checks],
        "seconds": {name: round(value, 2) for name, value in result.seconds.items()},
        "phases": {name: round(value, 2) for name, value in {**result.phases(), "night": result.wall}.items()},
    }
    if as_json:
        print(jsonlib.dumps(report))
    else:
        table("Steps", [{"step": name, "seconds": value} for name, value in report["seconds"].items()])  # type: ignore[attr-defined]
        for problem in (*result.errors, *report["failed_checks"]):  # type: ignore[misc]
            console.print(f"[red]{problem}[/red]")
    raise typer.Exit(0 if result.success else 1)


@app.command()
def worker(
    queue: Annotated[
        list[str] | None, typer.Option(help="Queues to work at: loads, warehouse. Both without it.")
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="Steps at a time.")] = 1,
) -> None:
    """Work at steps of runs, beside the workers of other machines, until interrupted (C4_EXECUTOR=celery)."""
    from orchestration.workers import QUEUES, serve

    raise typer.Exit(serve(Settings.load(), queue or QUEUES, processes))


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; put a TLS proxy in front of it.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8400,
    public_url: Annotated[str, typer.Option(help="How vendors and browsers reach it, for OAuth callbacks.")] = "",
) -> None:
    """Receive webhooks, uploads and OAuth callbacks until interrupted."""
    from orchestration.cli.live import run_receiver

    run_receiver(Settings.load(), host, port, public_url)


@app.command()
def listen() -> None:
    """Hold the sockets, queues and polls of all accounts until interrupted; what they bring goes into the inbox."""
    from orchestration.cli.live import run_listen

    raise typer.Exit(run_listen())


@app.command()
def live(
    once: Annotated[bool, typer.Option(help="Load what waits now, then end.")] = False,
    every: Annotated[float, typer.Option(min=0.5, help="Seconds between two looks into the inbox.")] = 5.0,
    as_json: AsJson = False,
) -> None:
    """Load events as they come and keep the live sales mart current. Exits 1 if the last batch failed."""
    from orchestration.cli.live import run_live

    raise typer.Exit(run_live(once=once, every=every, as_json=as_json))


@app.command()
def sandbox(
    outlets: Annotated[int | None, typer.Option(help="Outlets of the example company (30).")] = None,
    days: Annotated[int | None, typer.Option(help="Its business dates that are over (4).")] = None,
) -> None:
    """Host every vendor's sandbox until interrupted, with a company folder that points at them; a demo's goes on."""
    from orchestration.cli.demo import serve_sandboxes

    serve_sandboxes(Settings.load(), outlets=outlets, days=days)


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="Port of the Dagster UI on the loopback interface.")] = 3000,
    outlets: Annotated[int | None, typer.Option(help="Outlets of the example company (30).")] = None,
    days: Annotated[int | None, typer.Option(help="Its business dates that are over (4).")] = None,
) -> None:
    """The Dagster UI over this data folder. Without a company of its own it gets the example company's sandboxes; what
    a demo left there is shown as it is, unless --outlets or --days ask for another size.
    """
    from orchestration.cli.demo import serve_ui

    serve_ui(Settings.load(), port=port, outlets=outlets, days=days)


@app.command(name="import")
def import_(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV, TSV, JSON, NDJSON, XML or XLSX.")],
    mapping: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="The YAML that explains the file.")],
    as_json: AsJson = False,
) -> None:
    """Load one file of sales into the marts. The same file twice counts once."""
    from orchestration.cli.imports import run_import

    raise typer.Exit(run_import(Settings.load(), file, mapping, as_json=as_json))


@app.command()
def status(as_json: AsJson = False) -> None:
    """Outlet-days by state and reason, accounts and their last sync, open incidents."""
    from orchestration.cli.status import show_status

    show_status(Settings.load(), as_json=as_json)


@app.command()
def query(
    sql: Annotated[str, typer.Argument(help="One statement over the published marts, for example 'from sales_daily'.")],
    limit: Annotated[int, typer.Option(min=1, help="Rows to show.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Ask the published marts a question, as a BI tool would: read-only, at any time."""
    from orchestration.cli.status import run_query

    raise typer.Exit(run_query(Settings.load(), sql, limit=limit, as_json=as_json))


@app.command()
def connectors(
    as_json: AsJson = False, markdown: Annotated[bool, typer.Option(help="Print docs/connectors.md.")] = False
) -> None:
    """Every connector: what it reads and writes, and how each contract was evidenced."""
    from ingestion.core import index

    if markdown:
        print(index.markdown())
        return
    rows = index.rows()
    if as_json:
        print(jsonlib.dumps(rows, indent=1))
        return
    flat = [
        {
            "vendor": row["vendor"],
            "category": row["category"],
            "reads": ", ".join(stream["name"] for stream in row["streams"]),
            "live": row["live"] or "-",
            "writes": row["writes"] or "-",
            "evidence": ", ".join(sorted({stream["evidence"] for stream in row["streams"]})),
        }
        for row in rows
    ]
    table("Connectors", flat)


@app.command()
def doctor() -> None:
    """Check what the platform needs: configuration, keys, stores, disk, credentials. Exits 1 on a problem."""
    from orchestration.cli.doctor import run_doctor

    raise typer.Exit(run_doctor(Settings.load()))


@app.command()
def prepare() -> None:
    """Make ready what the services need, before they start: Dagster's folder, both databases, the models' manifest."""
    from orchestration.cli.prepare import run_prepare

    run_prepare(Settings.load())


@app.command()
def backup(folder: Annotated[Path, typer.Argument(file_okay=False, help="A new or empty folder.")]) -> None:
    """Write warehouse, ops database, landing zone and configuration into a folder. Keys are named, never copied."""
    from orchestration.cli.backup import run_backup

    raise typer.Exit(run_backup(Settings.load(), folder))


@app.command()
def backfill(
    first: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="The first business date.")],
    last: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="The last business date.")],
    integration: Annotated[str, typer.Argument(help="The account.")] = "",
    vendor: Annotated[str, typer.Option(help="Instead of an account: every enabled one of this vendor.")] = "",
    outlet: Annotated[str, typer.Option(help="Only this outlet, by our id.")] = "",
    source: Annotated[str, typer.Option(help="api, or landing: what reached us before, without a call.")] = "api",
    streams: Annotated[str, typer.Option(help="Only these streams, with commas between.")] = "",
    days: Annotated[int, typer.Option(min=1, help="Business dates that are read and loaded at a time.")] = 7,
    build: Annotated[bool, typer.Option("--build", help="Build and publish the marts at the end.")] = False,
    who: Annotated[str, typer.Option("--by", help="Who does it; kept in the audit log.")] = os.environ.get("USER", ""),
    as_json: AsJson = False,
) -> None:
    """Read a range of business dates again while nights go on. The same command goes on where a killed one was."""
    from ingestion.core.ops.backfills import Asked
    from orchestration.cli.backfill import run_backfill

    asked = Asked(integration, source, first.date(), last.date(), outlet, streams, days)
    raise typer.Exit(run_backfill(Settings.load(), asked, vendor=vendor, who=who, build=build, as_json=as_json))


@app.command()
def retention(
    apply: Annotated[bool, typer.Option("--apply", help="Delete it; without this it is only shown.")] = False,
    who: Annotated[str, typer.Option("--by", help="Who does it; kept in the audit log.")] = os.environ.get("USER", ""),
    as_json: AsJson = False,
) -> None:
    """What the policy of company.yaml lets go of the landing zone and the raw tables, and what stays, and why."""
    from orchestration.cli.retention import run_retention

    run_retention(Settings.load(), apply=apply, who=who, as_json=as_json)


@app.command()
def restore(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="What `c4 backup` wrote.")],
    who: Annotated[str, typer.Option("--by", help="Who restores; kept in the audit log.")] = os.environ.get("USER", ""),
) -> None:
    """Make everything from a backup, where nothing is yet. The key file must be back in its place first."""
    from orchestration.cli.backup import run_restore

    raise typer.Exit(run_restore(Settings.load(), folder, who))


@app.command()
def scaffold(
    vendor: Annotated[str, typer.Argument(help="Public vendor name, lower case with dashes.")],
) -> None:
    """Write a new vendor's folder, its staging models and its line in dbt_project.yml."""
    from ingestion.core.scaffold import scaffold as write
    from ingestion.core.settings import PROJECT_ROOT

    for path in write(vendor, PROJECT_ROOT):
        console.print(f"wrote {path}")


@credentials_app.command("set")
def credentials_set(
    integration_id: str,
    who: Annotated[str, typer.Option("--by", help="Who stores them; kept in the audit log.")] = os.environ.get(
        "USER", ""
    ),
) -> None:
    """Ask for each credential of an integration (nothing is echoed) and store them with AES-256-GCM."""
    from ingestion.core.platform import Platform

    platform = Platform.open(Settings.load())
    connector = platform.connector(integration_id)
    values = {name: typer.prompt(name, hide_input=True) for name in connector.credential_fields}
    if connector.webhooks is not None:
        name = connector.webhooks.authentic.secret
        values[name] = typer.prompt(f"{name} (empty for none)", hide_input=True, default="", show_default=False)
    more = [name for writer in connector.writers if writer.api for name in writer.api.credential_fields]
    more += connector.socket.credentials if connector.socket is not None else ()
    more += ["broker_url"] if platform.config.integration(integration_id).queue is not None else []
    for name in (name for name in more if name not in values):
        values[name] = typer.prompt(f"{name} (empty for none)", hide_input=True, default="", show_default=False)
    platform.ops.set_credentials(integration_id, values, who=who)
    console.print(f"stored {len(values)} credentials of {integration_id}")


@events_app.command("list")
def events_list(
    as_json: AsJson = False,
    state: Annotated[str | None, typer.Option(help="received, loaded, ignored, rejected or dead.")] = None,
    integration: Annotated[str | None, typer.Option(help="Only this account.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 50,
) -> None:
    """Events that vendors sent: what they are about and what became of them."""
    from orchestration.cli.live import list_events

    list_events(Settings.load(), state=state, integration=integration, limit=limit, as_json=as_json)


@events_app.command("replay")
def events_replay(
    seqs: Annotated[list[int] | None, typer.Argument(help="Numbers of events, as `c4 events list` shows them.")] = None,
    state: Annotated[str | None, typer.Option(help="All that ended so, for example dead.")] = None,
    integration: Annotated[str | None, typer.Option(help="All of this account.")] = None,
) -> None:
    """Have events loaded again by `c4 live`, whatever became of them. An event that is outdated changes nothing."""
    from orchestration.cli.live import replay_events

    raise typer.Exit(replay_events(Settings.load(), seqs=seqs, state=state, integration=integration))


@tokens_app.command("create")
def tokens_create(
    name: Annotated[str, typer.Argument(help="Whom or what it is for.")],
    scopes: Annotated[list[str], typer.Option("--scope", help="stats, upload, manual or connect; may be repeated.")],
    days: Annotated[int | None, typer.Option(min=1, help="Days that it is good for; without it until revoked.")] = 365,
    who: Annotated[str, typer.Option("--by", help="Who makes it; kept in the audit log.")] = os.environ.get("USER", ""),
) -> None:
    """Make a token and show it, this once."""
    from orchestration.cli.live import create_token

    raise typer.Exit(create_token(Settings.load(), name, scopes, days, who))


@tokens_app.command("list")
def tokens_list(as_json: AsJson = False) -> None:
    """Every token: whom it is for, what it may do, until when."""
    from orchestration.cli.live import list_tokens

    list_tokens(Settings.load(), as_json=as_json)


@tokens_app.command("revoke")
def tokens_revoke(
    token_id: str,
    who: Annotated[str, typer.Option("--by", help="Who ends it; kept in the audit log.")] = os.environ.get("USER", ""),
) -> None:
    """End a token at once."""
    from orchestration.cli.live import revoke_token

    raise typer.Exit(revoke_token(Settings.load(), token_id, who))


@rejects_app.command("list")
def rejects_list(as_json: AsJson = False, everything: Annotated[bool, typer.Option("--all")] = False) -> None:
    """What was rejected and is still open: record, field, rule, and where its bytes are kept."""
    from orchestration.cli.rejects import list_rejects

    list_rejects(Settings.load(), as_json=as_json, everything=everything)


@rejects_app.command("replay")
def rejects_replay(
    reject_id: Annotated[str | None, typer.Option("--id", help="One reject; all open ones without it.")] = None,
    mended: Annotated[
        Path | None,
        typer.Option("--with", exists=True, dir_okay=False, help="Mended bytes of that record or page."),
    ] = None,
) -> None:
    """Load rejected records again, from landing or from mended bytes. Exits 1 while some stay open."""
    from orchestration.cli.rejects import replay_rejects

    raise typer.Exit(replay_rejects(Settings.load(), reject_id, mended))


@journals_app.command("list")
def journals_list(
    as_json: AsJson = False,
    status: Annotated[str | None, typer.Option(help="Only this outbox status.")] = None,
    business_date: Annotated[str | None, typer.Option(help="Only this business date (YYYY-MM-DD).")] = None,
) -> None:
    """Documents in the outbox: reference, kind, status, the target's own number."""
    from orchestration.cli.journals import list_journals

    list_journals(Settings.load(), as_json=as_json, status=status, business_date=business_date)


@journals_app.command("show")
def journals_show(reference: str, as_json: AsJson = False) -> None:
    """One document with its lines and its history."""
    from orchestration.cli.journals import show_journal

    show_journal(Settings.load(), reference, as_json=as_json)


@journals_app.command("drill")
def journals_drill(
    reference: str,
    component: Annotated[str | None, typer.Option(help="Only this component, e.g. tender:qris.")] = None,
    limit: Annotated[int, typer.Option(help="Rows to show.")] = 50,
    as_json: AsJson = False,
) -> None:
    """The checks, punches and movements behind a document's lines."""
    from orchestration.cli.journals import drill_journal

    drill_journal(Settings.load(), reference, component=component, limit=limit, as_json=as_json)


@journals_app.command("approve")
def journals_approve(
    reference: str,
    who: Annotated[str, typer.Option("--by", help="Who approves; kept in the audit log.")] = os.environ.get("USER", ""),
) -> None:
    """Let a document that waits for a person be sent by the next night."""
    from orchestration.cli.journals import approve_journal

    raise typer.Exit(approve_journal(Settings.load(), reference, who))


def main() -> None:
    """Entry point: configuration errors are told in one line."""
    try:
        app()
    except ConfigError as error:
        Console(stderr=True).print(f"[red]configuration:[/red] {error}")
        sys.exit(2)
