"""A thousand faults on the way to both journal targets: each journal version ends up in the books exactly once.

The real connectors post over real sockets to their sandboxes. Answers get lost before and after the posting, calls
are throttled, refused, cut off, cut short, and the exporting process is killed at every boundary of the outbox.

Each target is served strictly one request after the other, in the order of arrival: with time-outs of a fraction of a
second a request may still be on its way when its look-up is sent, and the order of arrival stands for the pauses that
the outbox makes in real life (here nobody sleeps). The exports run in a child forked from a process without threads,
so that killing one is cheap and safe.
"""

from __future__ import annotations

import gc
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from requests.structures import CaseInsensitiveDict
from sqlalchemy import event

from ingestion.core.config import Entity
from ingestion.core.http import ApiClient
from ingestion.core.journal import JournalType
from ingestion.core.ops.crypto import Keyring
from ingestion.core.ops.store import Ops
from ingestion.core.outbox import Candidate, CandidateLine, JournalKey, export
from ingestion.core.outbox.book import Book
from ingestion.core.outbox.states import SETTLED
from ingestion.core.registry import connector
from ingestion.core.settings import PROJECT_ROOT
from ingestion.core.spec import Limit
from ingestion.sandbox.clock import Clock
from ingestion.sandbox.faults import Fault, FaultKind, Faults, spoil
from ingestion.sandbox.server import Request, Response, Sandbox, json_response, sandbox_classes
from tests.stand import FIRST_DAY, company

pytestmark = pytest.mark.xdist_group("outbox-faults")  # one fixture has done all the work
TARGETS = {
    "sap-s4hana": ("*journalentrycreaterequestconfi*", "*A_OperationalAcctgDocItemCube*"),
    "xero": ("*/ManualJournals*", "*/ManualJournals*"),
}
WRITE_FAULTS = (
    FaultKind.TIMEOUT_BEFORE_COMMIT,
    FaultKind.TIMEOUT_AFTER_COMMIT,
    FaultKind.RESET_BEFORE_COMMIT,
    FaultKind.RESET_AFTER_COMMIT,
    FaultKind.THROTTLE,
    FaultKind.ERROR,
    FaultKind.MALFORMED_JSON,
)
READ_FAULTS = (FaultKind.THROTTLE, FaultKind.ERROR, FaultKind.RESET_BEFORE_COMMIT, FaultKind.MALFORMED_JSON)
KILLS = ("outbox.planned", "outbox.sending_committed", "outbox.sent", "outbox.receipt_stored", "outbox.confirmed")
PER_TARGET = 520  # faults, kills included
PER_KIND = 50
PER_KILL = 8
ROUNDS = 400  # bound of the edits of one target
RUNS = 30  # bound of the exports after one edit
SHORT, LONG = 0.15, 10.0  # client time-outs in seconds
ACCOUNTS = ("1020", "1230", "2110", "4010", "4040", "4110")
DAYS = 8
JOURNALS = 24


# what the marts say after each edit: the same for the driver and for the exporting process


def the_entity(vendor: str) -> Entity:
    made = company(outlets=6)
    for row in made.config.entities:
        if row.target and made.config.integration(row.target).vendor == vendor:
            return row
    raise LookupError(f"no entity posts to {vendor}")


def contents(vendor: str, edits: int) -> Iterator[dict[JournalKey, tuple[CandidateLine, ...]]]:
    """Every journal of the target after 0, 1, 2 ... edits; some journals become empty and come back."""
    chance = random.Random(f"{vendor} journals")
    entity = the_entity(vendor)
    outlets = [outlet for outlet in company(outlets=6).outlets if outlet.entity.entity_id == entity.entity_id]
    keys = [
        JournalKey(entity.entity_id, outlet.outlet_id, FIRST_DAY + timedelta(day), kind)
        for day in range(DAYS)
        for outlet in outlets
        for kind in JournalType
    ][:JOURNALS]
    found = {key: _lines(chance) for key in keys}
    yield dict(found)
    for _ in range(edits):
        for key in keys:
            if chance.random() < 0.6:
                found[key] = () if chance.random() < 0.1 else _lines(chance)
        yield dict(found)


