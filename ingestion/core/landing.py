"""The landing zone: pages of bytes exactly as they came, compressed, encrypted, immutable, replayable.

One batch file per (integration, stream, run): a magic line, then frames of
`4-byte meta length, 4-byte body length, meta JSON, body`, the last one without meta. The body is AES-256-GCM over
zstd, so personal data that a vendor sends lies at rest only encrypted, while a page can be read again byte for byte.
The seal covers the page's place and meta, and the last frame the number of pages. A batch appears under its final name
only when it is whole, and is never replaced: by a rename on a disk, by one conditional PUT (or the completion of a
multipart upload) on S3, where no listing or reading sees anything before.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Protocol

import fsspec
import msgspec
import zstandard
from fsspec import AbstractFileSystem

from ingestion.core.ops.crypto import KeyringError

MAGIC = b"C4PAGES1\n"
LENGTHS = struct.Struct(">II")
BATCH = re.compile(r"[^/]+/\d{4}/\d\d/\d\d/\d+\.pages")  # stream, date, run
# fsspec's options by protocol. S3: credentials, region and AWS_ENDPOINT_URL come from where AWS's own tools take them;
# listings are never cached, for other machines write, too; a call that fails is made again a bounded number of times.
OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {
        "use_listings_cache": False,
        "config_kwargs": {
            "connect_timeout": 10,
            "read_timeout": 60,
            "retries": {"mode": "standard", "total_max_attempts": 4},
        },
    }
}


class Cipher(Protocol):
    """Authenticated encryption bound to the name of what is encrypted. `decrypt` raises KeyringError."""

    def encrypt(self, plain: bytes, context: bytes) -> bytes: ...
    def decrypt(self, sealed: bytes, context: bytes) -> bytes: ...


class LandingError(Exception):
    """A batch cannot be read (cut short, altered, or sealed with another key) or is there already."""


class Meta(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of a page besides its bytes. `constants` are the template values that become columns, `covers` the
    first and last date that were asked for: None where the stream has no window, and in batches of earlier versions.
    """

    number: int
    scope: str
    # page | record (by itself) | file | rejected | done (the scope of a `replace` stream was read to its end)
    kind: str = "page"
    constants: dict[str, str] = {}
    covers: tuple[date, date] | None = None


@dataclass(frozen=True, slots=True)
class LandedPage:
    meta: Meta
    content: bytes
    reference: str  # <batch>#<number>


@dataclass(slots=True)
class Batch:
    """A batch being written. Use as a context manager: it is published on success and thrown away on error."""

    zone: LandingZone
    name: str
    pages: int = 0
    size: int = 0
    _handle: Any = None
    _temp: str = ""
    _compressor: zstandard.ZstdCompressor = field(default_factory=lambda: zstandard.ZstdCompressor(level=1))

    def __enter__(self) -> Batch:
        descriptor, self._temp = tempfile.mkstemp(prefix="landing-", suffix=".pages", dir=self.zone.scratch())
        self._handle = os.fdopen(descriptor, "wb")
        self._handle.write(MAGIC)
        return self

    def add(
        self,
        content: bytes,
        scope: str,
        constants: Mapping[str, str],
        kind: str = "page",
        covers: tuple[date, date] | None = None,
    ) -> str:
        """Append a page and return its reference."""
        self.pages += 1
        reference = f"{self.name}#{self.pages}"
        meta = msgspec.json.encode(Meta(self.pages, scope, kind, dict(constants), covers))
        self._write(meta, self._compressor.compress(content))
        self.size += len(content)
        return reference

    def _write(self, meta: bytes, plain: bytes) -> None:
        body = self.zone.cipher.encrypt(plain, _context(self.name, self.pages, meta))
        self._handle.write(LENGTHS.pack(len(meta), len(body)) + meta + body)

    def __exit__(self, kind: Any, *_: object) -> None:
        try:
            with self._handle:
                if kind is None and self.pages:
                    self._write(b"", b"")
            if kind is None and self.pages:
                self.zone.publish(self._temp, self.name)
        finally:
            Path(self._temp).unlink(missing_ok=True)


def _context(name: str, number: int, meta: bytes) -> bytes:
    """What a frame's seal is bound to: its batch, its place and what is known of its page."""
    return b"%s#%d\n%s" % (name.encode(), number, meta)


def open_store(url: str) -> tuple[AbstractFileSystem, str]:
    """The store of a landing zone and the path of its root there: a folder or any fsspec URL."""
    store, root = fsspec.core.url_to_fs(url, **OPTIONS.get(url.partition("://")[0], {}))
    return store, root.rstrip("/")


