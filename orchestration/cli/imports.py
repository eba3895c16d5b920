"""`c4 import`: one file of sales, straight into the published marts."""

from __future__ import annotations

import json as jsonlib
import time
from decimal import Decimal
from pathlib import Path

from rich.console import Console

from assets.build import build_marts
from ingestion.core import warehouse
from ingestion.core.platform import Platform
from ingestion.core.settings import Settings
from ingestion.vendors.files.importer import import_file
from orchestration.cli.app import table


def run_import(settings: Settings, file: Path, mapping: Path, *, as_json: bool) -> int:
    """Load, build, publish, and say what the marts now hold of this integration. Returns the exit status."""
    console = Console(stderr=as_json)
    started = time.monotonic()
    with console.status(f"reading {file.name}"):
        report = import_file(settings, file, mapping)
    with console.status("building the marts"):
        build_marts(Platform.open(report.settings))
    with warehouse.published(report.settings) as marts:
        assert marts is not None  # just published
        row = marts.execute(
            """
            select count(distinct c.check_id), coalesce(sum(l.lines), 0), coalesce(sum(l.net_sales), 0),
                min(c.business_date), max(c.business_date)
            from fct_checks as c
            left join (
                select integration_id, check_id, count(*) as lines, sum(net_sales) as net_sales
                from fct_check_lines group by 1, 2
            ) as l on l.integration_id = c.integration_id and l.check_id = c.check_id
            where c.integration_id = ? and not c.is_voided
            """,
            [report.integration_id],
        ).fetchone()
        unbalanced = marts.execute("select count(*) from journals where not is_balanced").fetchone()
        journals = marts.execute("select count(*) from journals").fetchone()
    assert row is not None
    assert unbalanced is not None
    assert journals is not None
    result = {
        "file": file.name,
        "integration_id": report.integration_id,
        "status": report.status,
        "rows_loaded": report.rows,
        "rejects": report.rejects,
        "checks": row[0],
        "sales_lines": int(row[1]),
        "net_sales": str(Decimal(row[2]).quantize(Decimal("0.01"))),
        "first_business_date": str(row[3]),
        "last_business_date": str(row[4]),
        "journals": journals[0],
        "unbalanced_journals": unbalanced[0],
        "marts": warehouse.published_place(report.settings),
        "seconds": round(time.monotonic() - started, 1),
    }
    if as_json:
        print(jsonlib.dumps(result))
    else:
        table(f"{file.name} in the marts", [result])
        if report.rejects:
            console.print(f"{report.rejects} rows did not fit: see `c4 rejects list`")
    return 0 if not report.error and not unbalanced[0] else 1
