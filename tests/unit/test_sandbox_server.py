"""The sandbox server and its faults over real sockets: a fault that does not bite would make every fault test pass."""

from __future__ import annotations

import gzip
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import cast

import pytest
import requests

from ingestion.core.settings import PROJECT_ROOT
from ingestion.sandbox.clock import Clock
from ingestion.sandbox.company import Company
from ingestion.sandbox.control import Control
from ingestion.sandbox.faults import Fault, FaultKind
from ingestion.sandbox.server import Request, Response, RunningSandboxes, Sandbox, json_response, serve

NOW = datetime(2026, 4, 5, 22, tzinfo=UTC)
PATIENCE = 0.25  # seconds a client of these tests waits for an answer


class Ledger(Sandbox):
    """Counts what it has carried out; its tokens and cursors can expire."""

    vendor = "ledger"
    kept = ("posted",)

    def __init__(self, company: Company, clock: Clock) -> None:
        super().__init__(company, clock)
        self.posted: list[bytes] = []
        self.token = 1

    def handle(self, request: Request) -> Response:
        if request.path == "/bug":
            raise RuntimeError("this sandbox is broken")
        if request.headers.get("x-token") not in (None, f"t{self.token}"):
            return json_response({"error": "expired"}, 401)
        if request.method == "POST":
            with self.lock:
                self.posted.append(request.body)
            return json_response({"id": len(self.posted)}, 201)
        if request.path == "/empty":
            return Response(204)
        records = [{"id": 1, "amount": Decimal("10.10")}, {"id": 2, "amount": Decimal("20")}]
        page = {"query": request.query, "path": request.path, "rows": records, "filler": "x" * 2000}
        return json_response(page, headers={"X-Now": self.clock.now().isoformat()})

    def expire_tokens(self) -> None:
        self.token += 1

    def credentials(self) -> dict[str, str]:
        return {"token": "t1"}

    def live_documents(self) -> dict[str, list[bytes]]:
        return {body.decode(): [body] for body in self.posted}


class Plain(Sandbox):
    """Knows nothing of tokens or cursors."""

    vendor = "plain"

    def handle(self, request: Request) -> Response:
        return Response(200, request.body, "text/plain")


@pytest.fixture
def running() -> Iterator[RunningSandboxes]:
    company = cast(Company, None)  # these sandboxes show nothing of the company
    with serve(company, Clock(NOW), [Ledger, Plain]) as sandboxes:
        yield sandboxes
        for vendor in sandboxes.vendors:
            assert sandboxes.errors(vendor) == []


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as open_session:
        yield open_session


def call(running: RunningSandboxes, path: str = "/rows", **kwargs) -> requests.Response:
    return requests.request(
        kwargs.pop("method", "GET"), running.url("ledger") + path, timeout=kwargs.pop("timeout", PATIENCE), **kwargs
    )


get = partial(requests.get, timeout=10)
post = partial(requests.post, timeout=10)


def posted(running: RunningSandboxes) -> list[bytes]:
    return running.sandbox("ledger").posted


# Serving


def test_an_answer_arrives_whole_with_exact_numbers_and_gzip_on_request(running, session):
    url = running.url("ledger") + "/a%20b?x=1&x=2&empty="
    zipped = session.get(url)
    plain = session.get(url, headers={"Accept-Encoding": "identity"})
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert int(zipped.headers["Content-Length"]) < int(plain.headers["Content-Length"])
    assert "Content-Encoding" not in plain.headers
    assert zipped.content == plain.content
    assert b'"amount":10.10' in plain.content
    data = plain.json()
    assert data["path"] == "/a b"
    assert data["query"] == {"x": ["1", "2"], "empty": [""]}


def test_bodies_arrive_compressed_chunked_and_plain(running, session):
    url = running.url("ledger") + "/documents"
    session.post(url, data=b"plain")
    session.post(url, data=gzip.compress(b"zipped"), headers={"Content-Encoding": "gzip"})
    session.post(url, data=iter([b"chun", b"ked"]))
    assert posted(running) == [b"plain", b"zipped", b"chunked"]


def test_one_connection_carries_many_requests(running):
    host, port = running.url("ledger").removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=2) as connection:
        reader = connection.makefile("rb")
        for _ in range(3):
            connection.sendall(b"GET /empty HTTP/1.1\r\nHost: x\r\n\r\n")
            assert reader.readline().startswith(b"HTTP/1.1 204")
            while reader.readline().strip():
                pass


def test_every_request_is_counted_also_those_that_met_a_fault(running):
    running.faults("ledger").add(Fault(kind=FaultKind.ERROR))
    for _ in range(3):
        call(running, "/rows?page=1")
    call(running, "/documents", method="POST", data=b"a")
    assert running.requests("ledger") == {"GET /rows": 3, "POST /documents": 1}
    assert running.requests("plain") == {}


