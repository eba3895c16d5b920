"""The services of deploy/compose.yaml as processes that end as their containers would, and what they are asked."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import yaml

from ingestion.core import warehouse
from ingestion.core.settings import PROJECT_ROOT
from orchestration.cli.demo import differences
from tests.stand import Stand

LIMIT_SECONDS = 240.0  # for any one thing that is waited for, on a busy machine
POLL_SECONDS = 0.5
BIN = Path(sys.executable).parent
LAUNCH = """
mutation Launch($tags: [ExecutionTag!]) {
  launchRun(executionParams: {
    selector: {repositoryLocationName: "c4", repositoryName: "__repository__", jobName: "nightly"}
    executionMetadata: {tags: $tags}
  }) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
LOADED = "{ workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError { __typename } } } } }"
RUNS = "{ runsOrError { ... on Runs { results { runId status rootRunId tags { key value } } } } }"


@dataclass
class Service:
    """One service of the compose file: its command, in a group of processes that ends as its container would."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    kills: int = 0
    _process: subprocess.Popen[bytes] | None = None

    def keep_up(self) -> None:
        """Start it if it does not run, as `restart: unless-stopped` does."""
        if self._process is None or self._process.poll() is not None:
            with self.log.open("ab") as output:
                self._process = subprocess.Popen(
                    self.command, env=self.environment, stdout=output, stderr=output, start_new_session=True
                )

    @property
    def pid(self) -> int:
        """Of its first process, and the number of its group."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End every process of its container at once."""
        assert self._process is not None
        assert self._process.poll() is None, f"{self.name} had ended by itself"
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.kills += 1

    def stop(self) -> None:
        if self._process is not None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                return
            self._process.wait()


@dataclass
class Services:
    """What keeps the services up, and a client of Dagster's GraphQL API."""

    all: dict[str, Service] = field(default_factory=dict)
    url: str = ""

    def until(self, true: Callable[[], Any], what: str) -> Any:
        """Poll until something is true, keeping every service up meanwhile. Returns it; fails after a limit."""
        end = time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < end:
            for service in self.all.values():
                service.keep_up()
            if found := true():
                return found
            time.sleep(POLL_SECONDS)
        logs = "\n".join(f"--- {name}\n{service.log.read_text()[-3000:]}" for name, service in self.all.items())
        raise AssertionError(f"waited in vain: {what}\n{self.runs()}\n{logs}")

    def ask(self, query: str, **variables: Any) -> Any:
        """The data of an answer; None while nobody answers or while the answer is an error."""
        try:
            answer = requests.post(
                f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=LIMIT_SECONDS
            )
        except requests.RequestException:
            return None
        return answer.json().get("data") if answer.ok else None

    def loaded(self) -> bool:
        """Whether the webserver has the definitions from the code server."""
        data = self.ask(LOADED)
        entries = data["workspaceOrError"]["locationEntries"] if data else []
        return [entry["locationOrLoadError"]["__typename"] for entry in entries] == ["RepositoryLocation"]

    def launch(self, **tags: str) -> str:
        """Queue the nightly job, once. Returns the id of the run."""
        data = self.ask(LAUNCH, tags=[{"key": key, "value": value} for key, value in tags.items()])
        assert data
        assert data["launchRun"]["__typename"] == "LaunchRunSuccess", data
        return str(data["launchRun"]["run"]["runId"])

    def runs(self) -> list[dict[str, Any]]:
        """Every run, the latest first."""
        data = self.ask(RUNS)
        return data["runsOrError"]["results"] if data else []


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def composed() -> dict[str, dict[str, Any]]:
    return yaml.safe_load((PROJECT_ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))["services"]


@contextmanager
def running(root: Path, own: Mapping[str, str]) -> Iterator[Services]:
    """The compose file's services with its commands; `own` replaces what its environment says of paths and places."""
    ports = {"DAGSTER_GRPC_PORT": free_port(), "DAGSTER_WEBSERVER_PORT": free_port()}
    services = Services(url=f"http://127.0.0.1:{ports['DAGSTER_WEBSERVER_PORT']}")
    for name in ("code", "webserver", "daemon"):
        said = composed()[name]
        program, *arguments = (str(part).replace("/app/", f"{PROJECT_ROOT}/") for part in said["command"])
        fixed = {key: value for key, value in said["environment"].items() if "$" not in (value or "$")}
        environment = {**os.environ, **fixed, **ports, **own, "PYTHONPATH": str(PROJECT_ROOT)}
        services.all[name] = Service(name, [str(BIN / program), *arguments], environment, root / f"{name}.log")
    try:
        yield services
    finally:
        for service in services.all.values():
            service.stop()


def assert_the_night_is_right(stand: Stand, targets: Iterable[str]) -> None:
    """The published marts equal the truth, every outlet-day is posted, and the targets hold every journal once."""
    with warehouse.published(stand.settings()) as marts:
        assert marts is not None
        assert differences(marts, stand.company.truth(stand.now)) == []
        assert marts.execute("select distinct state from outlet_days").fetchall() == [("posted",)]
    held = stand.platform().ops.snapshot()["outbox"][1]
    assert {document["status"] for document in held} == {"confirmed"}
    posted: dict[str, int] = {}
    for target in targets:
        for reference, documents in stand.running.sandbox(target).live_documents().items():
            posted[reference] = posted.get(reference, 0) + len(documents)
    assert posted == {document["reference"]: 1 for document in held}
