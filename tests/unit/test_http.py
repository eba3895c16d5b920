"""The HTTP client on real sockets: what it asks again, what it never asks again, and what it tells to whom."""

from __future__ import annotations

import ipaddress
import json
import ssl
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from ingestion.core import http
from ingestion.core.auth import basic, client_credentials
from ingestion.core.errors import AccessError, ApiError, CircuitOpenError, PageError, RefusedError, RetriableError
from ingestion.core.http import ATTEMPTS, ApiClient, Call, Limiter
from ingestion.core.journal import NotSentError, UncertainOutcomeError
from ingestion.core.paging import ShortPagePaginator
from ingestion.core.spec import Category, Connector, Limit
from ingestion.sandbox.clock import Clock
from ingestion.sandbox.company import Company
from ingestion.sandbox.faults import Fault, FaultKind
from ingestion.sandbox.server import Request, Response, RunningSandboxes, Sandbox, json_response, serve

NOW = datetime(2026, 4, 5, 22, tzinfo=UTC)
SECRET = "sk-live-0123456789"
ROWS = [{"id": n, "name": f"nasi goreng {n}"} for n in range(60)]
TOKEN_FORM = {"client_id": "c4", "client_secret": SECRET, "grant_type": "client_credentials"}


class Shop(Sandbox):
    """Lists rows, takes journals, gives tokens; `answers` come first, in order."""

    vendor = "shop"

    def __init__(self, company: Company, clock: Clock) -> None:
        super().__init__(company, clock)
        self.answers: list[Response] = []
        self.seen: list[Request] = []
        self.carried_out = 0
        self.tokens = 0
        self.valid_tokens = False
        self.enter: Callable[[Request], None] = lambda request: None

    def handle(self, request: Request) -> Response:
        with self.lock:
            self.seen.append(request)
            if request.path == "/token":
                self.tokens += 1
                return json_response({"access_token": f"t{self.tokens}", "expires_in": 3600})
            refused = self.valid_tokens and request.headers.get("Authorization") != f"Bearer t{self.tokens}"
        self.enter(request)
        if refused:
            return json_response({"error": "invalid_token"}, 401)
        with self.lock:
            if self.answers:
                return self.answers.pop(0)
            if request.method == "POST":
                self.carried_out += 1
                return json_response({"document": self.carried_out}, 201)
        number, size = int(request.arg("page", "1")), int(request.arg("size", "25"))
        start = int(request.arg("offset", str((number - 1) * size)))
        return json_response({"rows": ROWS[start : start + size]})

    def expire_tokens(self) -> None:
        with self.lock:
            self.tokens += 1


class Stranger(Sandbox):
    """A server that nobody was asked to call."""

    vendor = "stranger"

    def handle(self, request: Request) -> Response:
        return json_response({"rows": []})


@dataclass
class Bench:
    """A running shop, and clients whose waits and audit records are kept instead of slept and stored."""

    running: RunningSandboxes
    delays: list[float] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    @property
    def shop(self) -> Shop:
        return cast(Shop, self.running.sandbox("shop"))

    @property
    def url(self) -> str:
        return self.running.url("shop")

    def client(self, **options: Any) -> ApiClient:
        connector = Connector(
            name="shop",
            category=Category.POS,
            title="Shop",
            streams=(),
            auth=options.pop("auth", None),
            business_errors=options.pop("business_errors", None),
        )
        settings = {"base_url": options.pop("base_url", self.url), "timeout": str(options.pop("timeout", 10))}
        return ApiClient(
            connector,
            "shop-1",
            settings,
            {},
            limit=options.pop("limit", Limit(per_second=10_000, concurrent=8)),
            audit=self.calls.append,
            sleep=self.delays.append,
            **options,
        )

    def with_token(self, **options: Any) -> ApiClient:
        self.shop.valid_tokens = True
        return self.client(auth=lambda *_: client_credentials(f"{self.url}/token", "c4", SECRET), **options)

    def fault(self, kind: FaultKind, **options: Any) -> None:
        self.running.faults("shop").add(Fault(kind=kind, **options))

    def arrived(self, what: str = "GET /rows") -> int:
        return self.running.requests("shop")[what]


@pytest.fixture
def bench() -> Iterator[Bench]:
    company = cast(Company, None)  # these sandboxes show nothing of the company
    with serve(company, Clock(NOW), [Shop, Stranger]) as running:
        yield Bench(running)
        assert running.errors("shop") == []