def _lines(chance: random.Random) -> tuple[CandidateLine, ...]:
    amounts = [chance.choice((-1, 1)) * chance.randint(1, 9_999_999) for _ in ACCOUNTS[1:]]
    return tuple(
        CandidateLine(account, account, f"component:{account}", Decimal(amount), f"line {account}")
        for account, amount in zip(ACCOUNTS, [-sum(amounts), *amounts], strict=True)
        if amount
    )


def candidates(found: dict[JournalKey, tuple[CandidateLine, ...]]) -> list[Candidate]:
    outlets = {outlet.outlet_id: outlet for outlet in company(outlets=6).outlets}
    return [
        Candidate(
            key,
            outlets[key.outlet_id].entity.currency,
            lines,
            cost_center=outlets[key.outlet_id].cost_center,
            tracking_option=outlets[key.outlet_id].tracking_option,
        )
        for key, lines in found.items()
    ]


# the exporting process


def exporter(vendor: str, folder: Path, settings: dict[str, str], credentials: dict[str, str]) -> None:
    """Runs one export per line of stdin in a forked child; answers with a line of JSON. Has no threads.

    The first one runs here: what SQLAlchemy compiles for it, every child would compile again.
    """
    entity = the_entity(vendor)
    declared = connector(vendor)
    assert declared.journals is not None
    states = list(contents(vendor, ROUNDS))
    ops = Ops.open(f"sqlite:///{folder / vendor}.db", Keyring.load(folder / f"{vendor}.key"))
    event.listen(ops.sessions.kw["bind"], "connect", _without_fsync)
    client = ApiClient(
        declared,
        entity.target,
        settings,
        credentials,
        limit=Limit(per_second=1e6, concurrent=4),
        sleep=lambda _: None,
    )

    def work(order: dict[str, Any]) -> dict[str, Any]:
        os.environ["C4_FAILPOINT"] = order["kill"]
        client.timeout = order["timeout"]
        target = declared.journals(client, client.settings)
        target.max_documents = order["max_documents"]
        try:
            result = export(
                ops, entity.target, target, [entity], candidates(states[order["edit"]]), sleep=lambda _: None
            )
        except BaseException:  # noqa: BLE001 - told to the driver, which fails the test with it
            return {"error": traceback.format_exc()[-3000:]}
        return {"ok": result.ok, "problems": [problem.title for problem in result.problems][:5]}

    answer = {"killed": False, **work(json.loads(sys.stdin.readline()))}
    gc.freeze()  # forked children share what is there: nothing to collect, nothing to copy
    print(json.dumps(answer), flush=True)
    for line in sys.stdin:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.write(write, json.dumps(work(json.loads(line))).encode())
            finally:
                os._exit(0)
        os.close(write)
        with os.fdopen(read, "rb") as told:
            content = told.read()
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        print(json.dumps({"killed": killed} | (json.loads(content) if content else {})), flush=True)


def _without_fsync(connection: Any, _: Any) -> None:
    """A killed process loses nothing that it has committed; only a power cut would."""
    connection.execute("pragma synchronous = off")


# the target, served one request after the other


class SerialServer(HTTPServer):
    """Hosts a sandbox with faults in front of it. HTTP/1.0: one request per connection, in order of arrival."""

    request_queue_size = 128

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(("127.0.0.1", 0), SerialHandler)
        self.sandbox = sandbox
        self.faults = Faults()
        self.held: list[socket.socket] = []
        self.keep = False
        self.errors: list[str] = []
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # a killed or impatient client is no error of ours
            self.errors.append(traceback.format_exc())

    def shutdown_request(self, request: Any) -> None:
        """Hang up, except on a client that is kept waiting for an answer that never comes."""
        if not self.keep:
            super().shutdown_request(request)
        else:
            self.held.append(request)
            self.keep = False

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        self.release()

    def release(self) -> None:
        """Hang up on the clients that were kept waiting; they are gone by now."""
        while self.held:
            self.held.pop().close()


