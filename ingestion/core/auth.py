"""Authentication as dlt's auth objects, ready for a connector's `auth` declaration.

Objects with `invalidate()` hold a token that can be thrown away: the client calls it after a 401 and tries once more.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import requests
from dlt.sources.helpers.rest_client.auth import APIKeyAuth, AuthConfigBase, BearerTokenAuth, HttpBasicAuth
from requests import PreparedRequest

from ingestion.core.errors import AccessError, RetriableError
from ingestion.core.http import RETRY_STATUSES, SafeSession

TOKEN_TIMEOUT = 30.0
EXPIRY_MARGIN = 60.0


def basic(username: str, password: str) -> AuthConfigBase:
    """HTTP Basic."""
    return HttpBasicAuth(username, password)


def bearer(token: str) -> AuthConfigBase:
    """A fixed bearer token."""
    return BearerTokenAuth(token)


def api_key(name: str, value: str) -> AuthConfigBase:
    """A key in a header."""
    return APIKeyAuth(name=name, api_key=value, location="header")


class TokenAuth(AuthConfigBase):
    """A bearer token from an OAuth 2 token endpoint (RFC 6749), shared by threads, renewed before it ends.

    `form` is sent form-encoded, or as JSON where the vendor wants it. `basic_client` sends id and secret as Basic.
    Raises AccessError when the endpoint refuses, RetriableError when it does not answer.
    """

    def __init__(
        self,
        token_url: str,
        form: dict[str, str],
        *,
        as_json: bool = False,
        basic_client: tuple[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._token_url = token_url
        self._form = form
        self._as_json = as_json
        self._basic_client = basic_client
        self._clock = clock
        self._lock = threading.Lock()
        self._token = ""
        self._ends = 0.0

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        with self._lock:
            if not self._token or self._clock() >= self._ends:
                self._obtain()
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def invalidate(self) -> None:
        """Forget the token: the vendor no longer takes it."""
        with self._lock:
            self._token = ""

    def _grant(self, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        """`access_token` and `expires_in` (seconds) of a 200 answer, for vendors with names of their own."""
        return answer

    def _asked(self) -> Mapping[str, str]:
        """The form of the next request."""
        return self._form

    def _kept(self, grant: Mapping[str, Any]) -> None:
        """What else a grant brings, before its access token is used."""

    def _ask(self, session: SafeSession) -> requests.Response:
        """The token endpoint's answer, for flows with steps before it; a step that is refused is the answer."""
        form = self._asked()
        body: dict[str, Any] = {"json": form} if self._as_json else {"data": form}
        return session.post(self._token_url, auth=self._basic_client, timeout=TOKEN_TIMEOUT, **body)

    def _obtain(self) -> None:
        try:
            with SafeSession() as session:
                answer = self._ask(session)
        except requests.RequestException as error:
            raise RetriableError(f"the token endpoint did not answer ({type(error).__name__})") from None
        if answer.status_code in RETRY_STATUSES:
            raise RetriableError(f"the token endpoint answered {answer.status_code}", answer.status_code)
        try:
            token = answer.json()
        except ValueError:
            token = None
        if answer.status_code == 200 and isinstance(token, dict):
            token = self._grant(token)
        if answer.status_code == 200 and not isinstance(token, Mapping):
            raise RetriableError("the token endpoint's answer is not JSON", answer.status_code)
        if answer.status_code != 200 or not token.get("access_token"):
            reason = token.get("error", "no access_token") if isinstance(token, Mapping) else f"{answer.status_code}"
            raise AccessError(f"the token endpoint refused the credentials: {reason}", answer.status_code)
        self._kept(token)
        self._token = str(token["access_token"])
        self._ends = self._clock() + max(float(token.get("expires_in") or 3600) - EXPIRY_MARGIN, 1.0)


class RefreshTokenAuth(TokenAuth):
    """OAuth 2 refresh token grant. Where a refresh token ends with its use, the answer brings the next one.

    The next one is put into `credentials` before the access token is used, so it outlives this process if that
    mapping keeps its values. If another process has used the token meanwhile, the one that it has stored is tried once.
    """

    def __init__(
        self, token_url: str, credentials: MutableMapping[str, str], *, as_json: bool = False, basic: bool = False
    ) -> None:
        client = (credentials["client_id"], credentials["client_secret"])
        super().__init__(token_url, {}, as_json=as_json, basic_client=client if basic else None)
        self._credentials = credentials

    def _asked(self) -> Mapping[str, str]:
        names = ("refresh_token",) if self._basic_client else ("client_id", "client_secret", "refresh_token")
        return {"grant_type": "refresh_token"} | {name: self._credentials[name] for name in names}

    def _kept(self, grant: Mapping[str, Any]) -> None:
        if following := grant.get("refresh_token"):
            self._credentials["refresh_token"] = str(following)

    def _obtain(self) -> None:
        used = self._credentials["refresh_token"]
        try:
            super()._obtain()
        except AccessError as error:
            if (reload := getattr(self._credentials, "reload", None)) is not None:
                reload()
            if self._credentials["refresh_token"] == used:
                raise AccessError("the refresh token is not accepted: authorise the app again", error.status) from None
            super()._obtain()


def client_credentials(
    token_url: str,
    client_id: str,
    client_secret: str,
    *,
    scope: str = "",
    as_json: bool = False,
    basic: bool = False,
) -> TokenAuth:
    """OAuth 2 client credentials; `basic` sends the client as HTTP Basic instead of in the body."""
    form = {"grant_type": "client_credentials"}
    if scope:
        form["scope"] = scope
    if not basic:
        form |= {"client_id": client_id, "client_secret": client_secret}
    return TokenAuth(token_url, form, as_json=as_json, basic_client=(client_id, client_secret) if basic else None)