def test_many_clients_at_once_are_all_served(running):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: call(running, "/d", method="POST", data=b"%d" % n, timeout=5), range(40)))
    assert {answer.status_code for answer in answers} == {201}
    assert sorted(posted(running)) == sorted(b"%d" % n for n in range(40))


def test_a_bug_in_a_sandbox_is_told_and_kept(running):
    answer = call(running, "/bug")
    assert answer.status_code == 500
    assert "this sandbox is broken" in answer.text
    errors = running.errors("ledger")
    assert [type(error) for error in errors] == [RuntimeError]
    errors.clear()


def test_the_clock_needs_a_zone_and_sandboxes_follow_it(running):
    running.set_clock(NOW + timedelta(hours=1))
    assert call(running).headers["X-Now"] == "2026-04-05T23:00:00+00:00"
    assert running.clock.advance(timedelta(minutes=5)).minute == 5
    with pytest.raises(ValueError, match="time zone"):
        running.clock.set(datetime(2026, 4, 5))  # noqa: DTZ001


def test_closing_frees_ports_and_releases_clients_that_are_held():
    running = serve(cast(Company, None), Clock(NOW), [Ledger])
    running.faults("ledger").add(Fault(kind=FaultKind.TIMEOUT_BEFORE_COMMIT))
    url = running.url("ledger")
    outcome: list[Exception] = []

    def wait() -> None:
        try:
            requests.get(url, timeout=20)
        except requests.RequestException as error:
            outcome.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    deadline = time.monotonic() + 10
    while not running.faults("ledger").struck:
        assert time.monotonic() < deadline, "the request never arrived"
    running.close()
    waiting.join(timeout=10)
    assert isinstance(outcome[0], requests.ConnectionError)
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=1)


def test_what_was_posted_outlives_the_process(running, session, tmp_path):
    """Catches: a target that forgets between two processes what the ops database knows as confirmed."""
    session.post(running.url("ledger"), data=b"first")
    running.keep(tmp_path / "kept")
    with serve(running.company, running.clock, [Ledger]) as later:
        later.recall(tmp_path / "kept")
        assert requests.post(later.url("ledger"), data=b"second", timeout=5).json() == {"id": 2}
        assert later.sandbox("ledger").live_documents() == {"first": [b"first"], "second": [b"second"]}


def test_a_vendor_without_a_sandbox_is_named():
    with pytest.raises(KeyError, match="no-such-vendor"):
        serve(cast(Company, None), Clock(NOW), ["no-such-vendor"])


# Faults


@pytest.mark.parametrize(
    ("kind", "status"), [(FaultKind.THROTTLE, 429), (FaultKind.ERROR, 500), (FaultKind.UNAVAILABLE, 503)]
)
@pytest.mark.parametrize("retry_after", [None, "2"])
def test_refusals_do_not_reach_the_sandbox(running, kind, status, retry_after):
    running.faults("ledger").add(Fault(kind=kind, retry_after=retry_after))
    answer = call(running, "/documents", method="POST", data=b"a")
    assert answer.status_code == status
    assert answer.headers.get("Retry-After") == retry_after
    assert posted(running) == []
    assert call(running, "/documents", method="POST", data=b"a").status_code == 201


@pytest.mark.parametrize(
    ("kind", "carried_out", "error"),
    [
        (FaultKind.TIMEOUT_BEFORE_COMMIT, 0, requests.ReadTimeout),
        (FaultKind.TIMEOUT_AFTER_COMMIT, 1, requests.ReadTimeout),
        (FaultKind.RESET_BEFORE_COMMIT, 0, requests.ConnectionError),
        (FaultKind.RESET_AFTER_COMMIT, 1, requests.ConnectionError),
    ],
)
def test_lost_answers_differ_in_what_was_done(running, kind, carried_out, error):
    running.faults("ledger").add(Fault(kind=kind))
    with pytest.raises(error) as caught:
        call(running, "/documents", method="POST", data=b"a")
    if error is requests.ConnectionError:
        assert "reset by peer" in str(caught.value)
    assert len(posted(running)) == carried_out
    assert running.faults("ledger").struck == {kind: 1}


def test_a_slow_answer_comes_in_pieces_and_whole(running):
    running.faults("ledger").add(Fault(kind=FaultKind.SLOW_DRIP, seconds=0.5))
    host, port = running.url("ledger").removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"GET /rows HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        pieces = list(iter(lambda: connection.recv(1 << 16), b""))
    assert len(pieces) > 2
    head, body = b"".join(pieces).split(b"\r\n\r\n", 1)
    assert b"Content-Length: %d" % len(body) in head
    assert json.loads(body)["rows"]


def test_a_token_expires_in_the_middle_of_paging(running):
    running.faults("ledger").add(Fault(kind=FaultKind.EXPIRED_TOKEN, path="/rows", after=2))
    headers = {"x-token": "t1"}
    assert [call(running, headers=headers).status_code for _ in range(4)] == [200, 200, 401, 401]
    assert call(running, headers={"x-token": "t2"}).status_code == 200


