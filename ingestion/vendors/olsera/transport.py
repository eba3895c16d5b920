"""Where Olsera is odd: a token for each store, 404 for "no data", two lists of orders, lines only order by order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import msgspec
from dlt.sources.helpers.rest_client.auth import AuthConfigBase
from requests import PreparedRequest

from ingestion.core.auth import TokenAuth
from ingestion.core.errors import AccessError, PageError, RefusedError, RetriableError
from ingestion.core.fetch import FetchContext, Page
from ingestion.core.paging import read_listing

STORE = "X-Store"  # ours, of no meaning to Olsera: tells the authentication which store's token a call needs
TOKEN_PATH = "api/open-api/v1/id/token"  # noqa: S105 - an address
OF_STORE = re.compile(r"(\w+):(\S+)")
NOT_FOUND = 404
NO_ROUTE = re.compile(r"\broute\b|not found http", re.IGNORECASE)  # Laravel's words for a wrong path


class StoreTokens(AuthConfigBase):
    """A token for each store, obtained with the store's own app.

    Raises RefusedError, which ends the reading of one store, where its app is missing or not accepted: the others
    have apps of their own.
    """

    def __init__(self, token_url: str, apps: Mapping[str, Mapping[str, str]]) -> None:
        self._tokens = {
            store: TokenAuth(token_url, {"grant_type": "secret_key", **app}) for store, app in sorted(apps.items())
        }

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        told = request.headers.get(STORE)
        store = told if isinstance(told, str) else next(iter(self._tokens))  # the probe is of no store
        if store not in self._tokens:
            raise RefusedError(f"store {store} has no app_id and secret_key; store them with `c4 credentials set`")
        try:
            return self._tokens[store](request)
        except AccessError as error:
            raise RefusedError(f"store {store}: {error}", error.status) from None

    def invalidate(self) -> None:
        for token in self._tokens.values():
            token.invalidate()


def olsera_auth(credentials: Mapping[str, str], settings: Mapping[str, str], base_url: str) -> AuthConfigBase:
    """Credentials are `<store>:<value>`, one per store, with blanks between. Raises AccessError for anything else."""
    values: dict[str, dict[str, str]] = {}
    for name in ("app_id", "secret_key"):
        for piece in credentials[name].split():
            match = OF_STORE.fullmatch(piece)
            if match is None:
                raise AccessError(f"{name}: is not <store>:<value> for each store, with blanks between")
            values.setdefault(match[1], {})[name] = match[2]
    if not values:
        raise AccessError("app_id: names no store")
    for store, app in values.items():
        if len(app) != 2:
            raise AccessError(f"store {store} has an app_id or a secret_key, but not both")
    return StoreTokens(f"{base_url}/{TOKEN_PATH}", values)


def read_orders(context: FetchContext) -> Iterator[Page]:
    """The orders of each calendar day that the window touches, as one record per day."""
    for day in context.each_day():
        yield day.page(b'{"orders":[' + b",".join(_orders(day)) + b"]}")


def read_report(context: FetchContext) -> Iterator[Page]:
    """The day's report; of a day without sales there is none."""
    yield context.page(_find(context) or b"[]")


def report_rows(content: bytes) -> Iterator[bytes]:
    """The list of groups as one record."""
    yield b'{"groups":' + content + b"}"


def _orders(day: FetchContext) -> list[bytes]:
    """The data of each order of a day, as it came. Paid and closed lists are united.

    An order between the two lists is in both; one that was cancelled since is in neither. Raises RetriableError
    when the details of a listed order cannot be had: a day counts only as a whole.
    """
    details = {order: _detail(day, order, kinds) for order, kinds in _listed(day).items()}
    absent = {order for order, detail in details.items() if detail is None}
    if absent and absent & _listed(day).keys():
        raise RetriableError(f"orders of {day.values['day']} are listed and have no details")
    return [detail for detail in details.values() if detail is not None]


def _listed(day: FetchContext) -> dict[int | str, tuple[str, ...]]:
    """The ids of a day's orders, and below which of the lists the order should be looked for first.

    The paid ones are read first: an order that is closed meanwhile is then found in the other list.
    """
    found: dict[int | str, tuple[str, ...]] = {}
    for kind, other, extra in (("openorder", "closeorder", {"is_paid": "1"}), ("closeorder", "openorder", {})):
        page = partial(_find, day, f"{day.stream.path}/{kind}", **extra)
        _, ids = read_listing(lambda number, page=page: page(page=number) or b'{"data":[]}')  # type: ignore[misc]
        found |= dict.fromkeys(ids, (kind, other))
    return found


def _detail(day: FetchContext, order: int | str, kinds: Iterable[str]) -> bytes | None:
    for kind in kinds:
        content = _find(day, f"{day.stream.path}/{kind}/detail", params={"id": order})
        if content is not None:
            try:
                return bytes(msgspec.json.decode(content, type=_Detail).data)
            except msgspec.DecodeError as error:
                raise PageError(f"no details of an order: {error}", content) from error
    return None


class _Detail(msgspec.Struct):
    data: msgspec.Raw


def _find(context: FetchContext, path: str = "", **asked: Any) -> bytes | None:
    """What is there, None where the vendor says that there is no data.

    It says so with 404. One without words of its own, or about a route, is a wrong address and stays an error.
    """
    try:
        return context.get(path, **asked)
    except RefusedError as error:
        if error.status != NOT_FOUND or not error.reason or NO_ROUTE.search(error.reason):
            raise
        return None
