"""A night on two machines that share Postgres, a broker and S3, and one of them is lost."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kombu import Connection
from sqlalchemy import make_url

from ingestion.core.settings import PROJECT_ROOT
from ingestion.sandbox.company import Company
from ingestion.sandbox.faults import Fault, FaultKind
from orchestration.storage import SCHEMA
from tests import buckets
from tests import postgres as pg
from tests.services import BIN, LIMIT_SECONDS, Service, Services, assert_the_night_is_right
from tests.stand import FIRST_DAY, KEY, Stand

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("workers")]

CLI = [sys.executable, "-m", "orchestration.cli"]
STARTS = f"""
select step_key, count(*) from {SCHEMA}.event_logs
where dagster_event_type = 'STEP_WORKER_STARTED' group by 1
"""


@contextmanager
def broker(server_url: str) -> Iterator[str]:
    """The URL of an empty broker: kombu's own transport, over tables in a database of its own."""
    with pg.database(server_url) as url:
        place = f"sqla+{make_url(url).set(drivername='postgresql+psycopg2').render_as_string(False)}"
        with Connection(place) as connection:
            channel = connection.channel()
            channel._new_queue("first")  # makes the tables, which two workers at once cannot
            engine = channel.session.get_bind()
            channel.session.close()  # kombu leaves it open, and its connection would outlive the database
            engine.dispose()
        yield place


def machine(root: Path, shared: dict[str, str], config: Path) -> dict[str, str]:
    """The environment of a machine: disks of its own, with the configuration as it gets it."""
    root.mkdir()
    shutil.copytree(config, root / "config")
    own = {"C4_DATA": str(root), "C4_MANIFESTS": str(root / "manifests"), "DAGSTER_HOME": str(root / "dagster")}
    return {**os.environ, **shared, **own, "TMPDIR": str(root), "PYTHONPATH": str(PROJECT_ROOT)}


def prepare(machines: list[dict[str, str]]) -> None:
    """Make the databases from the first machine, and give each the parsed models as its image would have them."""
    parsed = Path(os.environ["C4_MANIFESTS"])
    subprocess.run([*CLI, "prepare"], env={**machines[0], "C4_MANIFESTS": str(parsed)}, cwd=PROJECT_ROOT, check=True)
    for environment in machines:
        own = Path(environment["C4_MANIFESTS"])
        own.mkdir()
        for path in (*parsed.glob("manifest-*.json"), *parsed.glob("manifest-*.msgpack")):
            shutil.copy(path, own)


def at_work(url: str, step: str) -> int | None:
    """The process that has claimed a step."""
    pattern = f"^c4 {step} (\\d+)@"
    for (name,) in pg.execute(url, "select application_name from pg_stat_activity"):
        if found := re.match(pattern, name or ""):
            return int(found[1])
    return None


def test_a_night_outlives_one_of_two_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_server: str, postgres: str
) -> None:
    """Catches: a step that is lost with its machine and that nobody does again; a file that only one machine has; a
    journal lost or posted twice.
    """
    made = Company.build(outlets=2, days=1, start=FIRST_DAY, checks_per_day=8)
    with buckets.server() as access, broker(postgres_server) as broker_url:
        shared = {
            **access,
            "C4_WAREHOUSE": postgres,
            "C4_OPS": postgres,
            "C4_LANDING": f"s3://{buckets.bucket(access)}/landing",
            "C4_KEY": KEY,
        }
        for name, value in shared.items():
            monkeypatch.setenv(name, value)
        with Stand.open(tmp_path / "stand", ["moka", "bamboohr", "sap-s4hana", "xero"], made=made, days=1) as stand:
            stand.set_timeout(10.0)
            shared |= {"C4_EXECUTOR": "celery", "C4_BROKER": broker_url, "C4_AS_OF": stand.now.isoformat()}
            config = stand.root / "config"
            first, *others = (machine(tmp_path / name, shared, config) for name in ("first", "second", "third"))
            prepare([first, *others])
            workers = Services()
            for name, environment in zip(("second", "third"), others, strict=True):
                workers.all[name] = Service(name, [*CLI, "worker"], environment, tmp_path / f"{name}.log")
            till = stand.running.faults("moka")
            till.add(Fault(kind=FaultKind.TIMEOUT_BEFORE_COMMIT))  # a till is slow: there is time to lose a machine
            tags = json.dumps({"c4/as_of": stand.now.isoformat()})
            command = [str(BIN / "dagster"), "job", "execute", "-m", "orchestration.definitions", "-j", "nightly"]
            log = tmp_path / "first.log"
            with log.open("wb") as output:
                night = subprocess.Popen([*command, "--tags", tags], env=first, stdout=output, stderr=output)
            try:
                is_read = FaultKind.TIMEOUT_BEFORE_COMMIT
                workers.until(lambda: till.struck[is_read] or night.poll() is not None, "the till is read")
                assert night.poll() is None, log.read_text()[-3000:]
                reader = at_work(postgres, "load_moka")
                assert reader is not None
                lost = next(name for name, worker in workers.all.items() if os.getpgid(reader) == worker.pid)
                workers.all.pop(lost).kill()  # and it stays away
                assert night.wait(2 * LIMIT_SECONDS) == 0, log.read_text()[-3000:]
            finally:
                night.kill()
                night.wait()
                for worker in workers.all.values():
                    worker.stop()

            assert_the_night_is_right(stand, ["sap-s4hana", "xero"])
            starts = dict(pg.execute(postgres, STARTS))
            assert starts.pop("load_moka") == 2
            assert set(starts.values()) == {1}
            on_disks = [path for path in tmp_path.rglob("*.pages") if path.parent.name != "scratch"]
            assert on_disks == []  # what the lost one left in its scratch folder nobody reads
