"""`c4 retention`: what may be forgotten, and forgetting it."""

from __future__ import annotations

import json as jsonlib
from dataclasses import asdict

from ingestion.core import retention
from ingestion.core.platform import Platform
from ingestion.core.settings import Settings
from orchestration.cli.app import console, table


def run_retention(settings: Settings, *, apply: bool, who: str, as_json: bool) -> None:
    """Show what may go, or delete it."""
    platform = Platform.open(settings)
    report = retention.apply(platform, who) if apply else retention.review(platform)
    stays = [
        {"integration_id": account, "stream": stream, "batches": count, "reason": reason}
        for (account, stream, reason), count in sorted(report.stays.items())
    ]
    if as_json:
        told = {
            "applied": apply,
            "landing": [asdict(item) for item in report.old],
            "raw": [asdict(item) for item in report.replaced],
            "stays": stays,
        }
        print(jsonlib.dumps(told, default=str))
        return
    verb = "Gone" if apply else "May go"
    table(
        f"{verb}: landing batches",
        [
            {
                "account": item.integration_id,
                "stream": item.stream,
                "batches": len(item.batches),
                "MiB": round(item.bytes / 2**20, 2),
                "from": item.first,
                "to": item.last,
                "records that only a backup restores then": item.raw_rows,
            }
            for item in report.old
        ],
    )
    table(
        f"{verb}: raw rows that no model reads",
        [
            {"account": item.integration_id, "table": f"{item.dataset}.{item.table}", "rows": item.rows}
            for item in report.replaced
        ],
    )
    table("Old, but stays", stays)
    if not apply and (report.old or report.replaced):
        console.print("Nothing was changed. With --apply it is deleted; take a backup first (c4 backup).")