class LandingZone:
    """Batches under a folder or any fsspec URL (`file:///...`, `s3://bucket/prefix`)."""

    def __init__(self, url: str, cipher: Cipher, scratch: str | Path | None = None) -> None:
        """`scratch` is a folder of this machine where batches for a remote store grow; the system's without it."""
        self.cipher = cipher
        self._fs, self._root = open_store(url)
        self._local = isinstance(self._fs, fsspec.implementations.local.LocalFileSystem)
        self._scratch = scratch

    def scratch(self) -> str | None:
        """Where a batch grows: beside its final place when that is local, so that publishing is a rename."""
        folder = self._root if self._local else self._scratch
        if folder is None:
            return None
        os.makedirs(folder, exist_ok=True)
        return str(folder)

    def batch(self, slug: str, integration_id: str, stream: str, as_of: datetime, run_id: int) -> Batch:
        return Batch(self, f"{slug}/{integration_id}/{stream}/{as_of:%Y/%m/%d}/{run_id}.pages")

    def publish(self, temp: str, name: str) -> None:
        """Give a finished batch its name. Raises LandingError when a batch has it already: none is ever replaced."""
        target = f"{self._root}/{name}"
        is_new = not self._fs.exists(target)
        if is_new and self._local:
            os.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
            os.replace(temp, target)
        elif is_new:
            try:
                self._fs.put_file(temp, target, mode="create")
            except OSError:  # somebody was faster; or it was done, its answer was lost, and its repetition refused
                if not self._fs.exists(target):
                    raise
                is_new = self._holds(target, temp)
        if not is_new:
            raise LandingError(f"{name} is there already; does the ops database belong to this landing zone?")

    def _holds(self, target: str, temp: str) -> bool:
        """Whether a batch is this very one; no two are alike, for each frame has a nonce of its own."""
        with self._fs.open(target, "rb") as stored, open(temp, "rb") as ours:
            return hashlib.file_digest(stored, "sha256").digest() == hashlib.file_digest(ours, "sha256").digest()

    def batches(self, slug: str, integration_id: str, stream: str = "*") -> list[str]:
        """Names of the batches of an integration, oldest run first."""
        folder = f"{self._root}/{slug}/{integration_id}" + ("" if stream == "*" else f"/{stream}")
        paths = self._fs.find(folder)  # on S3 one call per thousand batches
        names = [path[len(self._root) :].lstrip("/") for path in paths]
        own = f"{slug}/{integration_id}/"
        return sorted((name for name in names if BATCH.fullmatch(name.removeprefix(own))), key=self.run_of)

    def size(self, name: str) -> int:
        """The bytes that a batch takes up."""
        return int(self._fs.info(f"{self._root}/{name}")["size"])

    def remove(self, name: str) -> None:
        """Delete a batch for good; nothing happens when it is gone already."""
        if self._fs.exists(f"{self._root}/{name}"):
            self._fs.rm_file(f"{self._root}/{name}")

    @staticmethod
    def run_of(name: str) -> int:
        """The run that landed a batch."""
        return int(name.rsplit("/", 1)[1].removesuffix(".pages"))

    @staticmethod
    def read_on(name: str) -> date:
        """The logical date (UTC) of the run that landed a batch."""
        year, month, day = map(int, name.split("/")[3:6])
        return date(year, month, day)

    def pages(self, name: str) -> Iterator[LandedPage]:
        """Every page of a batch. Raises LandingError when it is cut short or was altered."""
        decompressor = zstandard.ZstdDecompressor()
        with self._fs.open(f"{self._root}/{name}", "rb") as handle:
            if handle.read(len(MAGIC)) != MAGIC:
                raise LandingError(f"{name} is not a landing batch")
            number = 0
            while True:
                head = handle.read(LENGTHS.size)
                meta_size, body_size = LENGTHS.unpack(head) if len(head) == LENGTHS.size else (0, 1)
                meta, body = handle.read(meta_size), handle.read(body_size)
                if len(body) < body_size:
                    raise LandingError(f"{name} is cut short after {number} pages")
                number += bool(meta)
                try:
                    packed = self.cipher.decrypt(body, _context(name, number, meta))
                    if not meta:
                        break
                    content = decompressor.decompress(packed)
                    page = LandedPage(msgspec.json.decode(meta, type=Meta), content, f"{name}#{number}")
                except (KeyringError, zstandard.ZstdError, msgspec.DecodeError) as error:
                    raise LandingError(f"{name}#{number} was altered or sealed with another key: {error}") from error
                yield page
            if handle.read(1):
                raise LandingError(f"{name} goes on after its end")

    def page(self, reference: str) -> LandedPage:
        """One page by its reference."""
        name, _, number = reference.rpartition("#")
        for page in self.pages(name):
            if page.meta.number == int(number):
                return page
        raise LandingError(f"{reference} is not in the landing zone")
