"""Events of a site's agent as messages that keep, and kept messages as pages.

An agent names its fields like Aloha's columns, in camel case, so an event becomes the same record as the files of
End of Day give. Only the last word on a check (CHECK_CLOSED) and time cards are kept: all else is on the way to them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from ingestion.core import fetch
from ingestion.core.records import DATA_ERRORS, Record
from ingestion.core.spec import Stream
from ingestion.vendors.ncr_aloha import days, records

Data = Mapping[str, Any]


class OddEvent(Exception):
    """An event that does not fit. The words name fields, never values."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is to be stored of an event. `event_id` is the same whenever the event comes again."""

    event_id: str
    content: bytes


def keep(frame: bytes, site: str) -> Kept | None:
    """What is to be stored of an event; None for one that says nothing that lasts. Raises OddEvent."""
    try:
        event = msgspec.json.decode(frame, type=records.Event)
        if event.site_id != site:
            raise OddEvent("siteId is another site's")
        if event.event not in _KEPT:
            return None
        stream, record, build = _KEPT[event.event]
        data = json.loads(frame, parse_float=Decimal)["data"]
        built = build(data, days.Origin(site, event.dob, "", event.seq))
        typed = msgspec.json.decode(msgspec.json.encode(built), type=record)
    except DATA_ERRORS as error:
        told = isinstance(error, msgspec.DecodeError)
        raise OddEvent(str(error) if told else f"its data are none ({type(error).__name__})") from None
    message = records.Message(stream=stream, site=site, record=msgspec.Raw(msgspec.json.encode(typed)))
    return Kept(f"{site}/{event.dob}/{event.seq}", msgspec.json.encode(message))


def pages(stream: Stream, contents: Iterable[bytes], zones: Mapping[str, ZoneInfo]) -> Iterator[fetch.Event]:
    """Of kept messages those of one stream, a page for each site. A site that is no outlet of the account is told."""
    found: dict[str, list[msgspec.Raw]] = {}
    for content in contents:
        message = msgspec.json.decode(content, type=records.Message)
        if message.stream == stream.name:
            found.setdefault(message.site, []).append(message.record)
    for site, rows in found.items():
        if site not in zones:
            yield fetch.Reject(site, "siteId", "is no outlet of this account", payload=msgspec.json.encode(rows))
            continue
        constants = {"source_outlet_id": site, "timezone": zones[site].key}
        yield fetch.Page(msgspec.json.encode(rows), site, constants)


def _check(data: Data, origin: days.Origin) -> dict[str, Any]:
    """A closed check. Its tax rows are those of GNDSALE; inclusive tax is on the items already."""
    taxes = [tax for tax in data["taxes"] if not tax["inclusive"]]
    tables = {
        "GNDITEM": _rows(data["items"]),
        "GNDTNDR": _rows(data["payments"]),
        "GNDVOID": _rows(data["voids"]),
        "GNDLINE": _rows([*data["comps"], *data["promos"]]),
        "GNDTURN": _rows([{name: value for name, value in data.items() if not isinstance(value, list | dict)}]),
        "GNDSALE": [{"TYPE": days.TAX, "TYPEID": tax["taxId"], "AMOUNT": tax["amount"]} for tax in taxes],
    }
    return days.check(data["checkId"], tables, origin)


def _card(data: Data, origin: days.Origin) -> dict[str, Any]:
    return days.punch(_rows([data["card"]])[0], origin)


def _rows(rows: Iterable[Data]) -> list[dict[str, Any]]:
    return [{name.upper(): value for name, value in row.items()} for row in rows]


_Build = Callable[[Data, days.Origin], dict[str, Any]]
_KEPT: dict[str, tuple[str, type[Record], _Build]] = {
    "CHECK_CLOSED": ("checks", records.Check, _check),
    "CLOCK_IN": ("punches", records.Punch, _card),
    "CLOCK_OUT": ("punches", records.Punch, _card),
}


__all__ = ["Kept", "OddEvent", "keep", "pages"]