def test_vendors_without_tokens_or_cursors_still_refuse(running):
    running.faults("plain").add(Fault(kind=FaultKind.EXPIRED_TOKEN), Fault(kind=FaultKind.EXPIRED_CURSOR))
    assert [requests.get(running.url("plain"), timeout=1).status_code for _ in range(3)] == [401, 410, 200]


def test_broken_bodies_break(running):
    running.faults("ledger").add(Fault(kind=FaultKind.MALFORMED_JSON), Fault(kind=FaultKind.TRUNCATED_GZIP))
    malformed = call(running)
    assert malformed.status_code == 200
    with pytest.raises(requests.JSONDecodeError):
        malformed.json()
    cut = call(running, stream=True)
    raw = cut.raw.read(decode_content=False)
    assert cut.headers["Content-Encoding"] == "gzip"
    with pytest.raises(EOFError):
        gzip.decompress(raw)
    assert call(running).json()["rows"]


def test_drift_and_duplicates_change_records_and_keep_amounts(running):
    running.faults("ledger").add(
        Fault(kind=FaultKind.EXTRA_FIELD),
        Fault(kind=FaultKind.RENAMED_FIELD, field="amount"),
        Fault(kind=FaultKind.DUPLICATE_DELIVERY),
    )
    extra, renamed, twice = (call(running) for _ in range(3))
    assert [row["c4_new_field"] for row in extra.json()["rows"]] == ["drift", "drift"]
    assert [set(row) for row in renamed.json()["rows"]] == [{"id", "amount_v2"}] * 2
    assert [row["id"] for row in twice.json()["rows"]] == [1, 2, 1]
    assert b'"amount":10.10' in twice.content


def test_faults_choose_by_path_method_count_order_and_chance(running):
    faults = running.faults("ledger")
    faults.add(
        Fault(kind=FaultKind.ERROR, path="/rows?page=2*", count=2),
        Fault(kind=FaultKind.THROTTLE, method="POST", after=1),
    )
    assert call(running, "/rows?page=1").status_code == 200
    assert [call(running, "/rows?page=2&per=5").status_code for _ in range(3)] == [500, 500, 200]
    assert [call(running, "/d", method="POST", data=b"x").status_code for _ in range(3)] == [201, 429, 201]
    assert faults.pending() == 0
    faults.add(Fault(kind=FaultKind.UNAVAILABLE, count=None, probability=0.5))
    statuses = [call(running).status_code for _ in range(30)]
    assert {200, 503} == set(statuses)
    faults.clear()
    assert call(running).status_code == 200


def test_a_rename_without_a_field_is_refused():
    with pytest.raises(ValueError, match="field"):
        Fault(kind=FaultKind.RENAMED_FIELD)


# The process


def test_the_control_api_moves_the_clock_sets_faults_and_tells_what_happened(running, tmp_path):
    control = Control(running)
    try:
        assert post(f"{control.url}/clock", json={"now": "2026-04-07T22:00:00+00:00"}).ok
        added = post(f"{control.url}/faults", json={"vendor": "ledger", "kind": "throttle", "count": 2})
        assert added.json() == {"pending": 1}
        assert call(running).status_code == 429
        call(running, "/documents", method="POST", data=b"C4REF")
        cleared = post(f"{control.url}/faults", json={"vendor": "ledger", "clear": True})
        assert cleared.json() == {"pending": 0}
        call(running, "/documents", method="POST", data=b"C4REF")
        state = get(f"{control.url}/state").json()
        assert state["now"] == "2026-04-07T22:00:00+00:00"
        assert state["requests"]["ledger"] == {"GET /rows": 1, "POST /documents": 2}
        assert state["faults"]["ledger"] == {"throttle": 2}
        assert state["live_documents"] == {"ledger": {"C4REF": 1}}
        assert get(f"{control.url}/credentials").json()["ledger"] == {"token": "t1"}
        assert get(f"{control.url}/nothing").status_code == 404
        for path, body in (("clock", {"now": "yesterday"}), ("faults", {"vendor": "ledger", "kind": "flood"})):
            refused = post(f"{control.url}/{path}", json=body)
            assert refused.status_code == 400
            assert refused.json()["error"]
    finally:
        control.close()


@pytest.mark.parametrize("ending", ["stdin", "sigterm"])
def test_the_process_announces_itself_and_ends_when_told(ending, tmp_path: Path):
    process = subprocess.Popen(
        [sys.executable, "-m", "ingestion.sandbox", "--data", str(tmp_path), "--outlets", "3", "--days", "2"],
        cwd=PROJECT_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        state = requests.get(f"{ready['control']}/state", timeout=10).json()
        assert state["vendors"] == ready["vendors"]
        assert datetime.fromisoformat(state["now"]) == datetime(2026, 4, 4, 22, tzinfo=UTC)
        assert (tmp_path / "config" / "integrations.yaml").exists()
        process.stdin.close() if ending == "stdin" else process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=15) == 0
    finally:
        process.kill()
        process.stdout.close()
        process.stdin.close()
