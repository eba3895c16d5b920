"""Sales files in a drop folder, or imported one by one: CSV, TSV, JSON, NDJSON, XML and XLSX by a YAML mapping.

A check shows in staging only beside the `files` row of the same reading: what a correction dropped is gone.
"""

from __future__ import annotations

from ingestion.core.spec import Category, Connector, Evidence, Limit, Stream, Table
from ingestion.vendors.files.records import Check, CheckLine, CheckPayment, ControlTotal, File
from ingestion.vendors.files.transport import fetch_checks, fetch_files

CONNECTOR = Connector(
    name="files",
    category=Category.FILES,
    title="Sales files",
    limit=Limit(per_second=1000, concurrent=2),
    streams=(
        Stream(
            name="checks",
            description="Checks of the files in the drop folder, as their mapping reads them.",
            tables=(
                Table("checks", Check, key=("path", "check_id")),
                Table("check_lines", CheckLine, key=("line_id",), path="lines"),
                Table("check_payments", CheckPayment, key=("payment_id",), path="payments"),
            ),
            fetch=fetch_checks,
            marks_complete=True,
            evidence=Evidence.INFERRED,
        ),
        Stream(
            name="files",
            description="Each file name with its current reading and the control totals of its own cells.",
            tables=(
                Table("files", File, key=("path",)),
                Table(
                    "control_totals",
                    ControlTotal,
                    key=("outlet", "control_date", "measure"),
                    path="control_totals",
                ),
            ),
            fetch=fetch_files,
            evidence=Evidence.INFERRED,
        ),
    ),
)