def ids(answers: Iterator[requests.Response]) -> list[int]:
    return [row["id"] for answer in answers for row in answer.json()["rows"]]


def by_number() -> ShortPagePaginator:
    return ShortPagePaginator("page", 25, "rows")


# Retries


def test_retry_after_in_seconds_is_honoured(bench: Bench) -> None:
    """Catches: knocking again before the vendor allows it."""
    bench.fault(FaultKind.THROTTLE, retry_after="7", count=2)
    assert bench.client().request("GET", "rows").status_code == 200
    assert bench.delays == [7.0, 7.0]
    assert bench.arrived() == 3


def test_retry_after_as_a_date_counts_by_the_vendors_clock(bench: Bench) -> None:
    """Catches: a wait of years, or none, because the two machines' clocks differ."""
    bench.fault(FaultKind.UNAVAILABLE, retry_after=format_datetime(NOW + timedelta(seconds=42), usegmt=True))
    bench.fault(FaultKind.UNAVAILABLE, retry_after=format_datetime(NOW - timedelta(seconds=42), usegmt=True))
    bench.client().request("GET", "rows")
    assert bench.delays == [42.0, 0.0]


@pytest.mark.parametrize("told", ["-5", "soon", "nan", "inf", "", None])
def test_a_senseless_retry_after_means_the_usual_backoff(bench: Bench, told: str | None) -> None:
    """Catches: a negative or endless sleep."""
    bench.fault(FaultKind.THROTTLE, retry_after=told)
    bench.client().request("GET", "rows")
    assert len(bench.delays) == 1
    assert 0.25 <= bench.delays[0] <= 0.5


def test_a_long_retry_after_is_capped(bench: Bench) -> None:
    bench.fault(FaultKind.THROTTLE, retry_after="86400")
    bench.client().request("GET", "rows")
    assert bench.delays == [120.0]


def test_attempts_are_bounded_and_waits_grow(bench: Bench) -> None:
    """Catches: retrying without end, retrying at once."""
    bench.fault(FaultKind.ERROR, count=None)
    with pytest.raises(RetriableError, match=r"GET /rows: answered 500") as caught:
        bench.client().request("GET", "rows")
    assert caught.value.status == 500
    assert bench.arrived() == ATTEMPTS == 4
    for delay, most in zip(bench.delays, [0.5, 1.0, 2.0], strict=True):
        assert most / 2 <= delay <= most


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 598])
def test_passing_statuses_are_asked_again(bench: Bench, status: int) -> None:
    bench.shop.answers = [json_response({}, status), json_response({}, status), json_response({}, status)]
    assert bench.client().request("GET", "rows").status_code == 200
    assert len(bench.delays) == 3


@pytest.mark.parametrize("status", [400, 403, 404, 409, 410, 422, 501])
def test_refusals_are_not_repeated(bench: Bench, status: int) -> None:
    """Catches: four times the same wrong request."""
    bench.shop.answers = [json_response({}, status)]
    with pytest.raises(RefusedError) as caught:
        bench.client().request("GET", "rows")
    assert caught.value.status == status
    assert bench.arrived() == 1


@pytest.mark.parametrize(
    "kind", [FaultKind.ERROR, FaultKind.THROTTLE, FaultKind.RESET_BEFORE_COMMIT, FaultKind.MALFORMED_JSON]
)
def test_the_page_of_a_listing_is_asked_again_where_it_stood(bench: Bench, kind: FaultKind) -> None:
    """Catches: a listing that fails at its first hiccup, starts over, skips or doubles a page."""
    bench.fault(kind, after=1, count=2)
    assert ids(bench.client().pages("rows", paginator=by_number())) == list(range(60))
    assert bench.arrived() == 5


@pytest.mark.parametrize("kind", [FaultKind.RESET_BEFORE_COMMIT, FaultKind.RESET_AFTER_COMMIT])
def test_a_lost_connection_is_tried_again_and_told_in_the_end(bench: Bench, kind: FaultKind) -> None:
    bench.fault(kind, count=2)
    assert bench.client().request("GET", "rows").status_code == 200
    bench.fault(kind, count=None)
    with pytest.raises(RetriableError, match="no answer") as caught:
        bench.client().request("GET", "rows")
    assert caught.value.status == 0


