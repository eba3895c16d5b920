"""`c4 rejects`: what did not fit, and trying it again."""

from __future__ import annotations

import getpass
import json as jsonlib
from pathlib import Path
from typing import Any

from ingestion.core import warehouse
from ingestion.core.mend import MendError
from ingestion.core.mend import replay_rejects as replay
from ingestion.core.platform import Platform
from ingestion.core.settings import Settings
from orchestration.cli.app import console, table

COLUMNS = ("reject_id", "integration_id", "stream", "kind", "record_key", "row", "field", "rule", "landing", "status")


def reject_rows(settings: Settings, everything: bool = False) -> list[dict[str, Any]]:
    """Rejects from the ops database, and codes without a mapping from the published marts."""
    rows = [
        {name: row[name] for name in COLUMNS}
        for row in Platform.open(settings).ops.rejects(status=None if everything else "open")
    ]
    return rows + _unmapped(settings)


def _unmapped(settings: Settings) -> list[dict[str, Any]]:
    with warehouse.published(settings) as marts:
        if marts is None:
            return []
        found = marts.execute('select domain, vendor, source_code, "rows", amount from mapping_exceptions').fetchall()
    return [
        {
            "reject_id": f"unmapped:{domain}:{code}",
            "integration_id": vendor,
            "stream": "",
            "kind": "unmapped",
            "record_key": code,
            "row": count,
            "field": domain,
            "rule": f"no mapping for this {domain.replace('_', ' ')}; {amount} waits in suspense",
            "landing": "",
            "status": "open",
        }
        for domain, vendor, code, count, amount in found
    ]


def list_rejects(settings: Settings, *, as_json: bool, everything: bool) -> None:
    rows = reject_rows(settings, everything)
    if as_json:
        print(jsonlib.dumps(rows, default=str))
    else:
        table("Rejects", rows, "none is open")


def replay_rejects(settings: Settings, reject_id: str | None, mended: Path | None) -> int:
    platform = Platform.open(settings)
    try:
        outcome = replay(
            platform, [reject_id] if reject_id else None, mended.read_bytes() if mended else None, getpass.getuser()
        )
    except MendError as error:
        console.print(f"[red]{error}[/red]")
        return 1
    console.print(f"{len(outcome.settled)} settled, {len(outcome.open)} still open")
    if outcome.settled:
        console.print("The next night (or `c4 import`) builds the marts with them.")
    return 1 if outcome.open else 0
