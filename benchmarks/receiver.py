"""Durable webhook events per second over a real socket, and how long a vendor waits for its 200.

Toast's events, signed, each an order of some 7 kB, sent by this process to a receiver in another one: first as fast as
it takes them, against the same server answering without looking (the floor), then at fixed rates. Latencies at a rate
count from the moment at which an event was due, so a receiver that falls behind shows it.

python -m benchmarks.receiver serve DATA [floor]      the server, as a process of its own
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from fastapi import FastAPI, Request, Response

from benchmarks import measured

CONNECTIONS = 64
MOST_PER_SECOND = 3000  # events that are made for the run at full speed
FIRST_DAY = date(2026, 4, 4)
NIGHT = datetime(2026, 4, 5, 22, 0, tzinfo=UTC)
PATH = "/api/v1/integrations/webhooks/toast"


def measure(seconds: float, rates: list[int]) -> dict[str, Any]:
    """Events per second of both sides at full speed, then p50 and p99 in milliseconds at each rate."""
    folder = Path(tempfile.mkdtemp(prefix="bench-receiver-"))
    try:
        wanted = int(seconds * MOST_PER_SECOND + sum(rate * seconds for rate in rates)) + CONNECTIONS
        made = _events(folder, wanted)  # before anything is measured
        events = iter(made)
        with _server(folder, "floor") as url:
            floor = asyncio.run(_flood(url, itertools.cycle(made), seconds))
        with _server(folder) as url:
            ours = asyncio.run(_flood(url, events, seconds))
            at_rates = [asyncio.run(_paced(url, events, rate, seconds)) for rate in rates]
        return {
            "events_per_second": round(ours["rate"]),
            "floor_per_second": round(floor["rate"]),
            "ours_to_floor": round(ours["rate"] / floor["rate"], 3),
            "bytes_per_event": ours["bytes"],
            "at_full_speed": {name: ours[name] for name in ("p50_ms", "p99_ms")},
            "at_rates": at_rates,
        }
    finally:
        shutil.rmtree(folder)


def _events(folder: Path, count: int) -> list[bytes]:
    """Whole requests, each with an event id of its own. Makes the company that they belong to in the folder."""
    from ingestion.core.platform import Platform
    from ingestion.core.settings import Settings
    from ingestion.sandbox.clock import Clock
    from ingestion.sandbox.company import Company
    from ingestion.sandbox.server import serve

    company = Company.build(outlets=4, days=1, start=FIRST_DAY, checks_per_day=50, pos=("toast",))
    running = serve(company, Clock(NIGHT), ["toast"])
    company.write_config(folder / "config", running)
    sandbox = running.sandbox("toast")
    platform = Platform.open(Settings.load(folder, NIGHT))
    for account in platform.integrations("toast"):
        platform.ops.set_credentials(account.integration_id, sandbox.credentials(), who="benchmark")
    running.close()

    def requests() -> Iterator[bytes]:
        deliveries = list(sandbox.webhooks(datetime(2000, 1, 1, tzinfo=UTC), NIGHT))
        orders = [msgspec.json.decode(delivery.body)["details"] for delivery in deliveries]
        for number, told in zip(range(count), itertools.cycle(orders), strict=False):
            at = NIGHT + timedelta(milliseconds=number)  # another time is another event
            delivery = sandbox.order_updated(at, told["restaurantGuid"], told["order"])
            head = [f"POST {PATH} HTTP/1.1", "Host: bench", "Content-Type: application/json"]
            head += [f"{name}: {value}" for name, value in delivery.headers.items()]
            head += [f"Content-Length: {len(delivery.body)}", "", ""]
            yield "\r\n".join(head).encode() + delivery.body

    return list(requests())


@contextlib.contextmanager
def _server(folder: Path, *arguments: str) -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.receiver", "serve", str(folder), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **measured.COMPILED})
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


async def _flood(url: str, events: Iterator[bytes], seconds: float) -> dict[str, Any]:
    """As fast as the server answers, over all connections, for some seconds."""
    latencies: list[float] = []
    sizes: list[int] = []
    end = time.perf_counter() + seconds

    async def send() -> None:
        reader, writer = await _connect(url)
        while (start := time.perf_counter()) < end:
            event = next(events)
            await _post(reader, writer, event)
            latencies.append(time.perf_counter() - start)
            sizes.append(len(event))
        writer.close()

    begun = time.perf_counter()
    await asyncio.gather(*(send() for _ in range(CONNECTIONS)))
    taken = time.perf_counter() - begun
    return {"rate": len(latencies) / taken, "bytes": round(statistics.mean(sizes)), **_percentiles(latencies)}


async def _paced(url: str, events: Iterator[bytes], rate: int, seconds: float) -> dict[str, Any]:
    """At a fixed rate; an event that no connection is free for waits, and its waiting counts."""
    latencies: list[float] = []
    number = itertools.count()
    begun, total = time.perf_counter(), int(rate * seconds)

    async def send() -> None:
        reader, writer = await _connect(url)
        while (mine := next(number)) < total:
            due = begun + mine / rate
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            await _post(reader, writer, next(events))
            latencies.append(time.perf_counter() - due)
        writer.close()

    await asyncio.gather(*(send() for _ in range(CONNECTIONS)))
    achieved = len(latencies) / (time.perf_counter() - begun)
    return {"asked_per_second": rate, "achieved_per_second": round(achieved), **_percentiles(latencies)}


async def _connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(url)
    return await asyncio.open_connection(parts.hostname, parts.port)


async def _post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, event: bytes) -> None:
    writer.write(event)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
    body = await reader.readexactly(length)
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"the receiver answered {head[:40]!r} {body[:200]!r}")


def _percentiles(latencies: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(latencies, n=100)
    return {"p50_ms": round(cuts[49] * 1000, 1), "p99_ms": round(cuts[98] * 1000, 1)}


def _serve(data: str, floor: bool) -> None:
    from ingestion.core.platform import Platform
    from ingestion.core.settings import Settings
    from ingestion.receiver.app import create_app
    from ingestion.receiver.server import running

    if floor:
        app = FastAPI()

        @app.post(PATH)
        async def nothing(request: Request) -> Response:
            await request.body()
            return Response(b"{}", media_type="application/json")
    else:
        app = create_app(Platform.open(Settings.load(data, NIGHT)))
    with running(app) as url:
        print(url, flush=True)
        signal.sigwait({signal.SIGTERM})


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    _serve(sys.argv[2], sys.argv[3:] == ["floor"])
