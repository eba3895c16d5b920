"""Where Xero is odd: pages counted by the server, 304 for "nothing newer", budgets listed without their lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from datetime import date, timedelta
from typing import Any

import msgspec

from ingestion.core.auth import RefreshTokenAuth, TokenAuth, client_credentials
from ingestion.core.errors import AccessError, PageError
from ingestion.core.fetch import FetchContext, Page, fill
from ingestion.core.http import ApiClient

API = "api.xro/2.0"
IDENTITY = "https://identity.xero.com"
SCOPES = "accounting.settings.read accounting.contacts.read accounting.budgets.read accounting.manualjournals"
PAGE_SIZE = 500  # the vendor allows 1000; with lines this is about 1 MB
NOT_MODIFIED = 304


class _Pagination(msgspec.Struct, rename="camel"):
    page_count: int


class _Paged(msgspec.Struct):
    pagination: _Pagination


class _BudgetId(msgspec.Struct):
    budget_id: str = msgspec.field(name="BudgetID")


class _BudgetList(msgspec.Struct, rename="pascal"):
    budgets: list[_BudgetId]


def xero_auth(credentials: Mapping[str, str], settings: Mapping[str, str], _: str) -> TokenAuth:
    """The refresh token of an app that a person has connected, else client credentials (custom connections)."""
    token_url = f"{settings.get('identity_url', IDENTITY)}/connect/token"
    if "refresh_token" in credentials:
        if not isinstance(credentials, MutableMapping):
            raise AccessError("a refresh token needs credentials that can keep the next one")
        return RefreshTokenAuth(token_url, credentials, basic=True)
    client, secret = credentials["client_id"], credentials["client_secret"]
    return client_credentials(token_url, client, secret, scope=settings.get("scopes", SCOPES), basic=True)


def pages(
    client: ApiClient, path: str, params: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> Iterator[bytes]:
    """Every page of a listing. The server may give shorter pages than asked for, so its page count decides.

    `params` should order by id: an id never changes, so a record that is edited while we read cannot push another
    one over a page border. Raises ApiError; PageError for a page without a page count.
    """
    page, last = 0, 1
    while page < last:
        page += 1
        answer = client.request("GET", path, params={"pageSize": PAGE_SIZE, **params, "page": page}, headers=headers)
        if answer.status_code == NOT_MODIFIED:
            return
        last = _decode(answer.content, _Paged).pagination.page_count
        yield answer.content


def read_pages(context: FetchContext) -> Iterator[Page]:
    """A paged stream as it is declared."""
    stream, values = context.stream, context.values
    headers = {name: value.format_map(values) for name, value in stream.headers.items()}
    for content in pages(context.client, stream.path, fill(stream.params, values), headers):
        yield context.page(content)


def read_budgets(context: FetchContext) -> Iterator[Page]:
    """Each budget with its lines, 24 months around the logical date; the list call leaves the lines out.

    Nothing is handed on before everything is read: the stream replaces what was there.
    """
    path, today = context.stream.path, context.values["until"].date()
    window = {
        "DateFrom": date(today.year - 1, today.month, 1).isoformat(),
        "DateTo": (date(today.year + 1, today.month, 1) - timedelta(days=1)).isoformat(),
    }
    listed = _decode(context.client.request("GET", path).content, _BudgetList)
    found = []
    for budget_id in dict.fromkeys(budget.budget_id for budget in listed.budgets):
        content = context.client.request("GET", f"{path}/{budget_id}", params=window).content
        _decode(content, msgspec.Raw)
        found.append(context.page(content))
    yield from found


def _decode(content: bytes, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PageError(f"not an answer of this endpoint: {error}", content) from error
