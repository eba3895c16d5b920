"""Replaying rejects: the rejected records of landed pages again, as they came or mended by a person.

Only rejected records are loaded again. Their neighbours on the page may have newer versions in the warehouse, which
an old page must not overwrite; a rejected record has none, for its next good delivery would have settled the reject.
A page that could not be read at all is loaded whole: its scope has not been read since, or the reject were settled.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ingestion.core.landing import LandingError
from ingestion.core.platform import Platform
from ingestion.core.records import PageDecoder
from ingestion.core.spec import Stream
from ingestion.core.sync import Pick, replay

log = logging.getLogger(__name__)

Row = dict[str, Any]  # a reject as the ops database has it


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
    """Load open rejects again (all, or those named). `mended` replaces the bytes of the one reject named: one record
    as the vendor sends it, or a whole page where the page was rejected.

    What cannot be read again (a row of a file, a page that is no longer in the landing zone) stays open. Raises
    MendError for an unknown id, and for mended bytes that cannot stand for the reject; nothing is loaded then.
    """
    chosen = _chosen(platform, reject_ids)
    if mended is not None:
        if len(chosen) != 1:
            raise MendError("mended bytes need exactly one reject: name it with --id")
        _judge(platform, next(iter(chosen.values())), mended)
    by_stream: dict[tuple[str, str], dict[str, list[Row]]] = {}
    for row in chosen.values():
        if _is_readable(platform, row):
            pages = by_stream.setdefault((row["integration_id"], row["stream"]), {})
            pages.setdefault(row["landing"], []).append(row)
    settled: set[str] = set()
    for (integration_id, name), pages in by_stream.items():
        picks = {reference: Pick(_rows(rows), mended) for reference, rows in pages.items()}
        (result,) = replay(platform, integration_id, only=[name], picks=picks).streams
        failing = {(reference, reject.row) for reject, reference in result.rejects}
        spoiled = {reference for reject, reference in result.rejects if reject.kind == "page"}
        for reference, rows in pages.items():
            if reference not in spoiled:  # a page that can be read now is settled, its bad records are rejects by now
                settled |= {row["reject_id"] for row in rows if (reference, row["row"]) not in failing}
    _write_down(platform, chosen, settled, who)
    return Outcome([name for name in chosen if name in settled], [name for name in chosen if name not in settled])


def _chosen(platform: Platform, reject_ids: Sequence[str] | None) -> dict[str, Row]:
    waiting: dict[str, Row] = {str(row["reject_id"]): row for row in platform.ops.rejects(status="open")}
    if reject_ids is None:
        return waiting
    unknown = [name for name in reject_ids if name not in waiting]
    if unknown:
        raise MendError(f"there is no open reject {unknown[0]}")
    return {name: waiting[name] for name in reject_ids}


def _judge(platform: Platform, row: Row, mended: bytes) -> None:
    """Raise MendError unless the mended bytes fit, and are the record that was rejected."""
    if not _is_landed(row):
        raise MendError("this reject is a row of a file: mend the file and import or deliver it again")
    if not _is_readable(platform, row):
        raise MendError("the page of this reject cannot be read any more: wait for its next delivery")
    stream = _stream(platform, row)
    assert stream is not None
    page = platform.landing.page(row["landing"]).meta
    is_record = row["kind"] != "page"
    decoded = PageDecoder(stream, row["integration_id"], platform.hasher).decode(
        mended, seq=0, scope=page.scope, landing=row["landing"], constants=page.constants, is_record=is_record
    )
    if decoded.rejects:
        reject = decoded.rejects[0]
        place = f"record {reject.row}: " if reject.row and not is_record else ""
        raise MendError(f"the mended bytes do not fit: {place}{reject.field or 'page'}: {reject.rule}")
    known, root = row["record_key"], stream.root
    wire = dict(zip(root.record.__struct_fields__, root.record.__struct_encode_fields__, strict=True))
    if not is_record or not known or "?" in known or row["field"] in {wire.get(name, name) for name in root.key}:
        return
    key = "/".join(str(decoded.tables[root.name][name][0].as_py()) for name in root.key)
    if key != known:
        raise MendError(f"the mended bytes are record {key}, and the reject is record {known}")


def _is_landed(row: Row) -> bool:
    return "#" in row["landing"]


def _stream(platform: Platform, row: Row) -> Stream | None:
    """The reject's stream, None where the configuration or the connector no longer has it."""
    if row["integration_id"] not in {item.integration_id for item in platform.config.integrations}:
        return None
    streams = platform.connector(row["integration_id"]).streams
    return next((stream for stream in streams if stream.name == row["stream"]), None)


def _is_readable(platform: Platform, row: Row) -> bool:
    if not _is_landed(row) or _stream(platform, row) is None:
        return False
    try:
        platform.landing.page(row["landing"])
    except (LandingError, FileNotFoundError) as error:
        log.warning("reject %s cannot be replayed: %s", row["reject_id"], error)
        return False
    return True


def _rows(rejects: Iterable[Row]) -> frozenset[int] | None:
    """Which records of a page are wanted; None for all of them."""
    found = list(rejects)
    return None if any(row["kind"] == "page" for row in found) else frozenset(row["row"] for row in found)


def _write_down(platform: Platform, chosen: Iterable[str], settled: set[str], who: str) -> None:
    """Settle what the load has not settled by its key already; every replay is in the audit log."""
    waiting = {str(row["reject_id"]) for row in platform.ops.rejects(status="open")}
    for name in chosen:
        if name in settled and name in waiting:
            platform.ops.resolve_reject(name, who, "replayed")
        else:
            platform.ops.audit(who, "replay reject", name, "settled" if name in settled else "still open")
