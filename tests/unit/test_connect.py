"""Connecting accounts in the browser: the authorisation code grant against the vendors' sandboxes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from sqlalchemy import text

from ingestion.core.errors import AccessError
from ingestion.core.ops.db import reading
from ingestion.core.platform import Platform
from ingestion.receiver.app import create_app
from ingestion.receiver.server import running
from tests.stand import Stand, company, no_sleep

OAUTH = "/api/v1/integrations/oauth"


@dataclass
class Desk:
    """A receiver with a clock of its own, and a person with a browser and a token."""

    stand: Stand
    url: str
    now: list[datetime]
    platform: Platform = field(init=False)
    headers: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.platform = self.stand.platform()
        token = self.platform.ops.tokens.create("controller", ["connect"], "test")
        self.headers = {"Authorization": f"Bearer {token}"}

    def account(self, vendor: str) -> str:
        return self.platform.integrations(vendor)[0].integration_id

    def start(self, integration_id: str) -> requests.Response:
        return requests.post(f"{self.url}{OAUTH}/{integration_id}/start", headers=self.headers, timeout=10)

    def consent(self, authorize_url: str) -> str:
        """The vendor's page; the callback's address that it sends the browser to."""
        answer = requests.get(authorize_url, allow_redirects=False, timeout=10)
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"]

    def call(self, integration_id: str) -> None:
        """One authenticated call of the connector with what is stored now."""
        probe = self.platform.connector(integration_id).probe
        self.platform.client(integration_id, no_sleep).request("GET", probe)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    now = [datetime(2026, 4, 5, 5, tzinfo=UTC)]
    small = company(outlets=3, days=1, checks_per_day=8)
    with (
        Stand.open(tmp_path, ["moka", "xero"], made=small, days=1) as stand,
        running(create_app(stand.platform(), now=lambda: now[0])) as url,
    ):
        yield Desk(stand, url, now)


@pytest.mark.parametrize("vendor", ["moka", "xero"])
def test_an_account_is_connected_used_and_ended(desk: Desk, vendor: str) -> None:
    """Catches: a code that is not exchanged, a refresh token that is not kept or does not rotate, one that works after
    it was revoked, a token at rest in the clear.
    """
    account = desk.account(vendor)
    started = desk.start(account).json()
    asked = {name: values[0] for name, values in parse_qs(urlsplit(started["authorize_url"]).query).items()}
    assert asked["redirect_uri"] == started["redirect_uri"] == f"{desk.url}{OAUTH}/callback"
    assert ("code_challenge" in asked) == (vendor == "xero")
    callback = desk.consent(started["authorize_url"])
    answer = requests.get(callback, timeout=10)
    assert (answer.status_code, answer.json()["integration_id"]) == (200, account), answer.text
    first = desk.platform.ops.credentials(account)["refresh_token"]
    with reading(desk.platform.ops.sessions) as session:
        stored = str(session.execute(text("select * from credentials")).all())
        assert session.execute(text("select count(*) from oauth_states")).scalar() == 0
    assert first not in stored
    desk.call(account)
    second = desk.platform.ops.credentials(account)["refresh_token"]
    assert second != first
    desk.call(account)
    ended = requests.delete(f"{desk.url}{OAUTH}/{account}", headers=desk.headers, timeout=10)
    assert ended.json()["status"] == "revoked"
    assert "refresh_token" not in desk.platform.ops.credentials(account)
    kept = desk.platform.ops.credentials(account)
    desk.platform.ops.set_credentials(account, {**kept, "refresh_token": second}, who="thief")
    with pytest.raises(AccessError):
        desk.call(account)


def test_a_callback_is_good_once_and_not_for_long(desk: Desk) -> None:
    """Catches: a state that can be played again, one that never ends, a callback that nobody began."""
    account = desk.account("moka")
    callback = desk.consent(desk.start(account).json()["authorize_url"])
    assert requests.get(callback, timeout=10).status_code == 200
    again = requests.get(callback, timeout=10)
    assert (again.status_code, again.json()["field"]) == (400, "state")
    late = desk.consent(desk.start(account).json()["authorize_url"])
    desk.now[0] += timedelta(minutes=10)
    assert requests.get(late, timeout=10).json()["field"] == "state"
    for query in ("", "?state=x&code=y", "?code=y"):
        assert requests.get(f"{desk.url}{OAUTH}/callback{query}", timeout=10).status_code == 400


def test_a_refusal_of_the_vendor_is_told_and_changes_nothing(desk: Desk) -> None:
    """Catches: stored nonsense after a "no", a state that survives it."""
    account = desk.account("moka")
    before = desk.platform.ops.credentials(account)
    url = desk.start(account).json()["authorize_url"]
    state = parse_qs(urlsplit(url).query)["state"][0]
    denied = f"{desk.url}{OAUTH}/callback?state={state}&error=access_denied"
    assert requests.get(denied, timeout=10).json()["field"] == "error"
    assert requests.get(denied, timeout=10).json()["field"] == "state"
    callback = desk.consent(desk.start(account).json()["authorize_url"])
    forged = requests.get(callback.replace("code=", "code=x"), timeout=10)
    assert forged.status_code == 502
    assert desk.platform.ops.credentials(account) == before


def test_who_may_connect(desk: Desk) -> None:
    stats = desk.platform.ops.tokens.create("x", ["stats"], "test")
    url = f"{desk.url}{OAUTH}/{desk.account('moka')}/start"
    assert requests.post(url, timeout=10).status_code == 401
    assert requests.post(url, headers={"Authorization": f"Bearer {stats}"}, timeout=10).status_code == 401
    assert desk.start("nobody").status_code == 404


def test_two_processes_share_a_refresh_token(desk: Desk) -> None:
    """Catches: the night locked out because the live loader has used the refresh token before it."""
    account = desk.account("moka")
    requests.get(desk.consent(desk.start(account).json()["authorize_url"]), timeout=10)
    night, live = (desk.platform.client(account, no_sleep) for _ in range(2))
    probe = desk.platform.connector(account).probe
    live.request("GET", probe)
    night.request("GET", probe)
