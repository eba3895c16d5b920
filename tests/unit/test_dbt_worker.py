"""The worker that runs dbt: one process for many commands, and what happens when it is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from assets import dbt
from assets.dbt import DbtError, Worker
from ingestion.core.registry import connector
from ingestion.core.settings import PROJECT_ROOT, Settings
from tests import postgres as pg

pytestmark = pytest.mark.xdist_group("dbt")

OWNER = """
import os, subprocess, sys, time
worker = subprocess.Popen([sys.executable, "-m", "assets.dbt_worker", str(os.getpid())])
print(worker.pid, flush=True)
time.sleep(600)
"""
SEED = ["seed", "--select", "payroll_tax_steps"]


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.stop()


def variables(folder: Path) -> dict[str, str]:
    return {**os.environ, **dbt.environment(Settings.load(folder))}


def finished(worker: Worker, folder: Path, arguments: list[str]) -> tuple[int, str]:
    command = worker.start(variables(folder), arguments)
    text = b"".join(command.lines()).decode()
    return command.wait(), text


def seeded(folder: Path) -> int:
    """Rows of the seed, read by this process: the worker must have let go of the file."""
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        (count,) = connection.execute("select count(*) from intermediate.payroll_tax_steps").fetchone() or (0,)
    return int(count)


def test_one_process_builds_two_companies(worker: Worker, tmp_path: Path) -> None:
    """Catches: the second company's rows in the first one's file, a warehouse that the worker keeps locked."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        status, text = finished(worker, tmp_path / name, SEED)
        assert status == 0, text
        assert seeded(tmp_path / name) > 0


def test_a_failure_is_told_and_the_next_command_runs(worker: Worker, tmp_path: Path) -> None:
    """Catches: the error of one command as the end of the next, a failure that looks like success."""
    assert finished(worker, tmp_path, ["build", "--select", "dim_outlets"])[0] == 1  # there are no raw tables
    status, text = finished(worker, tmp_path, ["frobnicate"])
    assert status == 2
    assert "frobnicate" in text
    assert finished(worker, tmp_path, SEED)[0] == 0


def test_a_lost_worker_is_an_error_and_the_next_command_has_a_new_one(worker: Worker, tmp_path: Path) -> None:
    """Catches: a killed dbt taken for a finished build, a night that hangs, a worker that is never replaced."""
    command = worker.start(variables(tmp_path), SEED)
    command.send_signal(signal.SIGKILL)
    list(command.lines())
    assert command.wait() != 0
    assert finished(worker, tmp_path, SEED)[0] == 0


def test_a_command_that_nobody_reads_does_not_answer_the_next_one(worker: Worker, tmp_path: Path) -> None:
    """Catches: an interrupted step whose late output is taken for that of the following step."""
    command = worker.start(variables(tmp_path), ["ls"])
    next(command.lines())
    status, text = finished(worker, tmp_path, SEED)
    assert status == 0
    assert "c4.intermediate" not in text


def test_the_project_is_parsed_once_and_anew_for_other_vendors(tmp_path: Path) -> None:
    """Catches: a manifest of another company's vendors, a parse for every night."""
    settings = Settings.load(tmp_path)
    few, more = [connector("moka")], [connector("moka"), connector("toast")]
    path = dbt.manifest_path(settings, few)
    written = path.stat().st_mtime_ns
    assert dbt.manifest_path(settings, few) == path
    assert path.stat().st_mtime_ns == written
    checks = json.loads(path.read_bytes())["nodes"]["model.c4.int_unified__checks"]
    assert checks["depends_on"]["nodes"] == ["model.c4.stg_moka__checks"]
    with pytest.raises(DbtError, match="frobnicate"):
        dbt.run(dbt.environment(settings, more), ["frobnicate"])
    assert len({dbt.manifest_path(settings, used) for used in (few, more)}) == 2


def test_another_process_reads_the_whole_parsed_project(worker: Worker, tmp_path: Path) -> None:
    """Catches: a parse for every process; generic tests, macros or configuration lost on the way through the file."""
    first, other = nodes(worker, tmp_path), Worker()
    parses = dbt.manifest_path(Settings.load(tmp_path)).with_name("perf_info.json")
    written = parses.stat().st_mtime_ns
    try:
        assert nodes(other, tmp_path) == first
        assert parses.stat().st_mtime_ns == written
    finally:
        other.stop()
    assert sum("test_metadata" in node for node in first) > 50


def nodes(worker: Worker, folder: Path) -> list[dict[str, Any]]:
    """What dbt knows of every node of the project."""
    keys = "unique_id config depends_on test_metadata"
    status, text = finished(worker, folder, ["ls", "--output", "json", "--output-keys", keys])
    assert status == 0, text
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_a_worker_ends_with_its_owner() -> None:
    """Catches: models that are still being built when the owner was killed, and its lock with it."""
    read, write = os.pipe()  # stands for the requests: as long as it is open, a worker waits for more
    with os.fdopen(write, "wb"), os.fdopen(read, "rb") as requests:
        owner = [sys.executable, "-c", OWNER]
        with subprocess.Popen(owner, stdin=requests, stdout=subprocess.PIPE, cwd=PROJECT_ROOT) as process:
            assert process.stdout is not None
            assert int(process.stdout.readline()) > 0
            process.kill()
            assert process.stdout.read() == b""  # the worker had it open, too: now it has ended


def test_builds_on_postgres_plan_no_loops_and_keep_what_the_company_sets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres: str
) -> None:
    """Catches: a join over a key of three columns planned as loops within loops, which never ends; a company's own
    settings of its sessions lost.
    """
    monkeypatch.setenv("C4_WAREHOUSE", postgres)
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=9MB")
    monkeypatch.setenv("PGOPTIONS", dbt.environment(Settings.load(tmp_path), [])["PGOPTIONS"])
    names = ("enable_nestloop", "jit", "work_mem")
    ((*found,),) = pg.execute(postgres, f"select {', '.join(f'current_setting({name!r})' for name in names)}")
    assert found == ["off", "off", "9MB"]