class SerialHandler(BaseHTTPRequestHandler):
    timeout = 5  # a client that dies before it has sent its request
    server: SerialServer

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        request = Request(
            self.command,
            unquote(parts.path),
            parse_qs(parts.query, keep_blank_values=True),
            CaseInsensitiveDict(self.headers.items()),
            body,
        )
        fault = self.server.faults.strike(self.command, self.path)
        kind = fault.kind if fault else None
        if kind in (FaultKind.THROTTLE, FaultKind.ERROR):
            self._answer(json_response({"error": str(kind)}, 429 if kind is FaultKind.THROTTLE else 500))
            return
        if kind in (FaultKind.TIMEOUT_BEFORE_COMMIT, FaultKind.RESET_BEFORE_COMMIT):
            response = None
        else:
            response = self.server.sandbox.handle(request)
        if kind in (FaultKind.TIMEOUT_BEFORE_COMMIT, FaultKind.TIMEOUT_AFTER_COMMIT):
            self.server.keep = True
        elif kind in (FaultKind.RESET_BEFORE_COMMIT, FaultKind.RESET_AFTER_COMMIT):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif response is not None:
            if fault is not None:
                response.body = spoil(fault, response.body)
            self._answer(response)

    do_GET = do_POST = do_PUT = _serve

    def _answer(self, response: Response) -> None:
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        self.wfile.write(response.body)


# the driver


@dataclass
class Outcome:
    """What happened to one target."""

    sandbox: Any
    book: Book
    wanted: dict[JournalKey, tuple[CandidateLine, ...]]
    faults: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    rounds: int = 0
    errors: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        return self.faults.total() + self.kills.total()

    @property
    def enough(self) -> bool:
        return (
            self.total >= PER_TARGET
            and all(self.faults[kind] >= PER_KIND for kind in WRITE_FAULTS)
            and all(self.kills[name] >= PER_KILL for name in KILLS)
        )


def drive(vendor: str, folder: Path) -> Outcome:
    """Edit, export in trouble until everything is through, edit again, until the target has had enough faults."""
    clock = Clock(datetime(2026, 4, 8, 22, 0, tzinfo=UTC))
    sandbox = sandbox_classes()[vendor](company(outlets=6), clock)
    server = SerialServer(sandbox)
    arguments = [vendor, str(folder), json.dumps(sandbox.settings(server.url)), json.dumps(sandbox.credentials())]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("C4_")}
    worker = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.test_outbox_faults", *arguments],
        cwd=PROJECT_ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    chance = random.Random(f"{vendor} faults")
    ops = Ops.open(f"sqlite:///{folder / vendor}.db", Keyring.load(folder / f"{vendor}.key"))
    outcome = Outcome(sandbox, Book(ops, the_entity(vendor).target), {})
    timeout = SHORT

    def run(edit: int, kill: str = "", timeout: float = LONG) -> dict[str, Any]:
        assert worker.stdin is not None
        assert worker.stdout is not None
        order = {"edit": edit, "kill": kill, "timeout": timeout, "max_documents": chance.choice((1, 1, 3))}
        worker.stdin.write(json.dumps(order) + "\n")
        worker.stdin.flush()
        told: dict[str, Any] = json.loads(worker.stdout.readline())
        outcome.runs += 1
        if told["killed"]:
            outcome.kills[kill.partition(":")[0]] += 1
        if "error" in told:
            outcome.errors.append(told["error"])
        clock.advance(timedelta(minutes=10))  # no vendor remembers a request for so long
        server.release()
        return told

    try:
        assert run(0).get("ok"), outcome.errors
        for edit, wanted in enumerate(contents(vendor, ROUNDS)):
            outcome.rounds, outcome.wanted = edit, wanted
            for attempt in range(RUNS):
                server.faults.clear()
                if attempt >= RUNS // 2:
                    told = run(edit)
                else:
                    before = server.faults.struck.total()
                    server.faults.add(*_faults(vendor, chance, outcome))
                    kill = _kill(chance, outcome) if chance.random() < 0.8 else ""
                    told = run(edit, kill, timeout)
                    struck = server.faults.struck.total() - before
                    if not (struck or told["killed"] or told.get("ok")):
                        timeout = min(timeout * 1.5, LONG)  # the machine is slower than we thought
                outcome.faults = Counter(server.faults.struck)
                if told.get("ok"):
                    break
                assert not outcome.errors, outcome.errors[0]
            else:
                pytest.fail(f"{vendor}: not through after {RUNS} runs: {told}")
            if outcome.enough:
                break
        server.faults.clear()
        assert run(outcome.rounds).get("ok")
    finally:
        assert worker.stdin is not None
        worker.stdin.close()
        worker.wait()
        server.close()
    outcome.errors += server.errors
    return outcome


