"""Webhooks that sandboxes send: what a vendor would post, and posting it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import requests

TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event as the vendor posts it: when, the raw body, its headers and what it adds to the URL's query."""

    at: datetime
    body: bytes = field(repr=False)
    headers: Mapping[str, str]
    query: Mapping[str, str] = field(default_factory=dict)

    def send(self, url: str, session: requests.Session | None = None) -> requests.Response:
        """Post it. Redirects are not followed."""
        post = (session or requests).post
        return post(
            url,
            data=self.body,
            headers={"Content-Type": "application/json", **self.headers},
            params=dict(self.query),
            timeout=TIMEOUT,
            allow_redirects=False,
        )
