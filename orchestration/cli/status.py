"""`c4 status` and `c4 query`: how the nights stand, and what the marts say, for a person."""

from __future__ import annotations

import json as jsonlib
from typing import Any

from ingestion.core import warehouse
from ingestion.core.platform import Platform
from ingestion.core.settings import Settings
from orchestration.cli.app import console, table


def show_status(settings: Settings, *, as_json: bool) -> None:
    platform = Platform.open(settings)
    report = {
        "outlet_days": outlet_days(settings),
        "accounts": accounts(platform),
        "incidents": incidents(platform),
    }
    if as_json:
        print(jsonlib.dumps(report, default=str))
        return
    console.print(f"[dim]data {settings.data}   marts {warehouse.published_place(settings)}[/dim]")
    table("Outlet-days", report["outlet_days"], "no marts have been published yet: run a night")
    table("Accounts", report["accounts"], "nothing has been synced yet")
    table("Open incidents", report["incidents"], "none")


def run_query(settings: Settings, sql: str, *, limit: int, as_json: bool) -> int:
    """Print the first rows that a statement finds in the published marts, which nothing here can change."""
    try:
        with warehouse.published(settings) as marts:
            if marts is None:
                place = warehouse.published_place(settings)
                console.print(f"[red]no marts have been published in {place} yet:[/red] run a night, or c4 demo")
                return 1
            rows = warehouse.as_dicts(marts.execute(sql), limit)
    except warehouse.SqlError as error:
        console.print(f"[red]{str(error).strip()}[/red]", highlight=False)
        return 1
    if as_json:
        print(jsonlib.dumps(rows, default=str))
    else:
        table(f"{len(rows)} rows" + (" (first ones; see --limit)" if len(rows) == limit else ""), rows, "no rows")
    return 0


def outlet_days(settings: Settings) -> list[dict[str, Any]]:
    """States with counts and the commonest reason, from the published marts."""
    with warehouse.published(settings) as marts:
        if marts is None:
            return []
        return warehouse.rows(
            marts,
            "select state, coalesce(reason, '') as reason, count(*) as outlet_days, "
            "min(business_date) as first_date, max(business_date) as last_date "
            "from outlet_days group by 1, 2 order by 1, 3 desc",
        )


def accounts(platform: Platform) -> list[dict[str, Any]]:
    """The last run of each integration's streams, summed."""
    latest: dict[str, dict[str, Any]] = {}
    for row in platform.ops.snapshot()["sync_runs"][1]:
        known = latest.get(row["integration_id"])
        if known is None or row["run_id"] > known["run_id"]:
            known = latest[row["integration_id"]] = {
                "run_id": row["run_id"],
                "integration": row["integration_id"],
                "status": row["status"],
                "finished_at": row["finished_at"],
                "rows": 0,
                "rejects": 0,
                "error": "",
            }
        if row["run_id"] == known["run_id"]:
            known["rows"] += row["rows"]
            known["rejects"] += row["rejects"]
            known["error"] = known["error"] or row["error"]
    return [{name: value for name, value in row.items() if name != "run_id"} for _, row in sorted(latest.items())]


def incidents(platform: Platform) -> list[dict[str, Any]]:
    return [
        {
            "since": item.opened_at,
            "severity": item.incident.severity.name.lower(),
            "what": item.incident.title,
            "touches": item.incident.touches,
            "what to do": item.incident.todo,
        }
        for item in platform.ops.incidents.current()
    ]
