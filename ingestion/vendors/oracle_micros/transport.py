"""Where Simphony is odd: a sign-in made for browsers, reading by POST, one business date a call, null for no rows."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import requests
from dlt.sources.helpers.rest_client.auth import AuthConfigBase

from ingestion.core.auth import TOKEN_TIMEOUT, TokenAuth
from ingestion.core.errors import AccessError, PageError
from ingestion.core.fetch import FetchContext, Page, fill
from ingestion.core.http import SafeSession

LATE_DAYS = 7  # business dates before the window that are asked for changes: days are posted late and again
OIDC = "oidc-provider/v1/oauth2"
CALLBACK = "apiaccount://callback"


class SignIn(TokenAuth):
    """The code flow of OpenID Connect with PKCE as Oracle scripts it: no browser, the code in the sign-in's answer.

    The bearer is the `id_token`; the access token is refused. A run signs in by itself, so no refresh token is kept.
    """

    def __init__(self, auth_url: str, client_id: str, user: Mapping[str, str]) -> None:
        self._oidc = f"{auth_url}/{OIDC}"
        self._client = {"client_id": client_id, "scope": "openid", "redirect_uri": CALLBACK}
        self._user = dict(user)
        super().__init__(f"{self._oidc}/token", {"grant_type": "authorization_code", **self._client})

    def _ask(self, session: SafeSession) -> requests.Response:
        verifier = secrets.token_urlsafe(64)
        digest = hashlib.sha256(verifier.encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        asked = {"response_type": "code", "code_challenge": challenge, "code_challenge_method": "S256"}
        opened = session.get(f"{self._oidc}/authorize", params=asked | self._client, timeout=TOKEN_TIMEOUT)
        if not opened.ok:
            return opened
        signed = session.post(f"{self._oidc}/signin", data=self._user, timeout=TOKEN_TIMEOUT)
        if not signed.ok:
            return signed
        told = signed.json()
        codes = parse_qs(urlsplit(told.get("redirectUrl") or "").query).get("code")
        if not codes:
            raise AccessError(
                f"the sign-in gave no code but asks for {told.get('nextOp')!r}; has the password expired?"
            )
        form = self._form | {"code": codes[0], "code_verifier": verifier}
        return session.post(self._token_url, data=form, timeout=TOKEN_TIMEOUT)

    def _grant(self, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"access_token": answer.get("id_token"), "expires_in": answer.get("expires_in")}


def sign_in(credentials: Mapping[str, str], settings: Mapping[str, str], _: str) -> AuthConfigBase:
    """The sign-in of the Business Intelligence API's account."""
    return sign_in_as(credentials["username"], credentials["password"], settings["client_id"], settings)


def sign_in_as(username: str, password: str, client_id: str, settings: Mapping[str, str]) -> AuthConfigBase:
    """An API account's sign-in at `auth_url`, another host than the APIs'."""
    user = {"username": username, "password": password, "orgname": settings["org"]}
    return SignIn(settings["auth_url"], client_id, user)


def read(context: FetchContext) -> Iterator[Page]:
    """The answer to the stream's question, none where its list is null. Raises PageError for what is no object."""
    stream = context.stream
    asked = fill(stream.body, context.values)
    content = context.client.request("POST", stream.path, json=asked).content
    try:
        told = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError as error:
        raise PageError(f"not what was asked for: {error}", content) from error
    if bytes(told.get(stream.records, b"")) != b"null":
        yield context.page(content)


def read_changed(context: FetchContext) -> Iterator[Page]:
    """What changed since the window began, business date by business date, from LATE_DAYS before it to today."""
    since = context.values["since"]
    wider = replace(context, values={**context.values, "since": since - timedelta(days=LATE_DAYS)})
    for day in wider.each_day():
        yield from read(replace(day, values={**day.values, "since": since}))


class _BusinessDate(msgspec.Struct, rename="camel"):
    time_card_details: list[msgspec.Raw] | None = None


class _TimeCards(msgspec.Struct, rename="camel"):
    business_dates: list[_BusinessDate] | None


def time_cards(content: bytes) -> Iterator[bytes]:
    """Each time card, whatever business date it stands below."""
    for day in msgspec.json.decode(content, type=_TimeCards).business_dates or ():
        for card in day.time_card_details or ():
            yield bytes(card)
