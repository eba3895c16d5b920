"""The vendor sandboxes as a process of their own, and a company folder that points at them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import requests

from ingestion.core.config import load_config
from ingestion.core.ops import store
from ingestion.core.ops.crypto import Keyring
from ingestion.core.settings import Settings
from ingestion.sandbox.clock import Clock
from ingestion.sandbox.company import Company
from ingestion.sandbox.server import Sandbox, sandbox_classes

DROP = "drop"
CONTROL_TIMEOUT = 30.0


@dataclass(slots=True)
class Sandboxes:
    """Running sandboxes: base URL by vendor, and the control address."""

    process: subprocess.Popen[str]
    urls: dict[str, str]
    control: str

    def set_clock(self, now: datetime) -> None:
        """Move the simulated time: sandboxes show what was known then."""
        self._post("/clock", {"now": now.isoformat()})

    def prepare(self) -> None:
        """Have them make ahead what they answer at this time: minutes, in a large company."""
        self._post("/prepare", {}, timeout=None)

    def faults(self, **body: Any) -> None:
        self._post("/faults", body)

    def state(self) -> dict[str, Any]:
        answer = requests.get(f"{self.control}/state", timeout=CONTROL_TIMEOUT)
        answer.raise_for_status()
        return dict(answer.json())

    def _post(self, path: str, body: dict[str, Any], timeout: float | None = CONTROL_TIMEOUT) -> None:
        requests.post(f"{self.control}{path}", json=body, timeout=timeout).raise_for_status()


@contextlib.contextmanager
def running(data: Path, *, outlets: int, days: int, checks_per_day: int | None = None) -> Iterator[Sandboxes]:
    """Start the sandboxes on free loopback ports and stop them at the end."""
    command = [sys.executable, "-m", "ingestion.sandbox", "--data", str(data)]
    command += ["--outlets", str(outlets), "--days", str(days)]
    if checks_per_day is not None:
        command += ["--checks-per-day", str(checks_per_day)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("the sandboxes did not start; run `python -m ingestion.sandbox` to see why")
        ready = json.loads(line)
        yield Sandboxes(process, ready["vendors"], ready["control"])
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class _Served:
    """The part of RunningSandboxes that `Company.write_config` needs, over sandboxes of another process."""

    def __init__(self, company: Company, now: datetime, urls: dict[str, str], drop: Path) -> None:
        clock = Clock(now)
        self._sandboxes = {vendor: kind(company, clock) for vendor, kind in sandbox_classes().items() if vendor in urls}
        self._urls = urls
        self.vendors = list(urls)
        self.drop = drop

    def sandbox(self, vendor: str) -> Sandbox:
        return self._sandboxes[vendor]

    def url(self, vendor: str) -> str:
        return self._urls[vendor]


def install_company(settings: Settings, company: Company, urls: dict[str, str]) -> Settings:
    """Write the simulated company's configuration into the data folder and store its credentials, encrypted."""
    served = _Served(company, company.nights()[-1], urls, settings.data / DROP)
    folder = settings.data / "config"
    company.write_config(folder, served)  # type: ignore[arg-type]
    installed = Settings.load(settings.data, settings.as_of)
    ops = store.Ops.open(installed.ops, Keyring.load(installed.key_file))
    for integration in load_config(folder).integrations:
        if integration.vendor in served.vendors:
            values = served.sandbox(integration.vendor).credentials()
            ops.set_credentials(integration.integration_id, values, who="c4 sandbox")
    return installed
