"""`c4 backup` and `c4 restore`."""

from __future__ import annotations

from pathlib import Path

from ingestion.core import backup
from ingestion.core.ops.crypto import KeyringError
from ingestion.core.pg_tools import PgToolError
from ingestion.core.platform import Platform
from ingestion.core.settings import Settings
from orchestration.cli.app import console

TROUBLE = (backup.BackupError, PgToolError, KeyringError, FileExistsError)


def run_backup(settings: Settings, folder: Path) -> int:
    """Write a backup and say what is in it. Returns the exit status."""
    try:
        manifest = backup.back_up(Platform.open(settings), folder)
    except TROUBLE as error:
        console.print(f"[red]{error}[/red]", soft_wrap=True)
        return 1
    console.print(f"{len(manifest.files)} files in {folder}, up to run {manifest.last_run}", soft_wrap=True)
    console.print(f"Keys are not in it. It needs: {', '.join(manifest.key_ids)} ({settings.key_file})", soft_wrap=True)
    return 0


def run_restore(settings: Settings, folder: Path, who: str) -> int:
    """Restore a backup and say what comes next. Returns the exit status."""
    try:
        manifest = backup.restore(settings, folder, who)
    except TROUBLE as error:
        console.print(f"[red]{error}[/red]", soft_wrap=True)
        return 1
    console.print(f"restored to {manifest.made_at:%Y-%m-%d %H:%M} UTC, run {manifest.last_run}", soft_wrap=True)
    console.print("Next: c4 doctor, then a night: it reads what came since and looks up what was posted since.")
    return 0
