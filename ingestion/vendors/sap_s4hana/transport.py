"""Where SAP is odd: OData V2 collections that page in two ways, and SOAP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, Literal, TypeVar
from urllib.parse import parse_qsl, urlsplit

import msgspec
from dlt.sources.helpers.rest_client.paginators import BasePaginator
from lxml import etree
from requests import Request, Response

from ingestion.core.errors import PageError
from ingestion.core.http import ApiClient
from ingestion.core.spec import Cursor, Evidence, Stream, Table

ODATA: Final = "sap/opu/odata/sap"
SOAP: Final = "http://schemas.xmlsoap.org/soap/envelope/"
PAGE_ROWS = 5000
EXPANDED_PAGE_ROWS = 500

T = TypeVar("T", bound=msgspec.Struct)


def query(record: type[msgspec.Struct], key: Sequence[str], where: str = "") -> dict[str, str]:
    """The parameters that read an entity set: only the properties of the wire type, in the order of its full key.

    Without an order `$skip` may skip and repeat rows. Texts come in the integration's `language`.
    """
    wire = _wire_names(record)
    parameters = {
        "$select": ",".join(wire.values()),
        "$orderby": ",".join(wire[name] for name in key),
        "$inlinecount": "allpages",
        "sap-language": "{language}",
    }
    return parameters | ({"$filter": where} if where else {})


def entity_set(
    path: str,
    table: Table,
    *children: Table,
    where: str = "",
    cursor: Cursor | None = None,
    write: Literal["merge", "replace"] = "merge",
    evidence: Evidence = Evidence.SPEC,
    description: str,
) -> Stream:
    """The stream of a table from an OData entity set; `children` are lists that are expanded into the same page."""
    wire = _wire_names(table.record)
    expanded = [wire[child.path] for child in children]
    return Stream(
        name=table.name,
        path=f"{ODATA}/{path}",
        params=query(table.record, table.key, where) | ({"$expand": ",".join(expanded)} if expanded else {}),
        records="d.results",
        paginator=partial(ODataPaginator, EXPANDED_PAGE_ROWS if expanded else PAGE_ROWS),
        rows=partial(unwrapped, expanded) if expanded else None,
        tables=(table, *children),
        cursor=cursor,
        write=write,
        evidence=evidence,
        description=description,
    )


def _wire_names(record: type[msgspec.Struct]) -> dict[str, str]:
    return dict(zip(record.__struct_fields__, record.__struct_encode_fields__, strict=True))


def literal(text: str) -> str:
    """A text as an OData literal."""
    return "'" + text.replace("'", "''") + "'"


class _Collection(msgspec.Struct):
    results: list[msgspec.Raw]
    count: str | None = msgspec.field(name="__count", default=None)
    next: str | None = msgspec.field(name="__next", default=None)


class _Envelope(msgspec.Struct):
    d: _Collection


class ODataPaginator(BasePaginator):
    """`$top` and `$skip` until everything that was counted is read; the server's own `__next` goes first.

    A page shorter than asked for ends the listing only where the service tells no count: a server may hand out
    less than `$top`. Of `__next` only the query is followed, for its host may be one that only the server knows.
    Raises PageError for an answer that is no collection.
    """

    def __init__(self, rows: int = PAGE_ROWS) -> None:
        super().__init__()
        self._rows = rows
        self._read = 0
        self._asked: dict[str, Any] = {}
        self._next: dict[str, str] | None = None

    def init_request(self, request: Request) -> None:
        asked: Any = request.params or {}
        self._asked = dict(asked)
        self.update_request(request)

    def update_state(self, response: Response, data: list[Any] | None = None) -> None:
        try:
            page = msgspec.json.decode(response.content, type=_Envelope).d
            total = None if page.count is None else int(page.count)
        except ValueError as error:  # msgspec's errors are ValueErrors too
            raise PageError(f"the answer is no OData collection: {error}", response.content) from error
        rows = len(page.results)
        self._read += min(rows, self._rows)
        before, self._next = self._next, None
        if page.next:
            self._next = dict(parse_qsl(urlsplit(page.next).query))
            if self._next == before:
                raise PageError("the next page is the same page again", response.content)
        elif total is not None:
            self._has_next_page = rows > 0 and self._read < total
        else:
            self._has_next_page = rows >= self._rows

    def update_request(self, request: Request) -> None:
        request.params = self._next or {**self._asked, "$top": self._rows, "$skip": self._read}


class _Text(msgspec.Struct):
    value: str = ""


class _Error(msgspec.Struct):
    message: _Text
    code: str = ""


class _Failure(msgspec.Struct):
    error: _Error


def error_reason(answer: Response) -> str | None:
    """SAP's words for a refused read, e.g. a communication arrangement that is missing; None when nothing failed."""
    if answer.status_code < 400:
        return None
    try:
        error = msgspec.json.decode(answer.content, type=_Failure).error
    except ValueError:
        return None
    return f"{error.message.value} ({error.code})"


class _ExpandedCollection(msgspec.Struct):
    results: list[dict[str, Any]]


class _ExpandedEnvelope(msgspec.Struct):
    d: _ExpandedCollection


def unwrapped(lists: Sequence[str], content: bytes) -> Iterator[bytes]:
    """The records of a page, each expanded list taken out of its `{"results": [...]}`."""
    for record in msgspec.json.decode(content, type=_ExpandedEnvelope).d.results:
        for name in lists:
            if isinstance(record.get(name), dict):
                record[name] = record[name].get("results")
        yield msgspec.json.encode(record)


def read(client: ApiClient, path: str, record: type[T], parameters: Mapping[str, str]) -> Iterator[T]:
    """Every row of an entity set, typed. Raises ApiError; PageError for rows that do not fit the type."""
    for answer in client.pages(path, params=parameters, paginator=ODataPaginator()):
        rows = msgspec.json.decode(answer.content, type=_Envelope).d.results
        try:
            yield from (msgspec.json.decode(row, type=record) for row in rows)
        except msgspec.DecodeError as error:
            raise PageError(f"{path}: {error}", answer.content) from error


def envelope(body: etree._Element) -> bytes:
    """A SOAP 1.1 message around a body."""
    root = etree.Element(f"{{{SOAP}}}Envelope", nsmap={"soapenv": SOAP})
    etree.SubElement(root, f"{{{SOAP}}}Header")
    etree.SubElement(root, f"{{{SOAP}}}Body").append(body)
    return etree.tostring(root, xml_declaration=True, encoding="utf-8")


def opened(content: bytes) -> etree._Element:
    """The first element in the body of a SOAP message. Raises ValueError when it is none.

    Entities are never resolved and nothing is fetched.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True)
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise ValueError(f"the answer is not XML: {error.msg}") from error
    body = root.find(f"{{{SOAP}}}Body")
    if body is None or len(body) == 0:
        raise ValueError("the answer is no SOAP message")
    return body[0]
