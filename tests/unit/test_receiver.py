"""The receiver over a real socket: what it takes, what it refuses and how."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import logging
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from ingestion.core.ops.db import writing
from ingestion.core.spec import Carries, SecretUrl, Signed, Webhooks
from ingestion.receiver import app as receiver
from ingestion.receiver.app import create_app
from ingestion.receiver.events import Refused, Secrets, read_event
from ingestion.receiver.server import running
from ingestion.sandbox.control import Control
from ingestion.sandbox.webhooks import Delivery
from ingestion.vendors.toast import CONNECTOR as TOAST
from tests.stand import Stand, company

HOOKS = "/api/v1/integrations/webhooks"
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class Door:
    """A stand of one vendor with its receiver, and events that are its own."""

    def __init__(self, stand: Stand, url: str) -> None:
        self.stand, self.url = stand, url
        self.platform = stand.platform()
        self.sandbox = stand.running.sandbox("toast")
        self.deliveries = list(self.sandbox.webhooks(LONG_AGO, stand.now))

    def post(self, delivery: Delivery, path: str = "/toast") -> requests.Response:
        return delivery.send(f"{self.url}{HOOKS}{path}")

    def signed(self, body: bytes, timestamp: str = "2026-04-05T05:00:00.000Z") -> Delivery:
        """A body of our own with Toast's signature."""
        secret = self.sandbox.credentials()["webhook_secret"].encode()
        digest = hmac.new(secret, body + timestamp.encode(), hashlib.sha256).digest()
        return Delivery(LONG_AGO, body, {"Toast-Signature": base64.b64encode(digest).decode()})

    def stored(self) -> int:
        return sum(self.platform.ops.inbox.count("received").values())


@contextmanager
def opened(root: Path, **limits: int) -> Iterator[Door]:
    small = company(outlets=3, days=1, checks_per_day=8, pos=("toast",))
    with (
        Stand.open(root, ["toast"], made=small, days=1) as stand,
        running(create_app(stand.platform(), **limits)) as url,  # type: ignore[arg-type]
    ):
        yield Door(stand, url)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with opened(tmp_path_factory.mktemp("receiver"), max_body=2**20) as door:
        yield door


def test_a_signed_event_is_kept_once(shared: Door) -> None:
    """Catches: a duplicate that is refused (the vendor would go on sending it) or kept twice."""
    before, delivery = shared.stored(), shared.deliveries[0]
    first, again = shared.post(delivery), shared.post(delivery, "/toast/toast-group")
    assert (first.status_code, again.status_code) == (200, 200)
    assert (first.json()["status"], again.json()["status"]) == ("received", "duplicate")
    assert shared.stored() == before + 1
    (row,) = shared.platform.ops.inbox.events(limit=1)
    told = json.loads(delivery.body)
    assert row["object_key"] == told["details"]["order"]["guid"]
    assert row["outlet"] == told["details"]["restaurantGuid"]
    assert row["sha256"] == hashlib.sha256(delivery.body).hexdigest()
    assert json.loads(row["headers"]) == {"Toast-Event-Category": "order_updated", "Toast-Attempt-Number": "1"}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: replace(d, body=d.body.replace(b'"APPROVED"', b'"FUTURE"')),
        lambda d: replace(d, body=d.body + b" "),
        lambda d: replace(d, body=d.body.replace(b'{"timestamp":"2026', b'{"timestamp":"2027')),
        lambda d: replace(d, headers={}),
        lambda d: replace(d, headers={"Toast-Signature": ""}),
        lambda d: replace(d, headers={"Toast-Signature": "ä".encode("latin-1").decode("latin-1")}),
        lambda d: replace(d, headers={"Toast-Signature": d.headers["Toast-Signature"].lower()}),
    ],
)
def test_an_event_that_was_changed_or_not_signed_is_refused(shared: Door, spoil: object) -> None:
    """Catches: a signature over anything but the raw bytes and the timestamp, one that may be missing."""
    before = shared.stored()
    changed = spoil(shared.deliveries[1])  # type: ignore[operator]
    assert changed != shared.deliveries[1]
    answer = shared.post(changed)
    assert answer.status_code == 401
    assert "secret" not in answer.text
    assert shared.stored() == before


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"[]", "timestamp"),
        (b"{", None),
        (b"\xff\xfe", None),
        (b"[" * 100_000, None),
        (b'{"timestamp":"2026-04-05T05:00:00.000Z"}', "eventType"),
        (b'{"timestamp":"2026-04-05T05:00:00.000Z","eventType":"order_updated"}', "details.restaurantGuid"),
        (b'{"timestamp":"2026-04-05T05:00:00.000Z","eventType":["order_updated"]}', "eventType"),
        (b'{"timestamp":"2026-04-05T05:00:00.000Z","eventType":"poll:orders","guid":"forged"}', "eventType"),
        (b'{"timestamp":"2026-04-05T05:00:00.000Z","eventType":"menus_updated","guid":null}', "guid"),
        (b'{"timestamp":"2026-04-05T05:00:00.000Z","eventType":"menus_updated","guid":"a\\u0000b"}', "guid"),
    ],
)
def test_what_is_missing_is_named(shared: Door, body: bytes, field: str | None) -> None:
    """Catches: a 500 for a body that is no event, an answer that leaves the vendor's engineer to guess;
    a type by which a webhook would pass for what came through another door.
    """
    before = shared.stored()
    answer = shared.post(shared.signed(body))
    assert answer.status_code == 400
    assert answer.json().get("field") == field
    assert shared.stored() == before


