"""Paginators: dlt's own, re-exported for declarations, the one shape that it lacks, and listings told by a total."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec
from dlt.sources.helpers.rest_client.paginators import (
    BasePaginator,
    HeaderLinkPaginator,
    JSONLinkPaginator,
    JSONResponseCursorPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    SinglePagePaginator,
)
from requests import Request, Response

from ingestion.core.errors import PageError, RetriableError

LISTING_TRIES = 3

__all__ = [
    "BasePaginator",
    "HeaderLinkPaginator",
    "JSONLinkPaginator",
    "JSONResponseCursorPaginator",
    "OffsetPaginator",
    "PageNumberPaginator",
    "ShortPagePaginator",
    "SinglePagePaginator",
    "read_listing",
]


class ShortPagePaginator(BasePaginator):
    """Page numbers or offsets until a page is shorter than was asked for, for APIs that tell no total.

    `records` is the dotted path of the record list. With `step` = page size the parameter is an offset.
    """

    def __init__(self, param: str, size: int, records: str, *, first: int = 1, step: int = 1) -> None:
        super().__init__()
        self._param, self._size, self._step, self._next = param, size, step, first
        inner: Any = list[msgspec.Raw]
        self._path = records.split(".") if records else []
        for name in reversed(self._path):
            inner = msgspec.defstruct("Envelope", [(name, inner)])
        self._decoder = msgspec.json.Decoder(inner)

    def init_request(self, request: Request) -> None:
        self._set(request)

    def update_state(self, response: Response, data: list[Any] | None = None) -> None:
        found = self._decoder.decode(response.content)
        for name in self._path:
            found = getattr(found, name)
        self._next += self._step
        self._has_next_page = len(found) >= self._size

    def update_request(self, request: Request) -> None:
        self._set(request)

    def _set(self, request: Request) -> None:
        params: Any = request.params or {}
        request.params = {**params, self._param: self._next}


class _Row(msgspec.Struct):
    id: int | str | None = None


@cache
def _listing_decoder(total: str) -> msgspec.json.Decoder[Any]:
    """Of a page, no more than the ids of `data` and what `total`, a path of two names, tells."""
    outer, inner = total.split(".")
    told = msgspec.defstruct("Told", [(inner, int | None, None)])
    return msgspec.json.Decoder(msgspec.defstruct("Listing", [("data", list[_Row]), (outer, told | None, None)]))


def read_listing(page: Callable[[int], bytes], total: str = "meta.total") -> tuple[list[bytes], list[int | str]]:
    """Every page of a numbered listing, and the ids in its `data` without repetition.

    `page` reads the page of a number, from 1. `total` says where a page tells the number of rows; where it does not,
    there is one page. A row that comes or goes while we read moves others over a page's border: when fewer rows were
    seen than the first page told of, all of it is read again. Raises RetriableError when that does not help,
    PageError for a page of another shape.
    """
    decoder = _listing_decoder(total)
    outer, inner = total.split(".")
    for _ in range(LISTING_TRIES):
        pages: list[bytes] = []
        ids: dict[int | str, None] = {}
        promised, seen, nameless, is_more = 0, 0, 0, True
        while is_more:
            content = page(len(pages) + 1)
            try:
                listing = decoder.decode(content)
            except msgspec.DecodeError as error:
                raise PageError(f"no page of a listing: {error}", content) from error
            rows = getattr(getattr(listing, outer), inner, None) or 0
            promised = promised if pages else rows
            seen += len(listing.data)
            ids |= dict.fromkeys(row.id for row in listing.data if row.id is not None)
            nameless += sum(row.id is None for row in listing.data)
            pages.append(content)
            is_more = bool(listing.data) and seen < rows
        if len(ids) + nameless >= promised:
            return pages, list(ids)
    raise RetriableError(f"the rows of a listing moved each of the {LISTING_TRIES} times it was read")