def test_silence_is_given_up_after_the_timeout(bench: Bench) -> None:
    bench.fault(FaultKind.TIMEOUT_BEFORE_COMMIT)
    assert bench.client(timeout=0.2).request("GET", "rows").status_code == 200
    assert [(call.status, call.error) for call in bench.calls] == [(0, "ReadTimeout"), (200, "")]


@pytest.mark.parametrize("kind", [FaultKind.MALFORMED_JSON, FaultKind.TRUNCATED_GZIP])
def test_a_cut_answer_is_asked_for_again_and_kept_when_it_stays_cut(bench: Bench, kind: FaultKind) -> None:
    """Catches: half a page taken for a whole one; bytes that nobody can look at later; a memory of old failures."""
    whole = bench.client().request("GET", "rows").content
    client = bench.client()
    for _ in range(2):  # what happened to an earlier page must not use up the next one's attempts
        bench.fault(kind, count=ATTEMPTS - 1)
        assert ids(client.pages("rows")) == list(range(25))
        bench.fault(kind, count=ATTEMPTS)
        with pytest.raises(PageError) as caught:
            list(client.pages("rows"))
        assert 0 < len(caught.value.content) < len(whole)
        assert whole.startswith(caught.value.content)
    assert bench.arrived() == 1 + 4 * ATTEMPTS
    assert {call.error for call in bench.calls if call.attempt < ATTEMPTS} == {"", "PageError"}


def test_a_single_call_tells_a_cut_answer_too(bench: Bench) -> None:
    """Catches: an error of the JSON library that no caller expects."""
    bench.fault(FaultKind.MALFORMED_JSON, count=None)
    with pytest.raises(PageError):
        bench.client().request("GET", "rows")


def test_a_page_that_is_no_json_at_all_is_kept(bench: Bench) -> None:
    bench.shop.answers = [Response(200, b"<html>maintenance</html>", "text/html")]
    with pytest.raises(PageError) as caught:
        list(bench.client().pages("rows"))
    assert caught.value.content == b"<html>maintenance</html>"
    bench.shop.answers = [Response(200, b"id;name\n1;teh\n", "text/csv")]
    assert [answer.content for answer in bench.client().pages("rows", is_json=False)] == [b"id;name\n1;teh\n"]


def test_a_refusal_within_an_answer_of_200_is_an_error(bench: Bench) -> None:
    """Catches: a vendor's "error" object taken for an empty page."""
    bench.shop.answers = [json_response({"error": "quota"}), json_response({"error": "quota"})]
    client = bench.client(business_errors=lambda answer: answer.json().get("error"))
    with pytest.raises(RetriableError, match="quota"):
        client.request("GET", "rows")
    with pytest.raises(RetriableError, match="quota"):
        list(client.pages("rows"))


def test_short_page_paginator_reads_to_the_end(bench: Bench) -> None:
    """Catches: a last page that is left out, an endless listing when the last page is exactly full."""
    numbers = ShortPagePaginator("page", 25, "rows")
    assert ids(bench.client().pages("rows", params={"size": 25}, paginator=numbers)) == list(range(60))
    offsets = ShortPagePaginator("offset", 20, "rows", first=0, step=20)
    assert ids(bench.client().pages("rows", params={"size": 20}, paginator=offsets)) == list(range(60))
    assert bench.arrived() == 3 + 4


# Tokens


def test_an_expired_token_is_renewed_once_and_the_call_repeated(bench: Bench) -> None:
    client = bench.with_token()
    client.request("GET", "rows")
    bench.fault(FaultKind.EXPIRED_TOKEN, after=1, path="/rows")
    assert ids(client.pages("rows", paginator=by_number())) == list(range(60))
    assert bench.arrived("POST /token") == 2
    assert bench.delays == []


def test_a_token_that_is_never_accepted_ends_after_one_renewal(bench: Bench) -> None:
    """Catches: an endless dance of tokens and refusals."""
    bench.shop.answers = [json_response({}, 401) for _ in range(9)]
    with pytest.raises(AccessError) as caught:
        bench.with_token().request("GET", "rows")
    assert caught.value.status == 401
    assert (bench.arrived(), bench.arrived("POST /token")) == (2, 2)


def test_fixed_credentials_that_are_refused_are_not_tried_again(bench: Bench) -> None:
    """Catches: an account locked by repeated wrong passwords."""
    bench.shop.answers = [json_response({}, 401) for _ in range(9)]
    with pytest.raises(AccessError):
        bench.client(auth=lambda *_: basic("c4", SECRET)).request("GET", "rows")
    assert bench.arrived() == 1


