"""Messages per second that a listener makes durable, and pages per second that each vendor's wire types decode.

The sender is the sandbox agent of one Aloha site, in this process; the listener runs in another one, on SQLite. The
floor is the same client over the same socket with a keeper that keeps nothing.

python -m benchmarks.sockets listen DATA [floor]      the listener, as a process of its own
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import measured

FIRST_DAY = date(2026, 4, 4)
NIGHT = datetime(2026, 4, 5, 22, 0, tzinfo=UTC)
VENDOR = "ncr-aloha"
LONGEST = 600.0  # seconds that a run may take
DECODE_SECONDS = 2.0  # of each stream


def measure(checks: int) -> dict[str, Any]:
    """Messages per second of both sides over one connection, from its beginning to the last acknowledgement."""
    from ingestion.sandbox.clock import Clock
    from ingestion.sandbox.company import Company
    from ingestion.vendors.ncr_aloha.sandbox import AlohaSandbox

    company = Company.build(outlets=2, days=1, start=FIRST_DAY, checks_per_day=checks, pos=(VENDOR,))
    sandbox = AlohaSandbox(company, Clock(NIGHT))
    site = min(sandbox.sites)
    messages = len(sandbox.events(site))  # made before anything is measured
    found = {}
    for side in ("floor", "ours"):
        folder = Path(tempfile.mkdtemp(prefix="bench-sockets-"))
        try:
            with sandbox.listen(site) as agent:
                _configure(folder, company, sandbox, f"{site}=127.0.0.1:{agent.port}")
                with _listener(folder, *(["floor"] if side == "floor" else [])):
                    while not agent.connections:
                        time.sleep(0.001)
                    begun = time.perf_counter()
                    if not agent.caught_up.wait(LONGEST):
                        raise RuntimeError("the listener does not catch up")
                    found[side] = messages / (time.perf_counter() - begun)
        finally:
            shutil.rmtree(folder)
    return {
        "messages": messages,
        "messages_per_second": round(found["ours"]),
        "floor_per_second": round(found["floor"]),
        "ours_to_floor": round(found["ours"] / found["floor"], 3),
    }


def _configure(folder: Path, company: Any, sandbox: Any, agents: str) -> None:
    from ingestion.core.platform import Platform
    from ingestion.core.settings import Settings
    from ingestion.sandbox.clock import Clock
    from ingestion.sandbox.server import serve

    running = serve(company, Clock(NIGHT), [VENDOR], drop=folder / "drop")
    company.write_config(folder / "config", running)
    running.close()
    path = folder / "config" / "integrations.yaml"
    document = msgspec.yaml.decode(path.read_bytes())
    for integration in document["integrations"]:
        integration["settings"]["agents"] = agents
    path.write_bytes(msgspec.yaml.encode(document))
    platform = Platform.open(Settings.load(folder, NIGHT))
    for account in platform.integrations(VENDOR):
        platform.ops.set_credentials(account.integration_id, sandbox.credentials(), who="benchmark")


@contextlib.contextmanager
def _listener(folder: Path, *arguments: str) -> Iterator[None]:
    command = [sys.executable, "-m", "benchmarks.sockets", "listen", str(folder), *arguments]
    process = subprocess.Popen(command, env={**os.environ, **measured.COMPILED})
    try:
        yield
    finally:
        process.terminate()
        process.wait()


class _Nothing:
    """A keeper that keeps nothing."""

    def store(self, _: Any) -> Future[bool]:
        done: Future[bool] = Future()
        done.set_result(True)
        return done

    def position(self, name: str = "") -> int:
        return 0

    def remember(self, position: int, name: str = "") -> None: ...

    def heard(self) -> None: ...

    def lost(self, number: int, why: str) -> None: ...


def _listen(data: str, floor: bool) -> None:
    from ingestion.core.platform import Platform
    from ingestion.core.settings import Settings
    from ingestion.receiver.listen import Listener, lines

    platform, stop = Platform.open(Settings.load(data, NIGHT)), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    if not floor:
        Listener(platform, stop).run()
        return
    (account,) = platform.integrations(VENDOR)
    (follow,) = lines(platform, account).values()
    follow(_Nothing(), stop)


def decoding() -> list[dict[str, Any]]:
    """What each vendor's greatest stream decodes: records and bytes a second on one core, from pages as they landed."""
    from ingestion.core.platform import Platform
    from ingestion.core.records import PageDecoder
    from ingestion.core.registry import connectors
    from ingestion.core.settings import Settings
    from ingestion.core.spec import Category
    from ingestion.core.sync import sync
    from ingestion.sandbox.clock import Clock
    from ingestion.sandbox.company import Company
    from ingestion.sandbox.server import serve

    found = []
    for name, connector in connectors().items():
        is_till = connector.category is Category.POS
        folder = Path(tempfile.mkdtemp(prefix="bench-decoding-"))
        company = Company.build(
            outlets=3, days=1, start=FIRST_DAY, checks_per_day=200, pos=(name if is_till else "moka",)
        )
        clock = Clock(company.nights()[0])
        try:
            with serve(company, clock, [name], drop=folder / "drop") as running:
                running.set_clock(clock.now())
                company.write_config(folder / "config", running)
                platform = Platform.open(Settings.load(folder, clock.now()))
                for account in platform.integrations(name):
                    platform.ops.set_credentials(
                        account.integration_id, running.sandbox(name).credentials(), who="bench"
                    )
                    sync(platform, account.integration_id)
            batches = {
                stream.name: [
                    page
                    for account in platform.integrations(name)
                    for batch in platform.landing.batches(connector.slug, account.integration_id, stream.name)
                    for page in platform.landing.pages(batch)
                    if page.meta.kind in ("page", "record")
                ]
                for stream in connector.streams
            }
            chosen = max(connector.streams, key=lambda stream: sum(len(page.content) for page in batches[stream.name]))
            decoder = PageDecoder(chosen, "bench", platform.hasher)
            records = size = 0
            begun = time.process_time()
            while (taken := time.process_time() - begun) < DECODE_SECONDS:
                for page in batches[chosen.name]:
                    decoded = decoder.decode(
                        page.content,
                        seq=1,
                        scope=page.meta.scope,
                        landing="",
                        constants=page.meta.constants,
                        is_record=page.meta.kind == "record",
                    )
                    records, size = records + decoded.read, size + len(page.content)
            found.append(
                {
                    "vendor": name,
                    "stream": chosen.name,
                    "records_per_second": round(records / taken),
                    "mb_per_second": round(size / taken / 1e6, 1),
                }
            )
        finally:
            shutil.rmtree(folder)
    return found


if __name__ == "__main__":
    _listen(sys.argv[2], sys.argv[3:] == ["floor"])
