"""`c4 prices` and `c4 schedules`: what is to change at the tills, from a sheet to what the till shows."""

from __future__ import annotations

import json as jsonlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ingestion.core.platform import Platform
    from ingestion.core.writes import Change, Difference, WriteKind

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
Sheet = Annotated[Path, typer.Argument(help="CSV or YAML; docs/write-backs.md has its columns.")]
Who = Annotated[str, typer.Option("--by", help="Who does it; kept in the audit log.")]
USER = os.environ.get("USER", "")


def commands(kind: str) -> typer.Typer:
    """The commands of one kind of change: preview, submit, list, show, approve, withdraw, send."""
    app = typer.Typer(no_args_is_help=True, help=f"Change {kind} at the tills: preview, approve, send, read back.")

    @app.command()
    def preview(file: Sheet, as_json: AsJson = False) -> None:
        """What a sheet would change, against what the tills hold now. Writes nothing; exits 1 if a row is refused."""
        raise typer.Exit(_preview(kind, file, as_json))

    @app.command()
    def submit(file: Sheet, who: Who = USER, as_json: AsJson = False) -> None:
        """Put a sheet's changes into the outbox, all or none. A person approves them, unless a rule does."""
        raise typer.Exit(_submit(kind, file, who, as_json))

    @app.command(name="list")
    def list_(
        as_json: AsJson = False,
        status: Annotated[str | None, typer.Option(help="Only this outbox status.")] = None,
    ) -> None:
        """Changes with their status, the latest submission last."""
        _list(kind, status, as_json)

    @app.command()
    def show(reference: str, as_json: AsJson = False) -> None:
        """One change, or the changes of a submission, with the history of each."""
        _show(kind, reference, as_json)

    @app.command()
    def approve(reference: str, who: Who = USER) -> None:
        """Let a change, or all of a submission, be sent by the next run."""
        raise typer.Exit(_release(kind, "approve", reference, who))

    @app.command()
    def withdraw(reference: str, who: Who = USER) -> None:
        """Take back a change, or all of a submission, that was not sent."""
        raise typer.Exit(_release(kind, "withdraw", reference, who))

    @app.command()
    def send(as_json: AsJson = False) -> None:
        """Send what is approved and due now, as the night does. Exits 1 if something did not get through."""
        raise typer.Exit(_send(kind, as_json))

    return app


def _opened(kind: str) -> tuple[Platform, WriteKind]:
    from ingestion.core.platform import Platform
    from ingestion.core.settings import Settings
    from ingestion.core.writes import WriteKind

    return Platform.open(Settings.load()), WriteKind(kind)


def _differences(platform: Platform, kind: WriteKind, file: Path) -> list[Difference]:
    from ingestion.core.writes import preview, read_sheet, writer_of

    return preview(platform, kind, read_sheet(kind, file), lambda account: writer_of(platform, kind, account))


def _rows(differences: list[Difference]) -> list[dict[str, Any]]:
    return [
        {
            "place": item.place,
            "outlet": item.outlet_id,
            "subject": item.wish.subject,
            "name": item.label,
            "old": item.old or None,
            "new": item.wish.value,
            "percent": item.percent,
            "valid_from": item.valid_from,
            "says": item.refusal or ("" if item.changes else "no change") or item.by_rule or "a person approves",
        }
        for item in differences
    ]


def _preview(name: str, file: Path, as_json: bool) -> int:
    from ingestion.core.errors import ApiError
    from orchestration.cli.app import console, table

    platform, kind = _opened(name)
    try:
        differences = _differences(platform, kind, file)
    except ApiError as error:
        console.print(f"[red]{error}[/red]")
        return 1
    refused = [item for item in differences if item.refusal]
    if as_json:
        print(jsonlib.dumps(_rows(differences), default=str))
    else:
        table(f"{file.name} against the tills", _rows(differences))
        changing = sum(item.changes for item in differences if not item.refusal)
        console.print(f"{changing} changes, {len(refused)} refused")
    return 1 if refused else 0


