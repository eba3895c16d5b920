"""The services as deploy/compose.yaml starts them, a night through Dagster's API, and each of them killed meanwhile."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from ingestion.core import warehouse
from ingestion.core.settings import PROJECT_ROOT
from ingestion.sandbox.company import Company
from ingestion.sandbox.faults import Fault, FaultKind
from ingestion.vendors.sap_s4hana.sandbox import POST_PATH
from orchestration.cli.demo import differences
from tests import postgres as pg
from tests.postgres import Restartable, restartable_server
from tests.stand import FIRST_DAY, Stand

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("services")]

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
        environment = {**os.environ, **said["environment"], **ports, **own, "PYTHONPATH": str(PROJECT_ROOT)}
        services.all[name] = Service(name, [str(BIN / program), *arguments], environment, root / f"{name}.log")
    try:
        yield services
    finally:
        for service in services.all.values():
            service.stop()


def impatient(dagster_yaml: Path) -> None:
    """The platform's own configuration with shorter pauses between looks."""
    document = yaml.safe_load(dagster_yaml.read_text())
    document["run_monitoring"] |= {"poll_interval_seconds": 2, "free_slots_after_run_end_seconds": 1}
    document["run_launcher"]["config"]["grace_seconds"] = 20
    document["run_coordinator"] = {
        "module": "dagster",
        "class": "QueuedRunCoordinator",
        "config": {"dequeue_interval_seconds": 1},
    }
    dagster_yaml.write_text(yaml.safe_dump(document))


def settled(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The runs, once the platform will start no further one of them by itself."""
    if not runs:
        return []
    given_up = {"key": "dagster/will_retry", "value": "false"} in runs[0]["tags"]
    return runs if given_up or runs[0]["status"] in ("SUCCESS", "CANCELED") else []


def dbt_is_at_work(server: Restartable) -> bool:
    at_work = "select 1 from pg_stat_activity where application_name = 'dbt' and state = 'active'"
    return bool(pg.execute(server.url, at_work))


def test_a_night_outlives_its_daemon_its_code_server_and_postgres(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: a night that nobody continues when a service dies, or that only a person can continue; a limit's slot
    that a dead run keeps; a step that lost Postgres taken for one with bad data; a journal lost or posted twice.
    """
    made = Company.build(outlets=2, days=1, start=FIRST_DAY, checks_per_day=8)
    targets = ["sap-s4hana", "xero"]  # of the two outlets
    vendors = ["moka", "bamboohr", *targets]
    with restartable_server() as server:
        monkeypatch.setenv("C4_WAREHOUSE", server.url)
        monkeypatch.setenv("C4_OPS", server.url)
        with Stand.open(tmp_path / "company", vendors, made=made, days=1) as stand:
            stand.set_timeout(10.0)
            own = {
                "C4_DATA": str(stand.root),
                "C4_CONFIG": str(stand.root / "config"),
                "C4_KEY_FILE": str(stand.root / "c4.key"),
                "C4_WAREHOUSE": server.url,
                "C4_OPS": server.url,
                "C4_AS_OF": stand.now.isoformat(),
                "C4_CODE_HOST": "127.0.0.1",
                "C4_SCHEDULES": "off",
                "C4_SLACK_WEBHOOK": "",
                "DAGSTER_HOME": str(stand.root / "dagster"),
            }
            till, ledger = stand.running.faults("moka"), stand.running.faults("sap-s4hana")
            with running(tmp_path, own) as services:
                prepare = [sys.executable, "-m", "orchestration.cli", *composed()["prepare"]["command"][1:]]
                subprocess.run(prepare, env={**os.environ, **own}, cwd=PROJECT_ROOT, check=True)
                impatient(stand.root / "dagster" / "dagster.yaml")

                # a till is slow: the night is in its loads
                till.add(Fault(kind=FaultKind.TIMEOUT_BEFORE_COMMIT))
                tag = {"c4/as_of": stand.now.isoformat()}
                services.until(services.loaded, "the code server has its definitions")
                first = services.launch(**tag)
                services.until(lambda: till.struck[FaultKind.TIMEOUT_BEFORE_COMMIT], "the till is read")
                services.all["daemon"].kill()

                services.until(lambda: dbt_is_at_work(server), "the marts are being built")
                server.crash()
                server.start()

                # the target has the journal and has not said so
                ledger.add(Fault(kind=FaultKind.TIMEOUT_AFTER_COMMIT, path=POST_PATH))
                services.until(lambda: ledger.struck[FaultKind.TIMEOUT_AFTER_COMMIT], "a journal is sent")
                services.all["code"].kill()

                done = services.until(lambda: settled(services.runs()), "the night is done")
                assert [run["status"] for run in done] == ["SUCCESS", "FAILURE"]
                assert (done[0]["rootRunId"], done[1]["runId"]) == (first, first)
                assert {"key": "dagster/retry_number", "value": "1"} in done[0]["tags"]
                assert {service.kills for name, service in services.all.items() if name != "webserver"} == {1}

            with warehouse.published(stand.settings()) as marts:
                assert marts is not None
                assert differences(marts, made.truth(stand.now)) == []
                assert marts.execute("select distinct state from outlet_days").fetchall() == [("posted",)]
            held = stand.platform().ops.snapshot()["outbox"][1]
            assert {document["status"] for document in held} == {"confirmed"}
            posted: dict[str, int] = {}
            for target in targets:
                for reference, documents in stand.running.sandbox(target).live_documents().items():
                    posted[reference] = posted.get(reference, 0) + len(documents)
            assert posted == {document["reference"]: 1 for document in held}
