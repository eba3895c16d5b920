"""The services as deploy/compose.yaml starts them, a night through Dagster's API, and each of them killed meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ingestion.core.settings import PROJECT_ROOT
from ingestion.sandbox.company import Company
from ingestion.sandbox.faults import Fault, FaultKind
from ingestion.vendors.sap_s4hana.sandbox import POST_PATH
from tests import postgres as pg
from tests.postgres import Restartable, restartable_server
from tests.services import assert_the_night_is_right, composed, running
from tests.stand import FIRST_DAY, Stand

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("services")]


def impatient(dagster_yaml: Path) -> None:
    """The platform's own configuration with shorter pauses between looks."""
    document = yaml.safe_load(dagster_yaml.read_text())
    document["run_monitoring"] |= {"poll_interval_seconds": 2, "free_slots_after_run_end_seconds": 1}
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
    at_work = "select 1 from pg_stat_activity where application_name = 'dbt'"  # its statements are too short to be met
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
                # the code server takes its run along; Postgres may, where it goes down outside of a step
                lost = len(done) - 1
                assert lost in (1, 2)
                assert [run["status"] for run in done] == ["SUCCESS", *["FAILURE"] * lost]
                assert {run["rootRunId"] for run in done[:-1]} == {done[-1]["runId"]} == {first}
                assert {"key": "dagster/retry_number", "value": str(lost)} in done[0]["tags"]
                assert {service.kills for name, service in services.all.items() if name != "webserver"} == {1}

            assert_the_night_is_right(stand, targets)