def _faults(vendor: str, chance: random.Random, outcome: Outcome) -> list[Fault]:
    """A handful of faults for one run, mostly of the kinds that were rare so far."""
    post, find = TARGETS[vendor]
    rare = sorted(WRITE_FAULTS, key=lambda kind: outcome.faults[kind] + chance.random())[:4]
    faults = [
        Fault(kind=kind, method="POST" if vendor == "sap-s4hana" else "PUT", path=post, probability=0.4, count=4)
        for kind in rare
    ]
    if chance.random() < 0.3:
        kind = chance.choice(READ_FAULTS)
        faults.append(Fault(kind=kind, method="GET", path=find, probability=0.5, count=chance.randint(1, 5)))
    return faults


def _kill(chance: random.Random, outcome: Outcome) -> str:
    name = min(KILLS, key=lambda name: outcome.kills[name] + chance.random())
    return f"{name}:{chance.choice((1, 1, 2))}" if name not in ("outbox.planned", "outbox.confirmed") else name


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """Both targets at the same time."""
    folder = tmp_path_factory.mktemp("faults")
    company(outlets=6)
    with ThreadPoolExecutor(len(TARGETS)) as pool:
        drives = {vendor: pool.submit(drive, vendor, folder) for vendor in TARGETS}
        return {vendor: drive.result() for vendor, drive in drives.items()}


def test_a_thousand_faults_have_struck(outcomes: dict[str, Outcome]) -> None:
    """Catches: a test of faults that injects none."""
    for vendor, outcome in outcomes.items():
        told = f"{vendor}: {dict(outcome.faults)} {dict(outcome.kills)}"
        print(told, outcome.runs, "runs", outcome.rounds, "edits")
        assert outcome.enough, told
        assert not outcome.errors
    assert sum(outcome.total for outcome in outcomes.values()) >= 1000


@pytest.mark.parametrize("vendor", TARGETS)
def test_each_version_is_in_the_books_exactly_once(vendor: str, outcomes: dict[str, Outcome]) -> None:
    """Catches: a duplicate after a lost answer or a kill, a document that is missing, one that nobody planned."""
    outcome = outcomes[vendor]
    entries = outcome.book.entries()
    assert {entry.status for entry in entries} == {"confirmed"}
    live = outcome.sandbox.live_documents()
    assert {reference: len(documents) for reference, documents in live.items()} == {
        entry.document.reference: 1 for entry in entries
    }


@pytest.mark.parametrize("vendor", TARGETS)
def test_the_books_say_what_the_marts_say(vendor: str, outcomes: dict[str, Outcome]) -> None:
    """Catches: amounts lost or doubled on any account, whatever number of documents made them."""
    outcome = outcomes[vendor]
    wanted: Counter[str] = Counter()
    for lines in outcome.wanted.values():
        for line in lines:
            wanted[line.account_code] += int(line.amount)
    balances = {account: amount for account, amount in outcome.sandbox.balances().items() if amount}
    assert balances == {account: amount for account, amount in wanted.items() if amount}
    assert all(entry.status in SETTLED for entry in outcome.book.entries())


if __name__ == "__main__":
    exporter(sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3]), json.loads(sys.argv[4]))
