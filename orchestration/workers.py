"""Steps on several machines: Celery carries a step's name to a worker, everything else is in Postgres.

The broker is a doorbell. A message names a run and a step; the worker claims the step (`orchestration.claims`), runs it
and writes its events into Dagster's log, where the run's own process reads them. So nothing depends on what a broker
does with messages of workers that died: a step that nobody has and that has not ended is sent again, and a message that
comes twice finds the step claimed or ended.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from celery import Celery
from dagster import DagsterEvent, DagsterEventType, DagsterInstance, DagsterRun, executor
from dagster._cli.api import _execute_step_command_body
from dagster._core.definitions.executor_definition import ExecutorDefinition, multiple_process_executor_requirements
from dagster._core.events import EngineEventData
from dagster._core.execution.plan.state import KnownExecutionState
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.init import InitExecutorContext
from dagster._core.executor.step_delegating import (
    CheckStepHealthResult,
    StepDelegatingExecutor,
    StepHandler,
    StepHandlerContext,
)
from dagster._grpc.types import ExecuteStepArgs
from dagster._serdes import deserialize_value, serialize_value
from kombu.exceptions import OperationalError

from assets.platform import LOADS, QUEUE_TAG, WAREHOUSE
from ingestion.core.config import ConfigError
from ingestion.core.settings import Settings
from orchestration.claims import Claims
from orchestration.instance import dagster_home
from orchestration.storage import storage_url

QUEUES = (LOADS, WAREHOUSE)
TASK = "c4.step"
LOOK_SECONDS = 5  # between two looks at the steps that are under way
FIRST_PAUSE_SECONDS = 30.0  # before a step that no worker has taken is sent again; doubled each time
MAX_STARTS = 3  # of one try of a step whose worker is lost each time
ENDS = {
    DagsterEventType.STEP_SUCCESS,
    DagsterEventType.STEP_FAILURE,
    DagsterEventType.STEP_SKIPPED,
    DagsterEventType.STEP_UP_FOR_RETRY,
}

log = logging.getLogger(__name__)


def celery_app(settings: Settings) -> Celery:
    """The Celery application of both sides. Messages are JSON; results are Dagster's events, so none are kept."""
    app = Celery("c4", broker=settings.broker, set_as_current=False)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=True,  # with the next line: a busy worker reserves no step that another one could begin
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=100,
        task_publish_retry_policy={"max_retries": 3, "interval_start": 0.5, "interval_step": 1, "interval_max": 3},
    )
    return app


def claims_of(settings: Settings) -> Claims:
    """Where workers claim steps. Raises ConfigError unless everything that machines share can be shared."""
    refuse_what_is_not_shared(settings)
    url = storage_url(settings)
    assert url is not None  # the ops database is Postgres
    return Claims(url)


def refuse_what_is_not_shared(settings: Settings) -> None:
    """Raise ConfigError naming every setting that would keep on one machine what several need."""
    found = []
    if settings.is_duckdb:
        found.append("C4_WAREHOUSE is a DuckDB file, which one machine writes; set it to postgresql://...")
    if storage_url(settings) is None or not settings.ops.startswith("postgres"):
        found.append("C4_OPS or C4_DAGSTER_STORAGE is an SQLite file; set them to postgresql://...")
    if not settings.landing_is_remote:
        found.append("C4_LANDING is a folder of this machine; set it to s3://bucket/prefix")
    if not settings.broker:
        found.append("C4_BROKER is not set; set it to amqp://user:password@host:5672//")
    if not os.environ.get("C4_KEY") and not settings.key_file.exists():
        found.append(f"there is no key: all machines need the same one, in C4_KEY or as {settings.key_file}")
    if found:
        raise ConfigError("C4_EXECUTOR=celery needs what all machines share: " + "; ".join(found))


# The side of the run: its own process sends steps and watches over them


@dataclass(frozen=True, slots=True)
class _Sent:
    """How often a try of a step was sent."""

    times: int = 0
    last: float = 0.0  # monotonic seconds


class WorkerSteps(StepHandler):
    """Sends steps to queues, again when their worker is lost. One for each run."""

    def __init__(self, app: Celery, claims: Claims) -> None:
        self._app = app
        self._claims = claims
        self._sent: dict[str, _Sent] = {}

    @property
    def name(self) -> str:
        return "celery"

    def launch_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        step_key, _ = _step_of(step_handler_context)
        self._sent[step_key] = _Sent()
        yield self._send(step_handler_context, "")

    def check_step_health(self, step_handler_context: StepHandlerContext) -> CheckStepHealthResult:
        """Look whether a worker has the step, and send it again if it was lost. Unhealthy after `MAX_STARTS`."""
        step_key, attempt = _step_of(step_handler_context)
        run_id = step_handler_context.execute_step_args.run_id
        if self._claims.is_held(claim_of(run_id, step_key)):
            return CheckStepHealthResult.healthy()
        starts, ended = progress_of(step_handler_context.instance, run_id, step_key, attempt)  # after the look above
        if ended:
            return CheckStepHealthResult.healthy()
        if starts >= MAX_STARTS:
            return CheckStepHealthResult.unhealthy(f"its worker was lost {starts} times")
        sent = self._sent[step_key]
        if starts >= sent.times:
            self._send(step_handler_context, "Its worker was lost. ")
        elif time.monotonic() - sent.last > FIRST_PAUSE_SECONDS * 2 ** (sent.times - 1):
            self._send(step_handler_context, "No worker has taken it. ")
        return CheckStepHealthResult.healthy()

    def terminate_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        step_key, _ = _step_of(step_handler_context)
        self._claims.revoke(claim_of(step_handler_context.execute_step_args.run_id, step_key))
        yield DagsterEvent.engine_event(
            step_handler_context.get_step_context(step_key), "The worker was told to stop.", EngineEventData()
        )

    def _send(self, context: StepHandlerContext, why: str) -> DagsterEvent:
        step_key, _ = _step_of(context)
        queue = context.step_tags[step_key].get(QUEUE_TAG, WAREHOUSE)
        arguments = context.execute_step_args
        known = serialize_value(arguments.known_state) if arguments.known_state else None
        self._sent[step_key] = _Sent(self._sent[step_key].times + 1, time.monotonic())
        try:
            self._app.send_task(TASK, args=[arguments.run_id, step_key, known], queue=queue)
            told = f"{why}Sent to queue {queue}."
        except OperationalError as error:
            told = f"{why}The broker does not answer ({type(error).__name__}); it is tried again."
        return DagsterEvent.engine_event(context.get_step_context(step_key), told, EngineEventData())


