"""Dagster's launcher of runs in the code server, which can also tell whether a run is still alive there.

Dagster's own cannot, so a run that went down with its code server would count as running for ever.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from dagster import DagsterRun, Field, IntSource
from dagster._config.config_schema import UserConfigSchema
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import ConfigurableClassData, deserialize_value

ANSWER_SECONDS = 10


class WatchedRunLauncher(DefaultRunLauncher):
    """Asks the code server that started a run whether it still has it.

    A server that does not answer is restarting: its answer afterwards decides, since its runs end with it (they share
    its container or control group). `max_runtime_seconds` bounds the wait. A run that is missing is given up only after
    `grace_seconds`: the daemon loads the definitions of a restarted server again within a minute, and a retry that
    comes before that fails, and Dagster tries it no second time.
    """

    def __init__(self, grace_seconds: int, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(inst_data)
        self.grace_seconds = grace_seconds
        self._missing_since: dict[str, float] = {}

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        return {"grace_seconds": Field(IntSource)}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> WatchedRunLauncher:
        return cls(config_value["grace_seconds"], inst_data)

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        client = self._get_grpc_client_for_termination(run.run_id)
        if client is None:
            return CheckRunHealthResult(WorkerStatus.UNKNOWN, "the run has no code server")
        try:
            answer = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run.run_id), timeout=ANSWER_SECONDS)
        except DagsterUserCodeUnreachableError:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "the code server does not answer")
        if deserialize_value(answer, CanCancelExecutionResult).can_cancel:
            self._missing_since.pop(run.run_id, None)
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        missing = time.monotonic() - self._missing_since.setdefault(run.run_id, time.monotonic())
        if missing < self.grace_seconds:
            return CheckRunHealthResult(
                WorkerStatus.RUNNING, f"the code server has not had the run for {missing:.0f} s"
            )
        return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "the code server was restarted and does not have the run")
