"""The connector index, derived from the registry: for `c4 connectors` and docs/connectors.md."""

from __future__ import annotations

from typing import Any

from ingestion.core.registry import connectors
from ingestion.core.spec import Connector, Evidence

PREFACE = """# Connectors

Generated from the registry by `c4 connectors --markdown`; do not edit. Evidence says how sure a contract is:
published spec, vendor documentation, client code, or inferred.
"""


def rows() -> list[dict[str, Any]]:
    """One dictionary per connector: vendor, category, streams with tables and evidence, live, writes."""
    return [
        {
            "vendor": connector.name,
            "title": connector.title,
            "category": str(connector.category),
            "dataset": connector.dataset,
            "limit_per_second": connector.limit.per_second,
            "limit_evidence": str(connector.limit.evidence),
            "streams": [
                {
                    "name": stream.name,
                    "tables": [table.name for table in stream.tables],
                    "key": list(stream.root.key),
                    "incremental": stream.cursor is not None,
                    "evidence": str(stream.evidence),
                }
                for stream in connector.streams
            ],
            "live": connector.live,
            "writes": ", ".join(kind for kind, _ in _writes(connector)),
            "writes_evidence": ", ".join(dict.fromkeys(str(evidence) for _, evidence in _writes(connector))),
        }
        for connector in connectors().values()
    ]


def _writes(connector: Connector) -> list[tuple[str, Evidence | None]]:
    journals = [("journals", connector.journals_evidence)] if connector.journals else []
    return [*journals, *((writer.kind, writer.evidence) for writer in connector.writers)]


def markdown() -> str:
    """The index as a page."""
    parts = [PREFACE]
    for row in rows():
        parts.append(f"## {row['title']} (`{row['vendor']}`, {row['category']})\n")
        parts.append(
            f"Raw dataset `{row['dataset']}`; at most {row['limit_per_second']:g} requests a second "
            f"({row['limit_evidence']}). API inventory: "
            f"[README](../ingestion/vendors/{row['vendor'].replace('-', '_')}/README.md).\n"
        )
        parts.append("| stream | raw tables | key | incremental | evidence |\n|---|---|---|---|---|")
        for stream in row["streams"]:
            parts.append(
                f"| {stream['name']} | {', '.join(stream['tables'])} | {', '.join(stream['key'])} "
                f"| {'cursor' if stream['incremental'] else 'window or full'} | {stream['evidence']} |"
            )
        written = f"{row['writes']} ({row['writes_evidence']})." if row["writes"] else "-"
        parts.append(f"\nWrites: {written}")
        if row["live"]:
            parts.append(f"\nLive: {row['live']}.")
        parts.append("")
    return "\n".join(parts)
