"""A company's state as one folder, and back: warehouse, ops database, landing zone, configuration.

    manifest.json   what is in it, with a checksum of every file, and which keys open it; never a key
    warehouse.dump  the DuckDB file, or pg_dump's custom format
    ops.dump        the SQLite file or pg_dump's format; absent where both lie in one Postgres database
    landing/        the batches as they are, encrypted
    config/         the configuration folder

Warehouse and ops database are written while no load and no build is at work. The landing zone is copied after that, for
a batch never changes; batches of runs that the ops database does not know yet are left out.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import msgspec
from sqlalchemy import make_url

from ingestion.core import warehouse
from ingestion.core.landing import open_store
from ingestion.core.ops import db
from ingestion.core.ops.crypto import Keyring
from ingestion.core.ops.store import RESTORED
from ingestion.core.platform import Platform
from ingestion.core.settings import Settings

FORMAT = 1
MANIFEST = "manifest.json"
WAREHOUSE, OPS, LANDING, CONFIG = "warehouse.dump", "ops.dump", "landing", "config"


class BackupError(Exception):
    """The folder is not empty, not a backup, damaged, or does not fit this installation."""


class Manifest(msgspec.Struct, frozen=True):
    """What a backup is. `stores` are the kinds of warehouse and ops database, `last_run` the latest sync run in it."""

    format: int
    platform: str
    made_at: datetime
    stores: tuple[str, str]
    key_ids: tuple[str, ...]
    last_run: int
    files: dict[str, str]  # path within the backup -> SHA-256


def back_up(platform: Platform, folder: Path) -> Manifest:
    """Write a backup into a new or empty folder. Raises BackupError, PgToolError, WarehouseBusyError.

    A folder without a manifest is a backup that was interrupted.
    """
    if folder.exists() and any(folder.iterdir()):
        raise BackupError(f"{folder} is not empty")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings = platform.settings
    with warehouse.write_lock(settings):
        last_run = platform.ops.last_run()
        if not _one_database(settings):
            db.dump(settings.ops, folder / OPS)
        warehouse.dump(settings, folder / WAREHOUSE)
    _copy_landing(settings.landing, folder / LANDING, last_run)
    shutil.copytree(settings.config, folder / CONFIG)
    manifest = Manifest(
        FORMAT,
        version("c4-data-platform"),
        platform.ops.now(),
        _stores(settings),
        tuple(sorted(platform.keys.cipher("backup").keys)),
        last_run,
        {str(path.relative_to(folder)): _checksum(path) for path in sorted(folder.rglob("*")) if path.is_file()},
    )
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    return manifest


def restore(settings: Settings, folder: Path, who: str) -> Manifest:
    """Make everything from a backup, on a machine or in a folder that has nothing yet; then publish the marts.

    Nothing is written before every file has proved whole and the keys are there. From then on exports look every
    document up in its target before they send it: it may have been posted after the backup. Raises BackupError,
    KeyringError, FileExistsError, PgToolError.
    """
    manifest = _checked(settings, folder)
    config = settings.config if "C4_CONFIG" in os.environ else settings.data / CONFIG
    if config.exists() and any(config.iterdir()):
        raise BackupError(f"{config} is not empty")
    files, root = open_store(settings.landing)
    if files.exists(root) and files.ls(root):
        raise BackupError(f"{settings.landing} is not empty")
    warehouse.restore(settings, folder / WAREHOUSE)
    if not _one_database(settings):
        db.restore(settings.ops, folder / OPS)
    if (folder / LANDING).is_dir():
        files.makedirs(root, exist_ok=True)
        files.put(f"{folder / LANDING}/", f"{root}/", recursive=True)
    shutil.copytree(folder / CONFIG, config, dirs_exist_ok=True)
    platform = Platform.open(Settings.load(settings.data, settings.as_of))
    platform.ops.audit(who, RESTORED, str(manifest.made_at), f"last run {manifest.last_run}")
    warehouse.publish(platform.settings)
    return manifest


def _checked(settings: Settings, folder: Path) -> Manifest:
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise BackupError(f"{folder} has no {MANIFEST}: no backup, or one that was interrupted") from None
    except msgspec.DecodeError as error:
        raise BackupError(f"{MANIFEST} cannot be read: {error}") from error
    if manifest.format != FORMAT:
        raise BackupError(f"the backup has format {manifest.format}; this version reads {FORMAT}")
    if manifest.stores != _stores(settings):
        wanted = " and ".join(manifest.stores)
        raise BackupError(f"the backup is of {wanted} (warehouse and ops database); set C4_WAREHOUSE and C4_OPS alike")
    for name, checksum in manifest.files.items():
        path = folder / name
        if not path.is_file() or _checksum(path) != checksum:
            raise BackupError(f"{name} is missing or damaged")
    if not os.environ.get("C4_KEY") and not settings.key_file.exists():
        raise BackupError(f"put the key file back first: {settings.key_file} (keys {', '.join(manifest.key_ids)})")
    missing = set(manifest.key_ids) - set(Keyring.load(settings.key_file).cipher("backup").keys)
    if missing:
        raise BackupError(f"the keys here do not open this backup; missing: {', '.join(sorted(missing))}")
    return manifest


def _copy_landing(landing: str, target: Path, last_run: int) -> None:
    files, root = open_store(landing)
    for path in files.find(root) if files.exists(root) else []:
        name = str(path).removeprefix(str(root)).lstrip("/")
        number = name.rpartition("/")[2].removesuffix(".pages")
        if not name.endswith(".pages") or not number.isdigit() or int(number) > last_run:
            continue  # half written, or of a run that has begun since
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        files.get_file(path, str(target / name))


def _stores(settings: Settings) -> tuple[str, str]:
    kind = "duckdb" if settings.is_duckdb else "postgresql"
    ops = "the same database" if _one_database(settings) else make_url(settings.ops).get_backend_name()
    return kind, ops


def _one_database(settings: Settings) -> bool:
    """Whether the warehouse's Postgres database is the ops database, too."""
    if settings.is_duckdb:
        return False
    places = [make_url(url).set(drivername="postgresql", password=None) for url in (settings.warehouse, settings.ops)]
    ours, theirs = ((url.host, url.port or 5432, url.database, url.query.get("host")) for url in places)
    return ours == theirs


def _checksum(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
