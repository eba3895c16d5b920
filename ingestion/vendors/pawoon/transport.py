"""Where Pawoon is odd: prices of variants product by product, receipts that may come without their lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from ingestion.core.errors import PageError
from ingestion.core.fetch import FetchContext, Page
from ingestion.core.paging import read_listing


class _Product(msgspec.Struct):
    id: str = ""
    has_variant: bool = False


class _Products(msgspec.Struct):
    data: list[_Product]


def read_variants(context: FetchContext) -> Iterator[Page]:
    """The variants of each product of an outlet's menu that has any."""
    pages, _ = read_listing(lambda number: context.get(page=number))
    products = {product.id for content in pages for product in _decode(content, _Products).data if product.has_variant}
    for product in sorted(products):
        params = {"outlet_id": context.scope}
        yield context.page(context.get(f"{context.stream.path}/{product}/variants", params), product_id=product)


class _Receipt(msgspec.Struct):
    id: str = ""
    items: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Receipts(msgspec.Struct):
    data: list[msgspec.Raw]


class _Detail(msgspec.Struct):
    data: msgspec.Raw


def read_transactions(context: FetchContext) -> Iterator[Page]:
    """The receipts of each calendar day that the window touches, closed days before the running one."""
    for day in context.each_day():
        pages, _ = read_listing(lambda number, day=day: day.get(page=number))  # type: ignore[misc]
        for content in pages:
            yield day.page(_with_lines(day, content))


def _with_lines(context: FetchContext, content: bytes) -> bytes:
    """The page as it came; receipts that lack their lines are read one by one in its place."""
    receipts = _decode(content, _Receipts).data
    if not any(_lacks_lines(receipt) for receipt in receipts):
        return content
    return b'{"data":[' + b",".join(bytes(_whole(context, receipt)) for receipt in receipts) + b"]}"


def _lacks_lines(receipt: msgspec.Raw) -> bool:
    return bool(_decode(receipt, _Receipt).items is msgspec.UNSET)


def _whole(context: FetchContext, receipt: msgspec.Raw) -> Any:
    if not _lacks_lines(receipt):
        return receipt
    path = f"{context.stream.path}/{_decode(receipt, _Receipt).id}"
    return _decode(context.get(path, params={}), _Detail).data


def _decode(content: bytes | msgspec.Raw, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PageError(f"not an answer of this endpoint: {error}", bytes(content)) from error
