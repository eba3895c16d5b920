"""From a till's event to the figure on the screen: seconds until a sale is in the published `live_sales`.

Toast's events go over a real socket to `c4 serve`; `c4 live` loads them and refreshes the mart; a reader asks the
published mart for the quantity sold, as a dashboard would. Sales are sent one after the other and loaded in that order:
a sale is on the screen as soon as the sum of everything sent up to it is. Once with nothing beside it and once beside a
whole night.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import requests

from benchmarks import measured
from benchmarks.places import placed
from ingestion.core import warehouse
from ingestion.core.platform import Platform
from ingestion.core.settings import Settings
from ingestion.sandbox.clock import Clock
from ingestion.sandbox.company import Company
from ingestion.sandbox.server import RunningSandboxes, serve
from ingestion.sandbox.webhooks import Delivery

FIRST_DAY = date(2026, 4, 4)
OUTLETS = 30
LOOK = 0.25  # seconds between two looks at the mart
PATIENCE = 300.0  # seconds after the last event
SOLD = "select coalesce(sum(quantity), 0) from live_sales where business_date = date '{day}'"


@dataclass(frozen=True, slots=True)
class Sale:
    """An event, and how many items it adds to the day."""

    delivery: Delivery
    quantity: Decimal


def measure(engine: str, rate: float, seconds: float) -> dict[str, Any]:
    """p50, p99 and the longest seconds from sending to showing, at `rate` sales a second. Raises RuntimeError when a
    sale does not show at all.
    """
    needed = math.ceil(rate * seconds)
    per_outlet = math.ceil(2.5 * needed / OUTLETS)  # both rounds, and what a day has more or less than the average
    company = Company.build(outlets=OUTLETS, days=2, start=FIRST_DAY, checks_per_day=per_outlet, pos=("toast",))
    first, last = company.nights()
    with contextlib.ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-live-"))) / "data"
        there = stack.enter_context(placed(engine))
        os.environ.update({"C4_DATA": str(data), "C4_WAREHOUSE": there.url, "C4_OPS": there.url})
        running = stack.enter_context(serve(company, Clock(first), ["toast"]))
        _install(data, company, running, first)
        sales = _sales(running, first, last, company.dates[-1])
        measured.run("orchestration.cli", "night", "--as-of", first.isoformat())
        url = stack.enter_context(_services(last))
        shown = Shown(Settings.load(data, last), company.dates[-1])
        alone = shown.round(url, list(itertools.islice(sales, needed)), rate)
        with _process("night", "--as-of", first.isoformat()) as night:
            beside = shown.round(url, list(itertools.islice(sales, needed)), rate)
            over = night.poll() is not None
    return {
        "engine": engine,
        "sales_per_second": rate,
        "alone": alone,
        "beside_a_night": {**beside, "night_over_at_the_end": over},
    }


def _install(data: Path, company: Company, running: RunningSandboxes, now: datetime) -> None:
    company.write_config(data / "config", running)
    platform = Platform.open(Settings.load(data, now))
    for account in platform.integrations("toast"):
        credentials = running.sandbox("toast").credentials()
        platform.ops.set_credentials(account.integration_id, credentials, who="benchmark")


def _sales(running: RunningSandboxes, since: datetime, until: datetime, day: date) -> Iterator[Sale]:
    """The first event of each order of the running day that sells anything."""
    known = set()
    for delivery in running.sandbox("toast").webhooks(since, until):
        order = msgspec.json.decode(delivery.body)["details"]["order"]
        items = [item for check in order["checks"] for item in check["selections"]]
        quantity = sum((Decimal(str(item["quantity"])) for item in items if not item["voided"]), Decimal(0))
        if order["businessDate"] == int(f"{day:%Y%m%d}") and order["guid"] not in known and quantity:
            known.add(order["guid"])
            yield Sale(delivery, quantity)


@contextlib.contextmanager
def _process(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "orchestration.cli", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, **measured.COMPILED})
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def _services(now: datetime) -> Iterator[str]:
    """`c4 serve` and `c4 live` on the day that runs; the URL of the receiver once it answers."""
    os.environ["C4_AS_OF"] = now.isoformat()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    url = f"http://127.0.0.1:{port}"
    with _process("serve", "--port", port), _process("live"):
        end = time.monotonic() + PATIENCE
        while True:
            try:
                requests.get(f"{url}/health", timeout=1).raise_for_status()
                break
            except requests.RequestException:
                if time.monotonic() > end:
                    raise
                time.sleep(LOOK)
        yield f"{url}/api/v1/integrations/webhooks/toast"


class Shown:
    """The reader of the mart: what it has seen of all that was sent so far."""

    def __init__(self, settings: Settings, day: date) -> None:
        self._settings, self._question = settings, SOLD.format(day=day)
        self._sent = Decimal(0)  # in the rounds before

    def round(self, url: str, sales: Sequence[Sale], rate: float) -> dict[str, Any]:
        """Send some sales at a rate and watch until the last one shows."""
        reached = list(itertools.accumulate((sale.quantity for sale in sales), initial=self._sent))[1:]
        sent_at: list[float] = []
        sender = threading.Thread(target=_send, args=(url, sales, rate, sent_at))
        sender.start()
        waits: list[float] = []
        end = time.monotonic() + PATIENCE + len(sales) / rate
        while len(waits) < len(sales):
            if time.monotonic() > end:
                raise RuntimeError(f"{len(sales) - len(waits)} of {len(sales)} sales do not show")
            sold, now = self._sold(), time.monotonic()
            while len(waits) < len(sent_at) and reached[len(waits)] <= sold:
                waits.append(now - sent_at[len(waits)])
            time.sleep(LOOK)
        sender.join()
        self._sent = reached[-1]
        cuts = statistics.quantiles(waits, n=100)
        return {
            "sales": len(sales),
            "p50_seconds": round(cuts[49], 1),
            "p99_seconds": round(cuts[98], 1),
            "longest_seconds": round(max(waits), 1),
        }

    def _sold(self) -> Decimal:
        with warehouse.published(self._settings) as marts:
            if marts is None:
                return Decimal(0)
            ((quantity,),) = marts.execute(self._question).fetchall()
            return Decimal(quantity)


def _send(url: str, sales: Sequence[Sale], rate: float, sent_at: list[float]) -> None:
    begun = time.monotonic()
    with requests.Session() as session:
        for number, sale in enumerate(sales):
            time.sleep(max(begun + number / rate - time.monotonic(), 0))
            moment = time.monotonic()
            sale.delivery.send(url, session).raise_for_status()
            sent_at.append(moment)
