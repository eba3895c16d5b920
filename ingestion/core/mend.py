"""Replaying rejects: the rejected records of landed pages again, as they came or mended by a person.

Only rejected rows are loaded again. Their neighbours on the page may have newer versions in the warehouse, which an
old page must not overwrite; a rejected record has none, for its next good delivery would have settled the reject.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ingestion.core.platform import Platform
from ingestion.core.spec import Stream
from ingestion.core.sync import replay


class MendError(Exception):
    """This reject cannot be replayed that way; the message says what to do instead."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a replay came to: ids of rejects that are settled, and of those that still do not fit."""

    settled: list[str]
    open: list[str]


def replay_rejects(
    platform: Platform, reject_ids: Sequence[str] | None = None, mended: bytes | None = None, who: str = "replay"
) -> Outcome:
    """Load open rejects again (all, or those named). `mended` replaces the bytes of the one reject named.

    Raises MendError for an unknown id, or bytes that cannot stand for the reject.
    """
    chosen = {str(row["reject_id"]): row for row in platform.ops.rejects(status="open")}
    if reject_ids is not None:
        unknown = [name for name in reject_ids if name not in chosen]
        if unknown:
            raise MendError(f"there is no open reject {unknown[0]}")
        chosen = {name: chosen[name] for name in reject_ids}
    if mended is not None and len(chosen) != 1:
        raise MendError("mended bytes need exactly one reject: name it with --id")
    pages: dict[tuple[str, str], dict[str, list[dict[str, Any]]]] = {}
    for row in chosen.values():
        if "#" in str(row["landing"]):
            place = (str(row["integration_id"]), str(row["stream"]))
            pages.setdefault(place, {}).setdefault(str(row["landing"]), []).append(row)
        elif mended is not None:
            raise MendError("this reject is a row of a file: mend the file and import or deliver it again")
    failing: dict[str, set[str]] = {}
    for (integration_id, name), by_page in pages.items():
        stream = platform.connector(integration_id).stream(name)
        patched = {
            reference: _page(stream, platform.landing.page(reference).content, rows, mended)
            for reference, rows in by_page.items()
        }
        report = replay(platform, integration_id, only=[name], references=by_page, patched=patched)
        for reject, reference in report.streams[0].rejects:
            failing.setdefault(reference, set()).add(reject.record_key)
    settled = [name for name, row in chosen.items() if _settled(row, failing)]
    for name in settled:
        platform.ops.resolve_reject(name, who, "replayed")
    return Outcome(settled, [name for name in chosen if name not in settled])


def _settled(row: dict[str, Any], failing: dict[str, set[str]]) -> bool:
    """Whether the replay took the record: nothing on its page failed, or only records with other keys did."""
    if "#" not in str(row["landing"]):
        return False
    keys = failing.get(str(row["landing"]), set())
    return not keys or ("" not in keys and row["record_key"] not in keys and row["kind"] == "record")


def _page(stream: Stream, content: bytes, rejects: Sequence[dict[str, Any]], mended: bytes | None) -> bytes:
    """A page that holds only what was rejected."""
    if any(row["kind"] == "page" for row in rejects):
        return content if mended is None else mended
    if stream.rows is not None:
        raise MendError(f"{stream.name} is not JSON: replay its whole batch instead")
    records = [mended] if mended is not None else _records(stream, content, {int(row["row"]) for row in rejects})
    body: Any = [msgspec.Raw(record) for record in records]
    for step in reversed(stream.records.split(".") if stream.records else []):
        body = {step: body}
    return msgspec.json.encode(body)


def _records(stream: Stream, content: bytes, rows: set[int]) -> list[bytes]:
    """The given records (from 1) of a page."""
    found = msgspec.Raw(content)
    for step in stream.records.split(".") if stream.records else []:
        found = msgspec.json.decode(found, type=dict[str, msgspec.Raw])[step]
    if bytes(found).lstrip()[:1] != b"[":
        return [bytes(found)]
    listed = msgspec.json.decode(found, type=list[msgspec.Raw])
    return [bytes(record) for number, record in enumerate(listed, start=1) if number in rows]
