"""`c4 serve`, `c4 listen`, `c4 live`, `c4 events`, `c4 tokens`: what vendors send us, from the door to the mart."""

from __future__ import annotations

import json as jsonlib
import signal
import threading
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

from assets.dbt import DbtError
from assets.live import refresh_live
from ingestion.core import warehouse
from ingestion.core.live import LiveReport, keep_current, load_waiting
from ingestion.core.ops.leases import LeaseHeldError, LeaseLostError, lease
from ingestion.core.platform import Platform
from ingestion.core.settings import Settings
from orchestration.cli.app import console, table

KEPT = timedelta(days=30)  # that a loaded event stays in the inbox


def run_receiver(settings: Settings, host: str, port: int, public_url: str) -> None:
    from ingestion.receiver.app import create_app
    from ingestion.receiver.server import run

    run(create_app(Platform.open(settings), public_url=public_url), host, port)


def run_listen() -> int:
    """Hold every socket, queue and poll of the company until interrupted. Returns 1 where another process does."""
    from ingestion.receiver.listen import Listener

    stop = _interrupted()
    platform = Platform.open(Settings.load())
    try:
        with lease(platform.ops.sessions, "listen", platform.ops.now) as held:
            Listener(platform, stop).run(held.renew)
    except (LeaseHeldError, LeaseLostError) as error:
        console.print(f"[red]{error}[/red]")
        return 1
    return 0


def _interrupted() -> threading.Event:
    """Set when somebody asks the process to end."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def run_live(*, once: bool, every: float, as_json: bool) -> int:
    """Load batch after batch and refresh the live marts until interrupted; failures are tried again after growing
    pauses. Returns whether the last round failed.
    """
    stop = _interrupted()
    ops = Platform.open(Settings.load()).ops
    inbox = ops.inbox
    try:
        with lease(ops.sessions, "live", ops.now) as held:

            def load(without: Collection[str]) -> list[LiveReport]:
                held.renew()
                reports = load_waiting(_today(), inbox, without=without)
                _show(reports, as_json)
                return reports

            def refresh() -> bool:
                held.renew()
                return _refreshed(_today())

            def wait(seconds: float) -> bool:
                inbox.forget(KEPT)
                return stop.wait(seconds)

            well = keep_current(load, refresh, every=every, once=once, wait=wait)
    except (LeaseHeldError, LeaseLostError) as error:
        console.print(f"[red]{error}[/red]")
        return 1
    return 0 if well else 1


def _today() -> Platform:
    """The platform with today's configuration and time."""
    return Platform.open(Settings.load())


def _refreshed(platform: Platform) -> bool:
    """Bring the live marts up to date; False, with the reason told, where that failed."""
    try:
        refresh_live(platform)
    except (DbtError, warehouse.WarehouseBusyError, *warehouse.SqlError) as error:
        console.print(f"[red]the live marts are not current:[/red] {error}", highlight=False)
        return False
    return True


def _show(reports: Sequence[LiveReport], as_json: bool) -> None:
    for report in reports:
        told = {"integration": report.integration_id, **report.states, "error": report.error}
        if as_json:
            print(jsonlib.dumps(told), flush=True)
        else:
            console.print("  ".join(f"{name} {value}" for name, value in told.items() if value))


def list_events(settings: Settings, *, state: str | None, integration: str | None, limit: int, as_json: bool) -> None:
    rows = Platform.open(settings).ops.inbox.events(state=state, integration_id=integration, limit=limit)
    if as_json:
        print(jsonlib.dumps(rows, default=str))
        return
    shown = ("seq", "received_at", "integration_id", "event_type", "outlet", "object_key", "state", "attempts", "error")
    table("Events", [{name: row[name] for name in shown} for row in rows], "none")


def replay_events(settings: Settings, *, seqs: Sequence[int] | None, state: str | None, integration: str | None) -> int:
    ops = Platform.open(settings).ops
    try:
        count = ops.inbox.replay(seqs=seqs, state=state, integration_id=integration)
    except ValueError as error:
        console.print(f"[red]{error}[/red]")
        return 1
    console.print(f"{count} events will be loaded again by `c4 live`")
    return 0 if count else 1


def create_token(settings: Settings, name: str, scopes: Sequence[str], days: int | None, who: str) -> int:
    try:
        token = Platform.open(settings).ops.tokens.create(name, scopes, who, days)
    except ValueError as error:
        console.print(f"[red]{error}[/red]")
        return 1
    console.print("This token is not shown again:")
    print(token)
    return 0


def list_tokens(settings: Settings, *, as_json: bool) -> None:
    rows: list[dict[str, Any]] = Platform.open(settings).ops.tokens.all()
    if as_json:
        print(jsonlib.dumps(rows, default=str))
    else:
        table("Tokens", rows, "none")


def revoke_token(settings: Settings, token_id: str, who: str) -> int:
    ended = Platform.open(settings).ops.tokens.revoke(token_id, who)
    console.print(f"{token_id} is revoked" if ended else f"[red]there is no token {token_id} that is still good[/red]")
    return 0 if ended else 1
