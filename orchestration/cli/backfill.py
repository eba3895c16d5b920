"""`c4 backfill`: a range of business dates again, with its progress."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Iterable
from dataclasses import asdict, replace

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ingestion.core import progress
from ingestion.core.backfill import BackfillError, BackfillReport, Slice, backfill
from ingestion.core.config import ConfigError
from ingestion.core.landing import LandingError
from ingestion.core.ops.backfills import Asked
from ingestion.core.ops.leases import LeaseHeldError, LeaseLostError
from ingestion.core.platform import Platform
from ingestion.core.settings import Settings
from orchestration.cli.app import console, table

TROUBLE = (BackfillError, ConfigError, LandingError, LeaseHeldError, LeaseLostError)


def run_backfill(settings: Settings, asked: Asked, *, vendor: str, who: str, build: bool, as_json: bool) -> int:
    """Backfill one account, or every enabled one of a vendor. Returns the exit status."""
    platform = Platform.open(settings)
    accounts = [asked.integration_id] if asked.integration_id else _accounts(platform, vendor, asked.outlet)
    reports = []
    try:
        if not accounts:
            raise BackfillError("name an account, or with --vendor a vendor that has one")
        for integration_id in accounts:
            reports.append(_shown(platform, replace(asked, integration_id=integration_id), who))
    except TROUBLE as error:
        console.print(f"[red]{error}[/red]", soft_wrap=True)
        return 1
    finished = all(report.is_finished for report in reports)
    if build and finished:
        from assets.build import build_marts  # imports dbt

        with console.status("building the marts"):
            build_marts(platform)
    if as_json:
        print(jsonlib.dumps([asdict(report) for report in reports]))
        return 0 if finished else 1
    shown = ("integration_id", "slices", "resumed", "rows", "rejects", "is_finished")
    table("Backfill", [{name: getattr(report, name) for name in shown} for report in reports])
    for problem in (f"{report.integration_id} {line}" for report in reports for line in report.problems):
        console.print(f"[red]{problem}[/red]", soft_wrap=True)
    if not finished:
        console.print("The same command goes on with what is left.")
    elif not build:
        console.print("The next night builds the marts with it and corrects what was posted.")
    return 0 if finished else 1


def _accounts(platform: Platform, vendor: str, outlet: str) -> Iterable[str]:
    """The vendor's enabled accounts; of those, the ones that have the outlet where one is named."""
    return [
        integration.integration_id
        for integration in platform.integrations(vendor)
        if not outlet or outlet in integration.outlets.values()
    ]


def _shown(platform: Platform, asked: Asked, who: str) -> BackfillReport:
    """One backfill under a bar: slices, and the pages of the one that is being read."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]:<44}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        bar = bars.add_task(asked.integration_id, total=None, note="")
        pages = 0

        def on_slice(piece: Slice, done: int, total: int) -> None:
            nonlocal pages
            pages = 0
            bars.update(bar, completed=done, total=total, note=f"{piece.first} to {piece.last}")

        def on_page(integration_id: str, stream: str, count: int) -> None:
            nonlocal pages
            if integration_id == asked.integration_id:
                pages += count
                bars.update(bar, note=f"{stream}, {pages} pages")

        silence = progress.listen(on_page)
        try:
            return backfill(platform, asked, who, on_slice)
        finally:
            silence()