def test_a_time_must_have_a_zone(shared: Door) -> None:
    told = "2026-04-05T05:00:00"
    body = b'{"timestamp":"%s","eventType":"menus_updated","guid":"x"}' % told.encode()
    answer = shared.post(shared.signed(body, told))
    assert (answer.status_code, answer.json()["field"]) == (400, "timestamp")


def test_an_event_of_a_kind_that_nothing_reads_is_kept(shared: Door) -> None:
    """Catches: 400 for a type the connector does not know: the vendor would stop the subscription."""
    body = b'{"timestamp":"2026-04-05T05:00:00.000Z","eventType":"menus_updated","guid":"menus-1"}'
    assert shared.post(shared.signed(body)).json() == {"status": "received", "event_id": "menus-1"}


def test_wrong_addresses_kinds_and_sizes_are_refused(shared: Door) -> None:
    delivery, url = shared.deliveries[2], shared.url + HOOKS
    for path in ("/nobody", "/bamboohr", "/toast/moka-jakarta", "/toast/", "/toast/toast-group/more"):
        assert shared.post(delivery, path).status_code in (404, 307), path
    as_text = requests.post(url + "/toast", data=delivery.body, headers={"Content-Type": "text/plain"}, timeout=10)
    assert as_text.status_code == 415
    big = b'{"x":"' + b"x" * 2**20 + b'"}'
    assert shared.post(shared.signed(big)).status_code == 413
    chunked = requests.post(
        url + "/toast",
        data=(big[start : start + 2**16] for start in range(0, len(big), 2**16)),
        headers={"Content-Type": "application/json"},
        timeout=10,
    )
    assert chunked.status_code == 413
    assert requests.get(url + "/toast", timeout=10).status_code == 405


