"""`c4 journals`: documents in the outbox, their lines, the sources behind a line, approval."""

from __future__ import annotations

import json as jsonlib
from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ingestion.core import warehouse
from ingestion.core.outbox import approve, history
from ingestion.core.outbox.states import SETTLED, BookError
from ingestion.core.platform import Platform
from ingestion.core.settings import Settings
from orchestration.cli.app import console, table

KEY = ("entity_id", "outlet_id", "business_date", "journal_type")
SUMS = ("this document", "in the books", "sources")
LISTED = ("reference", "document_key", "target", "posting_date", "total_debit", "status", "external_id")

Rows = list[dict[str, Any]]


def _outbox(platform: Platform) -> tuple[Rows, Rows]:
    """Every document, and every line."""
    tables = platform.ops.snapshot()
    return tables["outbox"][1], tables["outbox_lines"][1]


def list_journals(settings: Settings, *, as_json: bool, status: str | None, business_date: str | None) -> None:
    documents, _ = _outbox(Platform.open(settings))
    rows = [
        {name: row[name] for name in LISTED}
        for row in documents
        if (status is None or row["status"] == status)
        and (business_date is None or str(row["business_date"]) == business_date)
    ]
    if as_json:
        print(jsonlib.dumps(rows, default=str))
    else:
        table("Journals", rows, "none")


def _find(documents: Rows, reference: str) -> dict[str, Any]:
    for row in documents:
        if reference in (row["reference"], row["document_key"]):
            return row
    raise SystemExit(f"no document {reference}; see `c4 journals list`")


def show_journal(settings: Settings, reference: str, *, as_json: bool) -> None:
    platform = Platform.open(settings)
    documents, booked = _outbox(platform)
    document = _find(documents, reference)
    lines = [
        {
            "line": line["line_no"],
            "account": line["account_code"],
            "in target": line["target_account"],
            "component": line["component"],
            "debit": line["amount"] if line["amount"] > 0 else None,
            "credit": -line["amount"] if line["amount"] < 0 else None,
        }
        for line in booked
        if line["reference"] == document["reference"]
    ]
    events = [
        {"at": event.at, "status": event.status, "detail": event.detail}
        for event in history(platform.ops, document["reference"])
    ]
    if as_json:
        print(jsonlib.dumps({"document": document, "lines": lines, "history": events}, default=str))
        return
    table(
        f"{document['document_key']} ({document['reference']})",
        [{name: document[name] for name in (*LISTED[2:], "kind", "line_count")}],
    )
    table("Lines", lines)
    table("History", events)


def drill_journal(settings: Settings, reference: str, *, component: str | None, limit: int, as_json: bool) -> None:
    """What a document's journal is made of: by line what this document says, what is in the books of all documents that
    posted and corrected the journal, and what the sources come to, as the marts have them now; then those sources.
    Amounts are in the entity's currency, debit positive.
    """
    documents, booked = _outbox(Platform.open(settings))
    document = _find(documents, reference)
    same = {row["reference"]: row for row in documents if all(row[name] == document[name] for name in KEY)}
    sql = """
        select component, account_code, source_type, source_id, amount
        from journal_line_sources
        where entity_id = ? and outlet_id = ? and business_date = ? and journal_type = ?
            and (cast(? as varchar) is null or component = ?)
        order by component, source_type, source_id
    """
    with warehouse.published(settings) as marts:
        key = [document[name] for name in KEY]
        rows = warehouse.rows(marts, sql, [*key, component, component]) if marts is not None else []
    made_of = _made_of(document["reference"], same, booked, rows)
    lines = [line for line in made_of if component in (None, line["component"])]
    if as_json:
        print(jsonlib.dumps({"document": document, "lines": lines, "sources": rows}, default=str))
        return
    table(f"What {document['document_key']} is made of", lines)
    if open_lines := [line for line in lines if line["in the books"] != line["sources"]]:
        console.print(
            f"{len(open_lines)} lines of the books differ from their sources: a correction is on its way or held"
        )
    table("Sources", rows[:limit])
    console.print(f"{len(rows)} source rows; {max(len(rows) - limit, 0)} not shown")


def _made_of(reference: str, same: Mapping[str, Mapping[str, Any]], booked: Rows, sources: Rows) -> Rows:
    """`same`: the documents of one journal by reference."""
    sums: dict[tuple[str, str], dict[str, Decimal]] = defaultdict(lambda: dict.fromkeys(SUMS, Decimal(0)))
    for line in booked:
        if line["reference"] in same:
            at = sums[line["component"], line["account_code"]]
            if line["reference"] == reference:
                at["this document"] += line["amount"]
            if same[line["reference"]]["status"] in SETTLED:
                at["in the books"] += line["amount"]
    for row in sources:
        sums[row["component"], row["account_code"]]["sources"] += row["amount"]
    return [
        {"component": component, "account": account, **sums[component, account]}
        for component, account in sorted(sums)
        if any(sums[component, account].values())
    ]


def approve_journal(settings: Settings, reference: str, who: str) -> int:
    platform = Platform.open(settings)
    try:
        documents, _ = _outbox(platform)
        released = approve(platform.ops, _find(documents, reference)["reference"], who)
    except (BookError, LookupError, ValueError) as error:
        console.print(f"[red]{error}[/red]")
        return 1
    console.print(f"released {', '.join(released)}; the next night sends them")
    return 0
