"""Paginators: dlt's own, re-exported for declarations, and the one shape that it lacks."""

from __future__ import annotations

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

__all__ = [
    "BasePaginator",
    "HeaderLinkPaginator",
    "JSONLinkPaginator",
    "JSONResponseCursorPaginator",
    "OffsetPaginator",
    "PageNumberPaginator",
    "ShortPagePaginator",
    "SinglePagePaginator",
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
