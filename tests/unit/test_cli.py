"""The command line as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from ingestion.core.ops.leases import lease
from ingestion.core.platform import Platform
from ingestion.core.settings import Settings
from orchestration.cli.app import app
from orchestration.cli.demo import MARKER, ui_environment

runner = CliRunner()


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("C4_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture
def published(data: Path) -> Path:
    path = Settings.load().published_path
    path.parent.mkdir(parents=True)
    with duckdb.connect(str(path)) as marts:
        marts.execute("create schema marts")
        marts.execute("create table marts.sales_daily as select 'JKT-001' as outlet_id, 1250.50::decimal(18,2) as net")
    return path


def test_a_question_is_answered_from_the_published_marts(published: Path) -> None:
    """Catches: marts that need their schema named, amounts that lose digits on the way to JSON."""
    result = runner.invoke(app, ["query", "from sales_daily", "--json"])
    assert result.exit_code == 0
    assert json.loads(result.output) == [{"outlet_id": "JKT-001", "net": "1250.50"}]


@pytest.mark.parametrize("sql", ["drop table sales_daily", "from nothing", "selec 1"])
def test_a_question_changes_nothing_and_a_wrong_one_is_told(published: Path, sql: str) -> None:
    """Catches: a statement that writes, a traceback instead of what is wrong."""
    result = runner.invoke(app, ["query", sql])
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    with duckdb.connect(str(published), read_only=True) as marts:
        assert marts.execute("select count(*) from marts.sales_daily").fetchone() == (1,)


def test_without_marts_one_is_told_what_to_do(data: Path) -> None:
    """Catches: an empty database that is created where a file was expected."""
    result = runner.invoke(app, ["query", "select 1"])
    assert result.exit_code == 1
    assert "c4 demo" in result.output
    assert not Settings.load().published_path.exists()


def test_tokens_and_events_from_the_command_line(data: Path) -> None:
    """Catches: a token that is never shown, or twice; a replay that says nothing of what it did; two listeners."""
    made = runner.invoke(app, ["tokens", "create", "grafana", "--scope", "stats", "--by", "budi"])
    assert made.exit_code == 0
    token = made.output.strip().splitlines()[-1]
    (row,) = json.loads(runner.invoke(app, ["tokens", "list", "--json"]).output)
    assert (row["name"], row["scopes"], row["revoked_at"]) == ("grafana", "stats", None)
    assert token.split("_")[1] == row["token_id"]
    assert token not in str(row)
    assert runner.invoke(app, ["tokens", "revoke", row["token_id"]]).exit_code == 0
    assert runner.invoke(app, ["tokens", "revoke", row["token_id"]]).exit_code == 1
    assert runner.invoke(app, ["tokens", "create", "x", "--scope", "everything"]).exit_code == 1
    assert json.loads(runner.invoke(app, ["events", "list", "--json"]).output) == []
    assert runner.invoke(app, ["events", "replay"]).exit_code == 1
    assert runner.invoke(app, ["events", "replay", "--state", "dead"]).exit_code == 1
    ops = Platform.open(Settings.load()).ops
    with lease(ops.sessions, "listen", ops.now):
        second = runner.invoke(app, ["listen"])
    assert (second.exit_code, "listen: process" in second.output) == (1, True)
    quiet = runner.invoke(app, ["live", "--once"])
    assert quiet.exit_code == 0, quiet.output


def test_the_ui_gets_a_company_where_there_is_none(data: Path) -> None:
    """Catches: a UI that refuses an empty folder, that shows an earlier demo without what it made, or that empties a
    company of the user's own.
    """
    made = data / "marts.duckdb"
    for asked, stays in ((1, False), (None, True), (2, False)):  # in an empty folder, what is there, another size
        with ui_environment(Settings.load(), outlets=asked, days=1) as environment:
            assert environment["C4_AS_OF"] == "2026-04-04T22:00:00+00:00"
            assert (Path(environment["DAGSTER_HOME"]) / "dagster.yaml").exists()
            assert (data / "config" / "integrations.yaml").exists()
            assert made.exists() == stays
        made.touch()
    (data / MARKER).unlink()  # as if it were the user's
    (data / "config" / "own").touch()
    with ui_environment(Settings.load(), outlets=1, days=1) as environment:
        assert "C4_AS_OF" not in environment
        assert made.exists()
        assert (data / "config" / "own").exists()