def _submit(name: str, file: Path, who: str, as_json: bool) -> int:
    from ingestion.core.errors import ApiError
    from ingestion.core.outbox.states import BookError
    from ingestion.core.writes import submit
    from orchestration.cli.app import console, table

    platform, kind = _opened(name)
    try:
        changes = submit(platform.ops, _differences(platform, kind, file), who)
    except (ApiError, BookError, ValueError) as error:
        console.print(f"[red]nothing was submitted: {error}[/red]")
        return 1
    if as_json:
        print(jsonlib.dumps([_listed(change) for change in changes], default=str))
        return 0
    table("Submitted", [_listed(change) for change in changes], "the tills hold it all, or it waits already")
    waiting = {change.submission for change in changes if not change.approved_by}
    for submission in sorted(waiting):
        console.print(f"a person approves: c4 {kind} approve {submission} --by NAME")
    return 0


def _listed(change: Change) -> dict[str, Any]:
    return {
        "reference": change.reference,
        "document_key": change.document_key,
        "submission": change.submission,
        "old": change.old or None,
        "new": change.new,
        "valid_from": change.valid_from,
        "status": str(change.status),
        "approved_by": change.approved_by,
        "reason": change.reason,
    }


def _list(name: str, status: str | None, as_json: bool) -> None:
    from ingestion.core.outbox.states import Status
    from ingestion.core.writes import changes_of
    from orchestration.cli.app import table

    platform, kind = _opened(name)
    try:
        wanted = [Status(status)] if status else []
    except ValueError as error:
        raise SystemExit(f"--status: {status} is none of {', '.join(Status)}") from error
    rows = [_listed(change) for change in changes_of(platform.ops, kind, statuses=wanted)]
    if as_json:
        print(jsonlib.dumps(rows, default=str))
    else:
        table(str(kind).capitalize(), rows, "none")


def _show(name: str, reference: str, as_json: bool) -> None:
    from ingestion.core.outbox import history
    from ingestion.core.writes import named
    from orchestration.cli.app import table

    platform, kind = _opened(name)
    try:
        found = named(platform.ops, reference, kind)
    except LookupError as error:
        raise SystemExit(f"{error}; see `c4 {kind} list`") from error
    told = [
        (
            _listed(change) | {"account": change.target, "name": change.label},
            [
                {"at": event.at, "status": event.status, "detail": event.detail}
                for event in history(platform.ops, change.reference)
            ],
        )
        for change in found
    ]
    if as_json:
        print(jsonlib.dumps([{"change": row, "history": events} for row, events in told], default=str))
        return
    for row, events in told:
        table(f"{row['document_key']} ({row['reference']})", [row])
        table("History", events)


def _release(name: str, action: str, reference: str, who: str) -> int:
    from ingestion.core import writes
    from ingestion.core.outbox.states import BookError
    from orchestration.cli.app import console

    platform, kind = _opened(name)
    try:
        if action == "approve":
            own = platform.config.write_rules.approve_own
            changes = writes.approve(platform.ops, reference, who, kind, own=own)
        else:
            changes = writes.withdraw(platform.ops, reference, who, kind)
    except (BookError, LookupError, ValueError) as error:
        console.print(f"[red]{error}[/red]")
        return 1
    told = "released; the next night sends them" if action == "approve" else "withdrawn"
    console.print(f"{', '.join(change.document_key for change in changes)}: {told}")
    return 0


def _send(name: str, as_json: bool) -> int:
    from ingestion.core.ops.leases import LeaseHeldError
    from ingestion.core.writes import accounts, send_changes
    from orchestration.cli.app import console, table

    platform, kind = _opened(name)
    try:
        results = [send_changes(platform, kind, account) for account in accounts(platform, kind)]
    except LeaseHeldError as error:
        console.print(f"[red]{error}[/red]")
        return 1
    rows = [
        {
            "account": result.target,
            "posted": len(result.posted),
            "confirmed": len(result.confirmed),
            "waiting": len(result.waiting),
            "back_to_approval": len(result.drifted),
            "problems": [f"{problem.title}. {problem.todo}" for problem in result.problems],
        }
        for result in results
    ]
    if as_json:
        print(jsonlib.dumps(rows, default=str))
    else:
        table(f"{str(kind).capitalize()} sent", [{**row, "problems": "; ".join(row["problems"])} for row in rows])  # type: ignore[arg-type]
    return 0 if all(result.ok for result in results) else 1
