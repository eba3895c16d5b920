"""The ledger of dropped and imported files: known by content, so that one file counts once under any name."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ingestion.core.ops.db import upsert
from ingestion.core.ops.models import FileEntry


def file_known(session: Session, integration_id: str, sha256: str) -> FileEntry | None:
    """What is known of a content, None when it was never seen."""
    return session.get(FileEntry, (integration_id, sha256))


def file_record(
    session: Session,
    integration_id: str,
    sha256: str,
    *,
    path: str,
    size: int,
    status: str,
    rows: int,
    rejects: int,
    seen_at: datetime,
) -> int:
    """Write down how a file ended (loaded, rejected, duplicate, superseded); returns its version among the contents
    that came under the same path. A later call for the same content updates status and counts, never the version.
    """
    known = file_known(session, integration_id, sha256)
    if known is None:
        versions = session.scalar(
            select(func.max(FileEntry.version)).where(
                FileEntry.integration_id == integration_id, FileEntry.path == path
            )
        )
        version = (versions or 0) + 1
    else:
        version, path = known.version, known.path
    row = {
        "integration_id": integration_id,
        "sha256": sha256,
        "path": path,
        "size": size,
        "status": status,
        "rows": rows,
        "rejects": rejects,
        "version": version,
        "first_seen": seen_at,
    }
    upsert(session, FileEntry, [row], update=("status", "rows", "rejects"))
    return version