def test_threads_share_one_renewal(bench: Bench) -> None:
    """Catches: every thread throwing away the token that another has just obtained."""
    client = bench.with_token()
    client.request("GET", "rows")
    bench.shop.expire_tokens()
    met = threading.Barrier(8)

    def all_with_the_old_token(request: Request) -> None:
        if request.headers.get("Authorization") == "Bearer t1":
            met.wait(timeout=20)

    bench.shop.enter = all_with_the_old_token
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.request("GET", "rows").status_code, range(8)))
    assert answers == [200] * 8
    assert bench.arrived("POST /token") == 2
    assert bench.arrived() == 1 + 8 + 8


def test_a_token_endpoint_in_trouble_is_asked_again(bench: Bench) -> None:
    """Catches: a night that fails because the token endpoint was away for a second."""
    bench.fault(FaultKind.UNAVAILABLE, path="/token", count=2)
    assert bench.with_token().request("GET", "rows").status_code == 200
    assert len(bench.delays) == 2
    bench.fault(FaultKind.UNAVAILABLE, path="/token", count=None)
    with pytest.raises(RetriableError, match="token endpoint answered 503"):
        bench.with_token().request("GET", "rows")
    assert bench.arrived("POST /token") == 3 + ATTEMPTS


# Breaker and limiter


class CountingBreaker:
    """Opens after three failures; `pause_over` lets one call try."""

    def __init__(self) -> None:
        self.failures = 0
        self.is_open = False

    def allow(self) -> bool:
        return not self.is_open

    def success(self) -> None:
        self.failures = 0

    def failure(self) -> None:
        self.failures += 1
        self.is_open = self.failures >= 3

    def pause_over(self) -> None:
        self.is_open = False


def test_an_open_breaker_stops_the_knocking_and_a_good_trial_closes_it(bench: Bench) -> None:
    """Catches: a vendor in trouble that is asked again and again; a breaker that never hears of success."""
    breaker = CountingBreaker()
    client = bench.client(breaker=breaker)
    bench.fault(FaultKind.ERROR, count=4)
    with pytest.raises(CircuitOpenError):
        client.request("GET", "rows")
    with pytest.raises(CircuitOpenError):
        client.request("GET", "rows")
    with pytest.raises(NotSentError):
        client.send_once("POST", "journals")
    assert bench.arrived() == 3
    breaker.pause_over()
    with pytest.raises(CircuitOpenError):  # the trial fails: open again
        client.request("GET", "rows")
    breaker.pause_over()
    assert client.request("GET", "rows").status_code == 200
    assert breaker.failures == 0
    assert bench.arrived("POST /journals") == 0


def test_refusals_do_not_open_the_breaker(bench: Bench) -> None:
    """Catches: a whole integration left alone because one outlet answers 404."""
    breaker = CountingBreaker()
    client = bench.client(breaker=breaker)
    bench.shop.answers = [json_response({}, 404) for _ in range(5)]
    for _ in range(5):
        with pytest.raises(RefusedError):
            client.request("GET", "rows")
    assert client.request("GET", "rows").status_code == 200


class FakeTime:
    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_the_limiter_keeps_to_its_rate() -> None:
    """Catches: a burst that never ends, a rate that drifts, an idle hour that is saved up for a storm."""
    time = FakeTime()
    limiter = Limiter(Limit(per_second=2, concurrent=4), time.sleep, time.clock)
    for _ in range(6):
        with limiter:
            pass
    assert time.slept == [0.5] * 4  # one second's worth at once, then every half second
    time.now += 3600
    time.slept.clear()
    for _ in range(3):
        with limiter:
            pass
    assert time.slept == [0.5]


def test_a_rate_below_one_a_second_lets_the_first_call_through() -> None:
    time = FakeTime()
    limiter = Limiter(Limit(per_second=0.25, concurrent=1), time.sleep, time.clock)
    for _ in range(3):
        with limiter:
            pass
    assert time.slept == [4.0, 4.0]


def test_threads_queue_up_behind_each_other() -> None:
    """Catches: threads that all wait for the same moment and then call at once."""
    time = FakeTime()
    waits: list[float] = []
    limiter = Limiter(Limit(per_second=1, concurrent=8), waits.append, time.clock)  # nobody's wait moves the clock
    for _ in range(4):
        with limiter:
            pass
    assert waits == [1.0, 2.0, 3.0]


