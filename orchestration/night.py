"""Run a night in this process: the same job that the schedule starts, for the command line and for tests."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from dagster import DagsterEventType, DagsterInstance, DagsterRunStatus, RunsFilter
from dagster._core.events.log import EventLogEntry
from dagster._utils.error import SerializableErrorInfo
from filelock import FileLock, Timeout

from assets.platform import AS_OF_TAG, FULL_REFRESH_TAG
from ingestion.core.settings import Settings
from orchestration.claims import Claims
from orchestration.instance import dagster_home
from orchestration.jobs import NIGHTLY
from orchestration.storage import storage_url

HOST_TAG = "c4/host"  # of a run whose process is the command line's own

StepListener = Callable[[str, str], None]  # step name, "start" | "done" | "failed"


@dataclass(slots=True)
class NightResult:
    """How a night ended; `seconds` by step. `failed_checks` are asset checks that did not pass, with severity."""

    success: bool
    run_id: str
    seconds: dict[str, float] = field(default_factory=dict)
    wall: float = 0.0  # of the whole job, its start and its bookkeeping included
    failed_checks: list[tuple[str, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def phases(self) -> dict[str, float]:
        """Seconds by phase; orchestration is what no step accounts for."""
        phases = dict.fromkeys(("extract_load", "transform", "export"), 0.0)
        for step, value in self.seconds.items():
            if step.startswith("load_"):
                phases["extract_load"] += value
            elif step.startswith("export"):
                phases["export"] += value
            elif step in ("reference", "transform", "close", "postings", "published__marts"):
                phases["transform"] += value
        return {**phases, "orchestration": max(self.wall - sum(self.seconds.values()), 0.0)}


def run_night(
    settings: Settings, as_of: datetime, listener: StepListener | None = None, *, full_refresh: bool = False
) -> NightResult:
    """Run the nightly job as of a moment (aware). Returns also when steps failed; never posts twice.

    `full_refresh` makes every mart anew, all of history.
    """
    home = dagster_home(settings)
    os.environ["DAGSTER_HOME"] = str(home)
    from orchestration.wiring import (
        build,
    )  # imports dagster_dbt and parses the manifest: only when a night runs

    run_id = str(uuid4())
    begun = time.monotonic()
    with DagsterInstance.get() as instance:
        started: dict[str, float] = {}
        result = NightResult(success=False, run_id=run_id)

        def watch(entry: EventLogEntry) -> None:
            event = entry.dagster_event
            if event is None or event.step_key is None:
                return
            if event.event_type is DagsterEventType.STEP_START:
                started[event.step_key] = entry.timestamp
                state = "start"
            elif event.event_type in (DagsterEventType.STEP_SUCCESS, DagsterEventType.STEP_FAILURE):
                result.seconds[event.step_key] = entry.timestamp - started.get(event.step_key, entry.timestamp)
                state = "done" if event.event_type is DagsterEventType.STEP_SUCCESS else "failed"
            else:
                return
            if listener is not None:
                listener(event.step_key, state)

        close_lost_runs(instance, settings)
        job = build(settings).resolve_job_def(NIGHTLY)
        instance.add_event_listener(run_id, watch)
        log = settings.data / "dagster" / "night.log"
        with (
            _held(settings, run_id),
            log.open("a", encoding="utf-8") as output,
            contextlib.redirect_stdout(output),
        ):
            outcome = job.execute_in_process(
                instance=instance,
                run_id=run_id,
                tags={
                    AS_OF_TAG: as_of.isoformat(),
                    HOST_TAG: socket.gethostname(),
                    **({FULL_REFRESH_TAG: "true"} if full_refresh else {}),
                },
                raise_on_error=False,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )
        for event in outcome.all_events:
            if event.event_type is DagsterEventType.ASSET_CHECK_EVALUATION:
                evaluation = event.asset_check_evaluation_data
                if not evaluation.passed:
                    name = f"{evaluation.asset_key.to_user_string()} {evaluation.check_name}"
                    result.failed_checks.append((name, evaluation.severity.value))
            elif event.event_type is DagsterEventType.STEP_FAILURE:
                result.errors.append(f"{event.step_key}: {_root_message(event.step_failure_data.error)}"[:2000])
        result.success = outcome.success
        result.wall = time.monotonic() - begun
    return result


def close_lost_runs(instance: DagsterInstance, settings: Settings) -> None:
    """Mark runs of this module whose process is gone as failed, and free the pools that they still hold.

    Without it, the next night would wait for a slot that nobody gives back.
    """
    running = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
    for run in instance.get_runs(RunsFilter(statuses=running)):
        if HOST_TAG not in run.tags:
            continue
        with _held(settings, run.run_id) as is_ours:
            now = instance.get_run_by_id(run.run_id)
            if not is_ours or now is None or now.is_finished:
                continue  # its process lives, or it ended well while we looked
            instance.report_run_failed(run, "The process that ran this night has ended.")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


@contextlib.contextmanager
def _held(settings: Settings, run_id: str) -> Iterator[bool]:
    """A lock that lasts as long as the process of a run; False when another process has it.

    It lies where the runs are written down: machines that share Dagster's storage see each other's.
    """
    url = storage_url(settings)
    if url is not None:
        with Claims(url).take([f"night/{run_id}"], f"c4 night {run_id}") as taken:
            yield taken
        return
    lock = FileLock(dagster_home(settings) / f"{run_id}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _root_message(error: SerializableErrorInfo | None) -> str:
    """The words of the first cause: what went wrong, not where Dagster noticed."""
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error is not None else "failed"
