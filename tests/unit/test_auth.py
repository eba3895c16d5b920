"""Tokens: obtained once, renewed before they end, and never told to anybody but their endpoint."""

from __future__ import annotations

import base64
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import parse_qs

import pytest
from requests import PreparedRequest
from requests import Request as Draft

from ingestion.core.auth import EXPIRY_MARGIN, TokenAuth, api_key, basic, bearer, client_credentials
from ingestion.core.errors import AccessError, RetriableError
from ingestion.sandbox.clock import Clock
from ingestion.sandbox.company import Company
from ingestion.sandbox.faults import Fault, FaultKind
from ingestion.sandbox.server import Request, Response, RunningSandboxes, Sandbox, json_response, serve

SECRET = "s3cr3t-of-the-client"
NOW = datetime(2026, 4, 5, 22, tzinfo=UTC)


class Issuer(Sandbox):
    """A token endpoint. `answer` replaces what it says."""

    vendor = "issuer"

    def __init__(self, company: Company, clock: Clock) -> None:
        super().__init__(company, clock)
        self.seen: list[Request] = []
        self.answer: Response | None = None
        self.lifetime: Any = 3600

    def handle(self, request: Request) -> Response:
        with self.lock:
            self.seen.append(request)
            token = {"access_token": f"t{len(self.seen)}", "token_type": "Bearer", "expires_in": self.lifetime}
            return self.answer or json_response(token)


class Stranger(Sandbox):
    vendor = "stranger"

    def handle(self, request: Request) -> Response:
        return json_response({"access_token": "stolen"})


@pytest.fixture
def running() -> Iterator[RunningSandboxes]:
    with serve(cast(Company, None), Clock(NOW), [Issuer, Stranger]) as made:
        yield made
        assert made.errors("issuer") == []


@pytest.fixture
def issuer(running: RunningSandboxes) -> Issuer:
    return cast(Issuer, running.sandbox("issuer"))


@pytest.fixture
def url(running: RunningSandboxes) -> str:
    return f"{running.url('issuer')}/connect/token"


def draft() -> PreparedRequest:
    return Draft("GET", "http://127.0.0.1/rows").prepare()


def signed(auth: Any) -> str | None:
    return auth(draft()).headers.get("Authorization")


def test_fixed_credentials_stand_where_the_vendor_looks_for_them() -> None:
    assert signed(basic("key", "x")) == "Basic " + base64.b64encode(b"key:x").decode()
    assert signed(bearer("abc")) == "Bearer abc"
    assert api_key("X-Api-Key", "abc")(draft()).headers["X-Api-Key"] == "abc"


@pytest.mark.parametrize("as_json", [False, True])
def test_client_credentials_in_the_body(issuer: Issuer, url: str, as_json: bool) -> None:
    """Catches: a grant that the endpoint does not understand."""
    auth = client_credentials(url, "c4", SECRET, scope="a b", as_json=as_json)
    assert signed(auth) == "Bearer t1"
    sent = issuer.seen[0]
    form = sent.json() if as_json else {name: value[0] for name, value in parse_qs(sent.body.decode()).items()}
    assert form == {"grant_type": "client_credentials", "scope": "a b", "client_id": "c4", "client_secret": SECRET}
    assert "Authorization" not in sent.headers


def test_client_credentials_as_basic_are_not_in_the_body_too(issuer: Issuer, url: str) -> None:
    signed(client_credentials(url, "c4", SECRET, basic=True))
    assert issuer.seen[0].headers["Authorization"] == "Basic " + base64.b64encode(f"c4:{SECRET}".encode()).decode()
    assert issuer.seen[0].body == b"grant_type=client_credentials"


