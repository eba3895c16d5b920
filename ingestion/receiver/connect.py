"""Connecting an account in the browser: OAuth 2 authorisation code (RFC 6749), with PKCE (RFC 7636) where declared.

The state that comes back is good once and for ten minutes; only its hash is stored, and the code verifier sealed. Of a
grant the refresh token is kept, encrypted with the account's credentials; connectors renew access tokens from it.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import requests
from sqlalchemy import delete

from ingestion.core.auth import TOKEN_TIMEOUT
from ingestion.core.config import Integration
from ingestion.core.http import SafeSession
from ingestion.core.ops.db import writing
from ingestion.core.ops.models import OAuthState
from ingestion.core.platform import Platform
from ingestion.core.spec import Connector, OAuth
from ingestion.receiver.events import Refused

GOOD_FOR = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Connections:
    """Authorisations of one company's accounts."""

    platform: Platform
    now: Callable[[], datetime]

    def start(self, integration_id: str, redirect_uri: str, who: str) -> str:
        """Where to send the person's browser. Raises Refused: 404 for an account that does not connect so, 409 while
        its client id is not stored.
        """
        connector, account, oauth = self._declared(integration_id)
        client_id = self._credentials(integration_id)["client_id"]
        state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(64)
        hashed, at = _hash(state), self.now()
        sealed = self.platform.keys.cipher("oauth").encrypt(verifier.encode(), hashed.encode())
        with writing(self.platform.ops.sessions) as session:
            session.execute(delete(OAuthState).where(OAuthState.expires_at <= at))
            session.add(
                OAuthState(
                    sha256=hashed,
                    integration_id=integration_id,
                    redirect_uri=redirect_uri,
                    verifier=sealed,
                    who=who,
                    expires_at=at + GOOD_FOR,
                )
            )
        asked = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": redirect_uri,
            "scope": account.settings.get("scopes", oauth.scopes),
            "state": state,
        }
        if oauth.pkce:
            digest = hashlib.sha256(verifier.encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            asked |= {"code_challenge": challenge, "code_challenge_method": "S256"}
        return f"{oauth.url(oauth.authorize_url, connector.base_url, account.settings)}?{urlencode(asked)}"

    def finish(self, state: str, code: str, error: str) -> str:
        """Take the vendor's answer; returns the account that is connected now.

        Raises Refused: 400 for a state that is unknown, used or too old, or when the person or the vendor said no; 502
        when the vendor's token endpoint does not give what it should.
        """
        begun = self._taken(state)
        if error or not code:
            raise Refused(400, "the vendor did not grant access; start again", "error" if error else "code")
        connector, account, oauth = self._declared(begun.integration_id)
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": begun.redirect_uri}
        if oauth.pkce:
            sealed = self.platform.keys.cipher("oauth").decrypt(begun.verifier, begun.sha256.encode())
            form["code_verifier"] = sealed.decode()
        credentials = self._credentials(account.integration_id)
        url = oauth.url(oauth.token_url, connector.base_url, account.settings)
        grant = _post(url, form, oauth, credentials)
        refresh_token = grant.get("refresh_token")
        if not refresh_token or not isinstance(refresh_token, str):
            raise Refused(502, "the vendor's grant has no refresh token")
        self.platform.ops.set_credentials(
            account.integration_id, {**credentials, "refresh_token": refresh_token}, who=begun.who
        )
        return account.integration_id

    def revoke(self, integration_id: str, who: str) -> bool:
        """Forget the account's refresh token, and have the vendor end it; False when there is none.

        It is forgotten first: what the vendor does not hear of, nobody here can use any more. Raises Refused(502) when
        the vendor did not confirm.
        """
        connector, account, oauth = self._declared(integration_id)
        credentials = self._credentials(integration_id)
        refresh_token = credentials.pop("refresh_token", "")
        if not refresh_token:
            return False
        self.platform.ops.set_credentials(integration_id, credentials, who=who)
        self.platform.ops.audit(who, "revoke connection", integration_id, "forgotten here")
        if oauth.revoke_url:
            url = oauth.url(oauth.revoke_url, connector.base_url, account.settings)
            _post(url, {"token": refresh_token}, oauth, credentials)
        return True

    def _taken(self, state: str) -> OAuthState:
        """What was begun with a state; it is gone then. Raises Refused(400)."""
        with writing(self.platform.ops.sessions) as session:
            begun = session.get(OAuthState, _hash(state))
            if begun is not None:
                session.delete(begun)
        if begun is None or begun.expires_at <= self.now():
            raise Refused(400, "is unknown, was used before or is too old; start again", "state")
        return begun

    def _declared(self, integration_id: str) -> tuple[Connector, Integration, OAuth]:
        for account in self.platform.config.integrations:
            if account.integration_id == integration_id and account.enabled:
                connector = self.platform.connector(integration_id)
                if connector.oauth is not None:
                    return connector, account, connector.oauth
        raise Refused(404, "no such account, or it is not connected in the browser")

    def _credentials(self, integration_id: str) -> dict[str, str]:
        credentials = self.platform.ops.credentials(integration_id)
        if not credentials.get("client_id") or not credentials.get("client_secret"):
            raise Refused(409, "store the app's client id and secret first: c4 credentials set")
        return credentials


def _post(url: str, form: Mapping[str, str], oauth: OAuth, credentials: Mapping[str, str]) -> dict[str, Any]:
    """The answer of a token or revocation endpoint, {} for an empty one. Raises Refused(502), without what was sent."""
    client = {name: credentials[name] for name in ("client_id", "client_secret")}
    more: dict[str, Any] = (
        {"json": {**form, **client}} if oauth.client == "json" else {"data": form, "auth": tuple(client.values())}
    )
    try:
        with SafeSession() as session:
            answer = session.post(url, timeout=TOKEN_TIMEOUT, headers={"Accept": "application/json"}, **more)
    except requests.RequestException as error:
        raise Refused(502, f"the vendor did not answer ({type(error).__name__})") from None
    if answer.status_code != 200:
        raise Refused(502, f"the vendor refused with {answer.status_code}")
    try:
        told = answer.json() if answer.content else {}
    except ValueError:
        raise Refused(502, "the vendor's answer is not JSON") from None
    return told if isinstance(told, dict) else {}


def _hash(state: str) -> str:
    return hashlib.sha256(state.encode()).hexdigest()