def test_no_more_calls_are_under_way_than_allowed(bench: Bench) -> None:
    """Catches: more connections at once than the vendor permits, or calls one by one."""
    lock, full = threading.Lock(), threading.Event()
    under_way, most = 0, 0

    def count(request: Request) -> None:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
            if under_way == 3:
                full.set()
        assert full.wait(timeout=20)
        with lock:
            under_way -= 1

    bench.shop.enter = count
    client = bench.client(limit=Limit(per_second=10_000, concurrent=3))
    with ThreadPoolExecutor(9) as pool:
        assert list(pool.map(lambda _: client.request("GET", "rows").status_code, range(9))) == [200] * 9
    assert most == 3


# Audit and secrets


def test_every_attempt_is_audited_without_query_header_or_body(bench: Bench) -> None:
    """Catches: calls that nobody can account for, and secrets in the account."""
    bench.fault(FaultKind.ERROR)
    client = bench.client(auth=lambda *_: basic("c4", SECRET))
    client.request("POST", "rows", params={"api_key": SECRET}, json={"password": SECRET})
    assert [(call.method, call.path, call.status, call.attempt) for call in bench.calls] == [
        ("POST", "/rows", 500, 1),
        ("POST", "/rows", 201, 2),
    ]
    assert bench.calls[1].size > 0
    assert SECRET not in repr(bench.calls)


TROUBLE = [
    FaultKind.ERROR,
    FaultKind.RESET_BEFORE_COMMIT,
    FaultKind.TIMEOUT_BEFORE_COMMIT,
    FaultKind.EXPIRED_CURSOR,
    FaultKind.MALFORMED_JSON,
]


@pytest.mark.parametrize("kind", TROUBLE)
def test_no_error_carries_the_query(bench: Bench, kind: FaultKind) -> None:
    """Catches: an API key in the query that the HTTP library's error shows in a traceback."""
    bench.fault(kind, count=None)
    client = bench.client(timeout=0.2)
    calls: list[Callable[[], Any]] = [
        lambda: client.request("GET", "rows", params={"api_key": SECRET}),
        lambda: list(client.pages("rows", params={"api_key": SECRET})),
        lambda: client.send_once("POST", "journals", params={"api_key": SECRET}),
    ]
    for call in calls:
        try:
            call()
        except (ApiError, NotSentError, UncertainOutcomeError) as error:
            told = "".join(traceback.format_exception(error))
            assert SECRET not in told
        else:
            assert kind is FaultKind.EXPIRED_CURSOR, "the fault did not bite"  # a 410 to a posting is the caller's


# Postings

OUTCOMES = {
    FaultKind.THROTTLE: (NotSentError, 0),
    FaultKind.UNAVAILABLE: (NotSentError, 0),
    FaultKind.EXPIRED_TOKEN: (NotSentError, 0),
    FaultKind.ERROR: (UncertainOutcomeError, 0),
    FaultKind.TIMEOUT_BEFORE_COMMIT: (UncertainOutcomeError, 0),
    FaultKind.TIMEOUT_AFTER_COMMIT: (UncertainOutcomeError, 1),
    FaultKind.RESET_BEFORE_COMMIT: (UncertainOutcomeError, 0),
    FaultKind.RESET_AFTER_COMMIT: (UncertainOutcomeError, 1),
    FaultKind.MALFORMED_JSON: (UncertainOutcomeError, 1),
    FaultKind.TRUNCATED_GZIP: (UncertainOutcomeError, 1),
}


@pytest.mark.parametrize("kind", OUTCOMES)
def test_a_posting_is_sent_once_whatever_happens(bench: Bench, kind: FaultKind) -> None:
    """Catches: a journal that is posted twice, or taken for not posted though it may have been."""
    expected, carried_out = OUTCOMES[kind]
    client = bench.with_token(timeout=1)
    client.request("GET", "rows")
    bench.fault(kind, path="/journals")
    with pytest.raises(expected):
        client.send_once("POST", "journals", json={"debit": 1})
    assert bench.arrived("POST /journals") == 1
    assert bench.shop.carried_out == carried_out
    assert bench.delays == []
    assert client.send_once("POST", "journals", json={"debit": 1}).status_code == 201  # and the next is like any other


