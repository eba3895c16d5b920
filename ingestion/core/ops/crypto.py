"""The platform's keys: AES-256-GCM for credentials and landed pages, and keys derived from them.

Keys come from `C4_KEY` (base64 of 32 bytes; several separated by commas, the newest first) or from a key file that
is created on first use and readable by its owner only. Older keys stay: pages were sealed with them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
NONCE_BYTES = 12
ID_BYTES = 4
ROTATE_AFTER_DAYS = 90  # the age at which credentials are reported as due


class KeyringError(Exception):
    """A key is missing, malformed or not ours, or sealed bytes were altered. Never names a key's value."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """Encrypted bytes with what is needed, besides the key, to open them."""

    key_id: str
    nonce: bytes
    ciphertext: bytes


@dataclass(frozen=True, slots=True)
class Cipher:
    """AES-256-GCM under a subkey for one purpose. `context` binds sealed bytes to what they belong to."""

    keys: dict[str, bytes] = field(repr=False)
    current: str

    def seal(self, plain: bytes, context: bytes) -> Sealed:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return Sealed(self.current, nonce, AESGCM(self.keys[self.current]).encrypt(nonce, plain, context))

    def open(self, sealed: Sealed, context: bytes) -> bytes:
        """Raises KeyringError when the key is not in the ring or the bytes or their context were altered."""
        key = self.keys.get(sealed.key_id)
        if key is None:
            raise KeyringError(f"sealed with key {sealed.key_id}, which is not in the ring; add it to the keys")
        try:
            return AESGCM(key).decrypt(sealed.nonce, sealed.ciphertext, context)
        except (InvalidTag, ValueError) as error:
            raise KeyringError(f"altered, or not what it is said to be (key {sealed.key_id})") from error

    def encrypt(self, plain: bytes, context: bytes) -> bytes:
        """`seal` in one piece: key id, nonce, ciphertext."""
        sealed = self.seal(plain, context)
        return bytes.fromhex(sealed.key_id) + sealed.nonce + sealed.ciphertext

    def decrypt(self, sealed: bytes, context: bytes) -> bytes:
        """Open what `encrypt` made. Raises KeyringError."""
        head = ID_BYTES + NONCE_BYTES
        return self.open(Sealed(sealed[:ID_BYTES].hex(), sealed[ID_BYTES:head], sealed[head:]), context)


@dataclass(frozen=True, slots=True)
class Keyring:
    """The platform's keys, newest first. Nothing here prints them."""

    keys: tuple[bytes, ...] = field(repr=False)
    key_file: Path | None = None  # None when the keys come from the environment

    @classmethod
    def load(cls, key_file: Path) -> Keyring:
        """Read `C4_KEY`, else the key file, creating it (mode 0600) on first use. Raises KeyringError."""
        if text := os.environ.get("C4_KEY"):
            return cls(tuple(_decode(part, "C4_KEY") for part in text.split(",")))
        if not key_file.exists():
            _write(key_file, (secrets.token_bytes(KEY_BYTES),), replace=False)
        if key_file.stat().st_mode & 0o077:
            raise KeyringError(f"{key_file.name} is readable by others; run chmod 600 on it")
        lines = key_file.read_text(encoding="ascii").split()
        if not lines:
            raise KeyringError(f"{key_file.name} is empty; restore it from its backup")
        return cls(tuple(_decode(line, key_file.name) for line in lines), key_file)

    @property
    def current(self) -> str:
        """The id of the key that seals from now on."""
        return _key_id(self.keys[0])

    def rotated(self) -> Keyring:
        """A ring with a new current key, written to the key file first. Raises KeyringError for keys in the
        environment: put a new key in front of C4_KEY instead.
        """
        if self.key_file is None:
            raise KeyringError("the keys come from C4_KEY; put a new key in front of the present one there")
        keys = (secrets.token_bytes(KEY_BYTES), *self.keys)
        _write(self.key_file, keys, replace=True)
        return Keyring(keys, self.key_file)

    def cipher(self, purpose: str) -> Cipher:
        return Cipher({_key_id(key): _subkey(key, purpose) for key in self.keys}, self.current)

    def derive(self, purpose: str) -> bytes:
        """32 bytes that stay the same over rotations (from the oldest key): hashes must go on matching."""
        return _subkey(self.keys[-1], purpose)


def _decode(text: str, where: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise KeyringError(f"{where}: a key is base64 of {KEY_BYTES} bytes (openssl rand -base64 {KEY_BYTES})")
    return key


def _write(path: Path, keys: tuple[bytes, ...], *, replace: bool) -> None:
    """Write the key file, mode 0600, in one step. Without `replace` a file that another process made first stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as handle:
            handle.write("".join(base64.b64encode(key).decode() + "\n" for key in keys))
            handle.flush()
            os.fsync(handle.fileno())
        if replace:
            os.replace(fresh, path)
        else:
            try:
                os.link(fresh, path)
            except FileExistsError:
                return
    finally:
        fresh.unlink(missing_ok=True)


def _key_id(key: bytes) -> str:
    return hashlib.sha256(b"c4 key id" + key).digest()[:ID_BYTES].hex()


@cache
def _subkey(key: bytes, purpose: str) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=f"c4/{purpose}".encode()).derive(key)
