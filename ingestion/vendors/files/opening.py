"""Opening a file: its bytes unzipped, its text in the right encoding, and what a reader makes of a row."""

from __future__ import annotations

import codecs
import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ingestion.vendors.files.mapping import Layout

BLOCK = 1 << 20
BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

Cells = tuple[Any, ...]


class FileError(Exception):
    """The file as a whole cannot be read; nothing of it is loaded."""


@dataclass(frozen=True, slots=True)
class Bad:
    """A row that is no row of this file."""

    rule: str


Row = tuple[int, Cells | Bad | None]  # None: left out by the mapping


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as handle:
        yield handle  # type: ignore[misc]


@contextmanager
def open_text(path: Path, layout: Layout) -> Iterator[IO[str]]:
    encoding = _encoding(path, layout) if layout.encoding == "auto" else layout.encoding
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding=encoding, errors="strict") as handle:
        yield handle


def _encoding(path: Path, layout: Layout) -> str:
    """From the byte order mark; else UTF-8 if all of the file is; else the fallback."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with open_bytes(path) as handle:
        block = handle.read(BLOCK)
        for mark, name in BOMS:
            if block.startswith(mark):
                return name
        try:
            while block:
                decoder.decode(block)
                block = handle.read(BLOCK)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return layout.fallback
    return "utf-8"


__all__ = ["Bad", "Cells", "FileError", "Row", "open_bytes", "open_text"]