def celery_executor(settings: Settings) -> ExecutorDefinition:
    """Dagster's executor for steps in other processes, with Celery's workers as these. Raises ConfigError."""
    claims = claims_of(settings)

    @executor(name="celery", requirements=multiple_process_executor_requirements())
    def celery(_: InitExecutorContext) -> StepDelegatingExecutor:
        return StepDelegatingExecutor(
            WorkerSteps(celery_app(settings), claims),
            retries=RetryMode.ENABLED,
            check_step_health_interval_seconds=LOOK_SECONDS,
        )

    return celery


def _step_of(context: StepHandlerContext) -> tuple[str, int]:
    """The one step that a handler was asked about, and which try of it: 0, one more for each retry it asked for."""
    arguments = context.execute_step_args
    assert arguments.step_keys_to_execute is not None
    (step_key,) = arguments.step_keys_to_execute
    return step_key, _attempt(arguments.known_state, step_key)


def _attempt(known: KnownExecutionState | None, step_key: str) -> int:
    return known.get_retry_state().get_attempt_count(step_key) if known else 0


# The side of a worker


def claim_of(run_id: str, step_key: str) -> str:
    return f"{run_id}/{step_key}"


def progress_of(instance: DagsterInstance, run_id: str, step_key: str, attempt: int) -> tuple[int, bool]:
    """How often workers began this try of a step, and whether it has ended, from Dagster's log."""
    records = instance.get_records_for_run(run_id, of_type={DagsterEventType.STEP_WORKER_STARTED, *ENDS}).records
    events = [record.event_log_entry.dagster_event for record in records]
    kinds = [event.event_type for event in events if event is not None and event.step_key == step_key]
    ends = [position for position, kind in enumerate(kinds) if kind in ENDS]
    if len(ends) > attempt:
        return 0, True
    return len(kinds) - (ends[-1] + 1 if ends else 0), False


def run_step(claims: Claims, run_id: str, step_key: str, known_state: str | None) -> None:
    """Run a step of a run in this process, unless somebody is at it, it has ended, or its run has.

    A process that loses its claim ends at once: the step may have begun elsewhere by then.
    """
    known = deserialize_value(known_state, KnownExecutionState) if known_state else None
    names = [claim_of(run_id, step_key), f"step/{step_key}"]  # the second: a lost run's step may still be at work
    label = f"c4 {step_key} {os.getpid()}@{socket.gethostname()}"
    with claims.take(names, label, lost=_end) as taken, DagsterInstance.get() as instance:
        run = instance.get_run_by_id(run_id)
        if not taken or run is None or run.is_finished:
            log.info("%s of run %s is not ours to do", step_key, run_id)
            return
        starts, ended = progress_of(instance, run_id, step_key, _attempt(known, step_key))
        if not ended and starts < MAX_STARTS:
            for _ in _execute_step_command_body(_arguments(run, step_key, known), instance, run):
                pass  # each event is in Dagster's log already


def _arguments(run: DagsterRun, step_key: str, known: KnownExecutionState | None) -> ExecuteStepArgs:
    assert run.job_code_origin is not None
    return ExecuteStepArgs(
        job_origin=run.job_code_origin,
        run_id=run.run_id,
        step_keys_to_execute=[step_key],
        retry_mode=RetryMode.DEFERRED,
        known_state=known,
    )


def _end() -> None:
    log.error("the claim was lost; this process ends")
    os.kill(os.getpid(), signal.SIGKILL)


def serve(settings: Settings, queues: Sequence[str], processes: int) -> int:
    """Work at steps until told to stop; returns the exit status. Raises ConfigError.

    SIGTERM lets steps that are under way come to their end; whoever kills the process earlier has them run elsewhere.
    """
    unknown = sorted(set(queues) - set(QUEUES))
    if unknown:
        raise ConfigError(f"there is no queue {unknown[0]}; there are {', '.join(QUEUES)}")
    claims = claims_of(settings)
    os.environ["DAGSTER_HOME"] = str(dagster_home(settings))
    app = celery_app(settings)

    @app.task(name=TASK)
    def step(run_id: str, step_key: str, known_state: str | None) -> None:
        run_step(claims, run_id, step_key, known_state)

    worker = app.Worker(
        queues=list(queues),
        concurrency=processes,
        pool_cls="prefork",
        loglevel="INFO",
        quiet=True,  # its banner names the broker
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    worker.start()
    return int(worker.exitcode or 0)