@pytest.mark.parametrize("status", [500, 502, 504, 520])
def test_a_server_error_leaves_a_posting_uncertain(bench: Bench, status: int) -> None:
    bench.shop.answers = [json_response({}, status)]
    with pytest.raises(UncertainOutcomeError, match=str(status)):
        bench.client().send_once("POST", "journals")
    assert bench.arrived("POST /journals") == 1


@pytest.mark.parametrize("status", [200, 201, 204, 400, 404, 409, 422])
def test_other_answers_to_a_posting_are_the_callers_to_judge(bench: Bench, status: int) -> None:
    bench.shop.answers = [json_response({"told": status}, status) if status != 204 else Response(204)]
    assert bench.client().send_once("POST", "journals").status_code == status


def test_a_posting_that_found_no_server_was_not_sent(bench: Bench) -> None:
    with serve(cast(Company, None), Clock(NOW), [Stranger]) as gone:
        url = gone.url("stranger")
    with pytest.raises(NotSentError):
        bench.client(base_url=url).send_once("POST", "journals")


def test_a_posting_without_a_token_was_not_sent(bench: Bench) -> None:
    bench.fault(FaultKind.UNAVAILABLE, path="/token", count=None)
    with pytest.raises(NotSentError):
        bench.with_token().send_once("POST", "journals")
    assert bench.arrived("POST /journals") == 0


# Where credentials go


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(bench: Bench, status: int) -> None:
    """Catches: credentials or a journal that are sent to an address nobody configured."""
    moved = json_response({}, status, {"Location": f"{bench.running.url('stranger')}/rows"})
    client = bench.client(auth=lambda *_: basic("c4", SECRET))
    bench.shop.answers = [moved, moved, moved]
    with pytest.raises(RefusedError, match=str(status)):
        client.request("GET", "rows")
    with pytest.raises(RefusedError, match=str(status)):
        list(client.pages("rows"))
    with pytest.raises(UncertainOutcomeError):
        client.send_once("POST", "journals")
    assert not bench.running.requests("stranger")


def test_a_proxy_never_sees_an_unencrypted_call(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: HTTP_PROXY in the environment that quietly reads every credential."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, bench.running.url("stranger"))
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert ids(bench.with_token().pages("rows")) == list(range(25))
    assert not bench.running.requests("stranger")


def test_nobodys_netrc_is_read(bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Catches: a password of the person who runs the platform, sent to the vendor."""
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login me password {SECRET}\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    bench.client().request("GET", "rows")
    assert "Authorization" not in bench.shop.seen[-1].headers


# TLS


class TlsServer:
    """An HTTPS server on a socket with a certificate that it signed itself."""

    def __init__(self, folder: Path, newest: ssl.TLSVersion) -> None:
        self.hits = 0
        self.certificate = folder / "certificate.pem"
        key_file = folder / "key.pem"
        _sign(self.certificate, key_file)
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.hits += 1
                body = json.dumps({"rows": []}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:
                """A client that refuses the handshake is what is tested."""

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if newest < ssl.TLSVersion.TLSv1_2:
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = newest
        context.maximum_version = newest
        context.load_cert_chain(self.certificate, key_file)
        self._server = Quiet(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> TlsServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _sign(certificate: Path, key_file: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    certificate.write_bytes(signed.public_bytes(Encoding.PEM))
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def test_a_certificate_that_nobody_vouches_for_is_refused(bench: Bench, tmp_path: Path) -> None:
    """Catches: verification switched off. Nothing is sent, nothing is retried, a person is told."""
    with TlsServer(tmp_path, ssl.TLSVersion.TLSv1_3) as server:
        client = bench.client(base_url=server.url)
        with pytest.raises(AccessError, match="certificate"):
            client.request("GET", "rows")
        with pytest.raises(NotSentError):
            client.send_once("POST", "journals")
        assert server.hits == 0
    assert bench.delays == []


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_below_one_two_is_refused(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, newest: ssl.TLSVersion
) -> None:
    """Catches: a connection that can be read, even where the operating system's own defaults allow it."""
    with TlsServer(tmp_path, newest) as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate))
        monkeypatch.setattr(http, "_tls_context", http._tls_context.__wrapped__)  # these certificates are this test's
        client = bench.client(base_url=server.url)
        if newest >= ssl.TLSVersion.TLSv1_2:
            assert client.request("GET", "rows").status_code == 200
        else:
            with pytest.raises(RetriableError, match="SSLError"):
                client.request("GET", "rows")
            assert server.hits == 0
