"""dbt in the process of a test: imported and parsed once for several commands."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.adapters.factory import reset_adapters
from dbt.cli.main import dbtRunner, dbtRunnerResult
from dbt.contracts.graph.manifest import Manifest

from assets.dbt_worker import name_no_callers

name_no_callers()


class Runner:
    """A project with its profile beside it; dbt writes into `target` and `logs` of a folder."""

    def __init__(self, folder: Path, project: Path) -> None:
        self._manifest: Manifest | None = None
        places = {
            "--project-dir": project,
            "--profiles-dir": project,
            "--target-path": folder / "target",
            "--log-path": folder / "logs",
        }
        self._flags = ["--quiet", "--log-level-file", "none"]
        self._flags += [word for name, place in places.items() for word in (name, str(place))]

    def run(self, variables: Mapping[str, str], *arguments: str) -> dict[str, str]:
        """Unique id -> status of every node that ran. Fails the test with dbt's own words.

        dbt sees these variables of ours and no others: a night in this process leaves some behind.
        """
        with pytest.MonkeyPatch.context() as patched:
            for name in [name for name in os.environ if name.startswith(("C4_", "DBT_"))]:
                patched.delenv(name)
            for name, value in {**variables, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}.items():
                patched.setenv(name, value)
            if self._manifest is None:
                self._manifest = self._invoke("parse").result
            done = self._invoke(*arguments)
        assert done.success, [(result.node.name, result.message) for result in done.result if result.message]
        return {result.node.unique_id: str(result.status) for result in done.result}

    def _invoke(self, *arguments: str) -> dbtRunnerResult:
        try:
            done = dbtRunner(manifest=self._manifest).invoke([*arguments, *self._flags])
        finally:
            reset_adapters()
            DuckDBConnectionManager.close_all_connections()
        if done.exception is not None:
            raise done.exception
        return done
