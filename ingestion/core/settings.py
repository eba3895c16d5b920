"""Where a run keeps its state and which stores it uses, from the environment.

All state of one company lives under one folder (`C4_DATA`), so two companies or two tests never meet.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[2]
IN_PROCESS, CELERY = "in_process", "celery"  # where the steps of a run are done


@dataclass(frozen=True, slots=True)
class Settings:
    """Resolved locations. `as_of` is the logical time of the run (UTC): nothing downstream reads the clock."""

    data: Path
    config: Path
    warehouse: str = field(repr=False)  # duckdb:///path or postgresql://...; may hold a password
    ops: str = field(repr=False)  # sqlalchemy URL
    landing: str  # folder or fsspec URL
    key_file: Path
    as_of: datetime
    duckdb_memory: str = "1GB"  # of a DuckDB warehouse: what a process may hold of it before it uses the disk
    reader_role: str = "c4_reader"  # of a Postgres warehouse: who may read the published marts
    executor: str = IN_PROCESS
    broker: str = field(default="", repr=False)  # Celery's, of the workers

    @classmethod
    def load(cls, data: str | Path | None = None, as_of: datetime | None = None) -> Settings:
        """Read the environment. `C4_AS_OF` (ISO 8601 with a zone) fixes the logical time; else it is now."""
        root = Path(data or os.environ.get("C4_DATA") or "data").resolve()
        own = root / "config"
        config = Path(os.environ.get("C4_CONFIG") or (own if own.is_dir() else PROJECT_ROOT / "config")).resolve()
        if as_of is None:
            text = os.environ.get("C4_AS_OF")
            as_of = datetime.fromisoformat(text) if text else datetime.now(UTC)
        if as_of.tzinfo is None:
            raise ValueError("C4_AS_OF needs a time zone, e.g. 2026-04-05T22:00:00+00:00")
        executor = os.environ.get("C4_EXECUTOR") or IN_PROCESS
        if executor not in (IN_PROCESS, CELERY):
            raise ValueError(f"C4_EXECUTOR must be {IN_PROCESS} or {CELERY}")
        return cls(
            data=root,
            config=config,
            warehouse=os.environ.get("C4_WAREHOUSE") or f"duckdb:///{root / 'warehouse.duckdb'}",
            ops=os.environ.get("C4_OPS") or f"sqlite:///{root / 'ops.db'}",
            landing=os.environ.get("C4_LANDING") or str(root / "landing"),
            key_file=Path(os.environ.get("C4_KEY_FILE") or root / "c4.key"),
            as_of=as_of.astimezone(UTC),
            duckdb_memory=os.environ.get("C4_DUCKDB_MEMORY") or "1GB",
            reader_role=os.environ.get("C4_READER_ROLE") or "c4_reader",
            executor=executor,
            broker=os.environ.get("C4_BROKER") or "",
        )

    @property
    def is_duckdb(self) -> bool:
        return self.warehouse.startswith("duckdb:")

    @property
    def landing_is_remote(self) -> bool:
        """Whether other machines see the landing zone, too."""
        return "://" in self.landing and not self.landing.startswith(("file:", "local:"))

    @property
    def several_machines(self) -> bool:
        """Whether a step that is done again may be done on another machine."""
        return self.executor == CELERY

    @property
    def warehouse_path(self) -> Path:
        if not self.is_duckdb:
            raise ValueError("the warehouse is not a DuckDB file")
        return Path(self.warehouse.removeprefix("duckdb:///"))

    @property
    def published_path(self) -> Path:
        """The read-only file of marts that analysts and BI tools open; replaced atomically."""
        return self.data / "published" / "c4.duckdb"  # not "marts": the catalog would hide the schema