def test_a_body_that_never_ends_is_given_up(shared: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a connection that holds a worker for as long as it likes."""
    monkeypatch.setattr(receiver, "BODY_SECONDS", 0.2)
    host, port = shared.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        head = (
            f"POST {HOOKS}/toast HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
        )
        connection.sendall(head.encode() + b"{")
        assert connection.recv(1000).startswith(b"HTTP/1.1 408")


def test_one_account_cannot_take_all_the_room(tmp_path: Path) -> None:
    """Catches: no bound on what waits for the database; a 429 that does not say when to come back; an event that was
    let in and lost.
    """
    with opened(tmp_path, in_flight=3) as door, ThreadPoolExecutor(8) as senders:
        with writing(door.platform.ops.sessions):  # as if the disk were busy
            answers = [senders.submit(door.post, delivery) for delivery in door.deliveries[:8]]
            refused = list(itertools.islice(as_completed(answers, timeout=30), 5))
            assert {answer.result().status_code for answer in refused} == {429}
        statuses = [answer.result(timeout=30) for answer in answers]
        assert sorted(answer.status_code for answer in statuses) == [200] * 3 + [429] * 5
        assert all(answer.headers["Retry-After"] for answer in statuses if answer.status_code == 429)
        assert door.stored() == 3
        token = door.platform.ops.tokens.create("test", ["stats"], "test")
        (row,) = _stats(door, token).json()["integrations"]
        assert (row["received"], row["refused_429"]) == (3, 5)


def _stats(door: Door, token: str) -> requests.Response:
    return requests.get(f"{door.url}{HOOKS}/stats", headers={"Authorization": f"Bearer {token}"}, timeout=10)


def test_figures_are_for_those_who_may_see_them(shared: Door) -> None:
    """Catches: figures for anybody, or for a token that is for something else."""
    tokens = shared.platform.ops.tokens
    assert requests.get(f"{shared.url}{HOOKS}/stats", timeout=10).status_code == 401
    assert _stats(shared, tokens.create("x", ["upload"], "test")).status_code == 401
    assert _stats(shared, tokens.create("x", ["stats"], "test")).status_code == 200
    assert requests.get(f"{shared.url}/health", timeout=10).json() == {"status": "ok"}


def test_a_sandbox_process_sends_what_happened(shared: Door) -> None:
    """Catches: a sandbox that can be pulled from only, events that are signed with another secret than it tells."""
    control = Control(shared.stand.running)
    try:
        asked = {"vendor": "toast", "url": f"{shared.url}{HOOKS}/toast", "since": LONG_AGO.isoformat()}
        told = requests.post(f"{control.url}/webhooks", json=asked, timeout=60).json()
    finally:
        control.close()
    assert told == {"answers": {"200": len(shared.deliveries)}}
    assert shared.stored() >= len(shared.deliveries)


def test_nothing_secret_reaches_the_log(shared: Door, caplog: pytest.LogCaptureFixture) -> None:
    """Catches: an access log with the query of a secret URL, a traceback with a body."""
    with caplog.at_level(logging.DEBUG):
        shared.post(shared.deliveries[3], "/toast?key=hush-hush")
        shared.post(replace(shared.deliveries[4], headers={}))
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("urllib3")]
    assert not [message for message in ours if "hush-hush" in message or "details" in message]


# signature schemes that other vendors have

BODY = b'{"type":"sale","shop":7,"at":"2026-04-05T05:00:00Z"}'
NOON = datetime(2026, 4, 5, 5, tzinfo=UTC)


def read(
    shared: Door, scheme: Signed | SecretUrl, headers: dict[str, str], query: dict[str, str], now: datetime = NOON
) -> str:
    declared = Webhooks(authentic=scheme, events={}, event_type="type", outlet="shop")
    connector = replace(TOAST, webhooks=declared)
    accounts = shared.platform.integrations("toast")
    return read_event(connector, accounts, Secrets(shared.platform), headers, query, BODY, now).event_id


def test_the_schemes_of_other_vendors(shared: Door) -> None:
    """Catches: a declared prefix, encoding, literal or tolerance that is not looked at."""
    secret = shared.sandbox.credentials()["webhook_secret"].encode()
    stamp = str(int(NOON.timestamp()))
    hexed = hmac.new(secret, stamp.encode() + b"." + BODY, hashlib.sha512).hexdigest()
    scheme = Signed(
        "X-Signature",
        algorithm="sha512",
        encoding="hex",
        prefix="sha512=",
        signed=("timestamp", ".", "body"),
        timestamp="header:X-Timestamp",
        tolerance=timedelta(minutes=5),
    )
    headers = {"X-Signature": f"sha512={hexed}", "X-Timestamp": stamp}
    assert read(shared, scheme, headers, {}) == hashlib.sha256(BODY).hexdigest()
    for wrong, now in (
        (headers | {"X-Signature": hexed}, NOON),
        (headers | {"X-Timestamp": str(int(stamp) + 1)}, NOON),
        (headers, NOON + timedelta(minutes=6)),
        (headers, NOON - timedelta(minutes=6)),
    ):
        with pytest.raises(Refused, match="signature"):
            read(shared, scheme, wrong, {}, now)
    assert read(shared, SecretUrl(), {}, {"key": secret.decode()})
    for query in ({}, {"key": ""}, {"key": "x"}):
        with pytest.raises(Refused, match="signature"):
            read(shared, SecretUrl(), {}, query)


def test_nobody_is_let_in_by_an_account_without_a_secret(shared: Door) -> None:
    """Catches: an empty secret that makes a valid signature."""
    platform = shared.platform
    credentials = platform.ops.credentials("toast-group")
    platform.ops.set_credentials("toast-group", credentials | {"webhook_secret": ""}, who="test")
    try:
        with pytest.raises(Refused, match="signature"):
            read(shared, SecretUrl(), {}, {"key": ""})
    finally:
        platform.ops.set_credentials("toast-group", credentials, who="test")


def test_an_unsigned_event_cannot_carry_a_record() -> None:
    """Catches: a declaration by which whoever learns a URL could book sales."""
    with pytest.raises(ValueError, match="Hint"):
        Webhooks(authentic=SecretUrl(), events={"sale": Carries("orders", "order")}, event_type="t", outlet="o")