def test_a_token_is_kept_until_shortly_before_its_end(issuer: Issuer, url: str) -> None:
    """Catches: a token per call, and a token that ends on its way to the vendor."""
    now = 0.0
    auth = TokenAuth(url, {"grant_type": "client_credentials"}, clock=lambda: now)
    assert [signed(auth), signed(auth)] == ["Bearer t1", "Bearer t1"]
    now = 3600 - EXPIRY_MARGIN - 1
    assert signed(auth) == "Bearer t1"
    now = 3600 - EXPIRY_MARGIN
    assert signed(auth) == "Bearer t2"
    auth.invalidate()
    assert [signed(auth), signed(auth)] == ["Bearer t3", "Bearer t3"]


@pytest.mark.parametrize(("lifetime", "lasts"), [("1800", 1740.0), (None, 3540.0), (30, 1.0)])
def test_lifetimes_as_vendors_write_them(issuer: Issuer, url: str, lifetime: Any, lasts: float) -> None:
    """Catches: a number in quotes or a missing one that ends the run; a short life that never counts as valid."""
    now = 0.0
    issuer.lifetime = lifetime
    auth = TokenAuth(url, {}, clock=lambda: now)
    assert signed(auth) == "Bearer t1"
    now = lasts - 0.5
    assert signed(auth) == "Bearer t1"
    now = lasts
    assert signed(auth) == "Bearer t2"


def test_threads_obtain_one_token(issuer: Issuer, url: str) -> None:
    """Catches: a storm on the token endpoint at the start of every night."""
    auth = client_credentials(url, "c4", SECRET)
    together = threading.Barrier(8)

    def sign(_: int) -> str | None:
        together.wait(timeout=20)
        return signed(auth)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(sign, range(8))) == {"Bearer t1"}
    assert len(issuer.seen) == 1


REFUSALS = {
    "wrong secret": json_response({"error": "invalid_client"}, 401),
    "revoked": json_response({"error": "invalid_grant"}, 400),
    "a page instead": Response(403, b"<html>blocked</html>", "text/html"),
    "no token in it": json_response({"token": "x"}),
    "an empty token": json_response({"access_token": ""}),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_needs_a_person(issuer: Issuer, url: str, name: str) -> None:
    """Catches: wrong credentials that are tried again all night; an answer without a token taken for one."""
    issuer.answer = REFUSALS[name]
    with pytest.raises(AccessError) as caught:
        signed(client_credentials(url, "c4", SECRET))
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    issuer.answer = None
    assert signed(client_credentials(url, "c4", SECRET)) == "Bearer t2"


@pytest.mark.parametrize(
    "kind", [FaultKind.THROTTLE, FaultKind.ERROR, FaultKind.UNAVAILABLE, FaultKind.RESET_BEFORE_COMMIT]
)
def test_passing_trouble_is_told_apart_from_a_refusal(running: RunningSandboxes, url: str, kind: FaultKind) -> None:
    """Catches: an integration switched off because its token endpoint was away for a minute."""
    running.faults("issuer").add(Fault(kind=kind))
    auth = client_credentials(url, "c4", SECRET)
    with pytest.raises(RetriableError) as caught:
        signed(auth)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert signed(auth) == "Bearer t1"


@pytest.mark.parametrize("body", [b"<html>oops</html>", b'{"access_token": "t', b"[]", b'"access_token"', b"5"])
def test_an_answer_that_is_no_object_is_passing_trouble(issuer: Issuer, url: str, body: bytes) -> None:
    issuer.answer = Response(200, body)
    with pytest.raises(RetriableError):
        signed(client_credentials(url, "c4", SECRET))


@pytest.mark.parametrize("status", [302, 307, 308])
def test_a_token_endpoint_that_moved_gets_no_secret_elsewhere(
    running: RunningSandboxes, issuer: Issuer, url: str, status: int
) -> None:
    """Catches: client id and secret that follow a redirect to another host."""
    issuer.answer = json_response({}, status, {"Location": f"{running.url('stranger')}/token"})
    with pytest.raises(AccessError):
        signed(client_credentials(url, "c4", SECRET))
    assert not running.requests("stranger")
