"""Where Moka is odd: paging by time through a foreign URL, a report in groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
from dlt.sources.helpers.rest_client.auth import AuthConfigBase
from requests import Request, Response

from ingestion.core.auth import RefreshTokenAuth, client_credentials
from ingestion.core.errors import AccessError, PageError
from ingestion.core.paging import BasePaginator, PageNumberPaginator

TIE_MARGIN = Decimal("0.001")  # seconds; times are sent in milliseconds


def library_pages() -> PageNumberPaginator:
    """The menu's pages, counted from 1."""
    return PageNumberPaginator(base_page=1, total_path="data.total_pages")


class _LatestTransactions(msgspec.Struct):
    completed: bool
    next_url: str | None = None


class _LatestTransactionsPage(msgspec.Struct):
    data: _LatestTransactions


class LatestTransactionsPaginator(BasePaginator):
    """Newest first, each page ending where `next_url` says that the next one begins, until `completed`.

    `next_url` names another host, an old version of the path and a token: of it only `until` is used. Whether that
    bound is inclusive is not documented. It is moved up by a millisecond, so that receipts which share the time of
    a page's last one are read again rather than lost. Raises PageError when paging would not advance.
    """

    def __init__(self) -> None:
        super().__init__()
        self._until: Decimal | None = None
        self._decoder = msgspec.json.Decoder(_LatestTransactionsPage)

    def update_state(self, response: Response, data: list[Any] | None = None) -> None:
        try:
            page = self._decoder.decode(response.content).data
        except msgspec.DecodeError as error:
            raise PageError(f"no page of transactions: {error}", response.content) from error
        if page.completed:
            self._has_next_page = False
            return
        told = parse_qs(urlsplit(page.next_url or "").query).get("until", [""])[0]
        if not told.replace(".", "", 1).isdigit():
            raise PageError("next_url: has no time to go on from", response.content)
        until = Decimal(told) + TIE_MARGIN
        if self._until is not None and until >= self._until:
            raise PageError("next_url: does not go back in time", response.content)
        self._until = until

    def update_request(self, request: Request) -> None:
        params: Any = request.params or {}
        request.params = {**params, "until": str(self._until)}


class _Methods(msgspec.Struct):
    cash_or_card: list[msgspec.Raw] = []
    invoice: list[msgspec.Raw] = []
    other: list[msgspec.Raw] = []


class _PaymentMethodsReport(msgspec.Struct):
    total_collected: msgspec.Raw
    total_number_of_transactions: msgspec.Raw
    reports: _Methods


class _PaymentMethodsPage(msgspec.Struct):
    data: _PaymentMethodsReport


def payment_methods_rows(content: bytes) -> Iterator[bytes]:
    """The report as one record with one list `methods`, instead of one list per group; numbers as they came."""
    report = msgspec.json.decode(content, type=_PaymentMethodsPage).data
    groups = report.reports
    yield msgspec.json.encode(
        {
            "total_collected": report.total_collected,
            "total_number_of_transactions": report.total_number_of_transactions,
            "methods": [*groups.cash_or_card, *groups.invoice, *groups.other],
        }
    )


def moka_auth(credentials: Mapping[str, str], settings: Mapping[str, str], base_url: str) -> AuthConfigBase:
    """The refresh token grant where there is a `refresh_token`, else client credentials (private apps).

    Login hosts have moved over time: the setting `oauth_url` overrides the API's own host.
    """
    token_url = f"{settings.get('oauth_url', base_url)}/oauth/token"
    if "refresh_token" in credentials:
        if not isinstance(credentials, MutableMapping):
            raise AccessError("a refresh token needs credentials that can keep the next one")
        return RefreshTokenAuth(token_url, credentials, as_json=True)
    return client_credentials(token_url, credentials["client_id"], credentials["client_secret"], as_json=True)
