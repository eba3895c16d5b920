"""Steps on several machines: what they must share, who has claimed what, and what is never done twice."""

# ruff: noqa: TID251 - these are tests of the orchestration

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRunStatus, job, op
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.reconstruct import reconstructable
from dagster._core.errors import DagsterImportError
from dagster._core.origin import JobPythonOrigin

from ingestion.core.config import ConfigError
from ingestion.core.settings import Settings
from orchestration.claims import Claims
from orchestration.instance import dagster_home
from orchestration.night import HOST_TAG, _held, close_lost_runs
from orchestration.storage import storage_url
from orchestration.workers import MAX_STARTS, claim_of, claims_of, progress_of, run_step
from tests import postgres as pg
from tests.stand import KEY

SHARED = {
    "C4_WAREHOUSE": "postgresql://c4@db/c4",
    "C4_OPS": "postgresql://c4@db/c4",
    "C4_LANDING": "s3://bucket/landing",
    "C4_BROKER": "amqp://c4@broker//",
    "C4_KEY": KEY,
}


@op
def count() -> None:
    """A step that tells how often it was done."""
    with open(os.environ["COUNTED"], "a", encoding="ascii") as counted:
        counted.write("x")


@job
def counting() -> None:
    count()


# What machines must share


def test_what_all_machines_share_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SHARED.items():
        monkeypatch.setenv(name, value)
    assert "db" in claims_of(Settings.load(tmp_path)).url


@pytest.mark.parametrize("missing", SHARED)
def test_what_only_one_machine_has_is_refused(missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a night over several machines that each have a warehouse, a landing zone or a key of their own; words
    that do not say which setting it is.
    """
    for name, value in SHARED.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv(missing)
    with pytest.raises(ConfigError, match="C4_EXECUTOR=celery needs") as told:
        claims_of(Settings.load(tmp_path))
    assert missing in str(told.value)
    assert not any(name in str(told.value) for name in SHARED.keys() - {missing})


def test_a_folder_is_no_landing_zone_of_several_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**SHARED, "C4_LANDING": f"file://{tmp_path}"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="C4_LANDING is a folder"):
        claims_of(Settings.load(tmp_path))


# Claims


def test_a_claim_is_one_owner_s_until_its_session_ends(postgres: str) -> None:
    """Catches: two machines at one step; a claim that outlives its machine, or that nobody can see."""
    claims = Claims(postgres)
    with claims.take(["a", "b"], "c4 first") as first:
        assert first
        assert claims.is_held("a")
        assert not claims.is_held("c")
        with claims.take(["c", "b"], "c4 second") as second:
            assert not second
            assert claims.is_held("c")  # while it looked
        assert not claims.is_held("c")
        assert pg.execute(postgres, "select 1 from pg_stat_activity where application_name = 'c4 first'")
    assert not claims.is_held("a")
    with claims.take(["b"], "c4 third") as third:
        assert third


def test_who_loses_a_claim_is_told(postgres: str) -> None:
    """Catches: a machine cut off from Postgres that goes on while another one does its step; a step that cannot be
    stopped; a changed setting of the server taken for a loss.
    """
    claims, lost = Claims(postgres), threading.Event()
    with claims.take(["a"], "c4 first", lost.set) as taken:
        assert taken
        pg.execute(postgres, "select pg_reload_conf()")
        assert claims.is_held("a")
        assert not lost.is_set()
        claims.revoke("a")
        assert lost.wait(30)
        assert not claims.is_held("a")
    ended = threading.Event()
    with claims.take(["a"], "c4 second", ended.set):
        pass
    assert not ended.is_set()


# Steps


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres: str) -> Settings:
    for name, value in {**SHARED, "C4_WAREHOUSE": postgres, "C4_OPS": postgres}.items():
        monkeypatch.setenv(name, value)
    settings = Settings.load(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(dagster_home(settings)))
    return settings


@pytest.fixture
def instance(settings: Settings) -> Iterator[DagsterInstance]:
    with DagsterInstance.get() as opened:
        yield opened


def test_a_step_is_done_once_however_often_it_is_sent(
    settings: Settings, instance: DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: a message that a broker delivers again and the step is done again; a step that kills each worker, for
    ever; a step of a run that was ended, or that another machine or another run's remains are at.
    """
    counted = tmp_path / "counted"
    monkeypatch.setenv("COUNTED", str(counted))
    claims = claims_of(settings)

    def begun(code: JobPythonOrigin) -> str:
        return instance.create_run_for_job(counting, status=DagsterRunStatus.STARTED, job_code_origin=code).run_id

    origin = reconstructable(counting).get_python_origin()
    run_id = begun(origin)
    for name in (claim_of(run_id, "count"), "step/count"):
        with claims.take([name], "c4 elsewhere"):
            run_step(claims, run_id, "count", None)
    assert not counted.exists()
    for _ in range(2):
        run_step(claims, run_id, "count", None)
    assert counted.read_text() == "x"
    assert progress_of(instance, run_id, "count", 0) == (0, True)
    assert progress_of(instance, run_id, "count", 1) == (0, False)  # of a try that was asked for and not begun

    nowhere = origin.repository_origin._replace(code_pointer=ModuleCodePointer("no.such.module", "defs"))
    fatal = begun(origin._replace(repository_origin=nowhere))  # its steps begin, and end without a word
    for _ in range(MAX_STARTS + 1):
        with contextlib.suppress(DagsterImportError):
            run_step(claims, fatal, "count", None)
    assert progress_of(instance, fatal, "count", 0) == (MAX_STARTS, False)

    ended = begun(origin)
    instance.report_run_canceled(instance.get_run_by_id(ended))
    run_step(claims, ended, "count", None)
    assert progress_of(instance, ended, "count", 0) == (0, False)


def test_a_night_is_left_alone_while_its_process_lives(
    ops_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: a machine that takes another one's night for lost, because it has no file of it; a night that was
    killed and keeps its place for ever.
    """
    monkeypatch.setenv("C4_OPS", ops_url)
    settings = Settings.load(tmp_path / "here")
    there = replace(settings, data=tmp_path / "there") if storage_url(settings) else settings
    monkeypatch.setenv("DAGSTER_HOME", str(dagster_home(settings)))
    tags = {HOST_TAG: "another machine"}
    with DagsterInstance.get() as instance:
        living, gone = (
            instance.create_run_for_job(counting, status=DagsterRunStatus.STARTED, tags=tags).run_id for _ in range(2)
        )
        with _held(there, living) as is_ours:
            assert is_ours
            close_lost_runs(instance, settings)
            assert instance.get_run_by_id(living).status is DagsterRunStatus.STARTED
            assert instance.get_run_by_id(gone).status is DagsterRunStatus.FAILURE
