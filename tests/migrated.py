"""Empty ops databases that are at the newest revision: copies, because the migrations take longer than most tests."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from ingestion.core.ops import db
from tests import postgres as pg


@cache
def _sqlite() -> bytes:
    with tempfile.TemporaryDirectory(prefix="c4ops") as folder:
        url, copy = f"sqlite:///{folder}/ops.db", Path(folder, "copy.db")
        _migrate(url)
        db.dump(url, copy)
        return copy.read_bytes()


def sqlite(path: Path) -> str:
    """Put one at `path`, unless a file is there, and return its URL."""
    if not path.exists():
        path.write_bytes(_sqlite())
    return f"sqlite:///{path}"


@contextmanager
def template(server_url: str) -> Iterator[str]:
    """The name of a database to make others from, as `pg.database` takes it."""
    name = f"c4_test_template_{os.getpid()}"
    with pg.database(server_url, name) as url:
        _migrate(url)
        yield name


def _migrate(url: str) -> None:
    engine = db.connect(url)
    db.migrate(engine)
    engine.dispose()  # nobody may be connected to a template


__all__ = ["sqlite", "template"]
