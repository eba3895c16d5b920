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
from ingestion.core.records import DATA_ERRORS
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
        part, build = _KEPT[event.event]
        data = json.loads(frame, parse_float=Decimal)["data"]
        built = {"dob": event.dob, "seq": event.seq, part: [build(data, days.Origin(site, event.dob))]}
        delivery = msgspec.json.decode(msgspec.json.encode(built), type=records.Delivery)
    except DATA_ERRORS as error:
        told = isinstance(error, msgspec.DecodeError)
        raise OddEvent(str(error) if told else f"its data are none ({type(error).__name__})") from None
    message = records.Message(site=site, delivery=delivery)
    return Kept(f"{site}/{event.dob}/{event.seq}", msgspec.json.encode(message))


def pages(contents: Iterable[bytes], zones: Mapping[str, ZoneInfo]) -> Iterator[fetch.Event]:
    """Kept messages as pages of the stream `days`, one for each site; a site that is no outlet is told."""
    found: dict[str, list[msgspec.Raw]] = {}
    for content in contents:
        message = msgspec.json.decode(content, type=_Message)
        found.setdefault(message.site, []).append(message.delivery)
    for site, deliveries in found.items():
        page = msgspec.json.encode(deliveries)
        if site in zones:
            yield fetch.Page(page, site, {"source_outlet_id": site, "timezone": zones[site].key})
        else:
            yield fetch.Reject(site, "siteId", "is no outlet of this account", payload=page, scope=site)


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


_KEPT: dict[str, tuple[str, Callable[[Data, days.Origin], dict[str, Any]]]] = {
    "CHECK_CLOSED": ("checks", _check),
    "CLOCK_IN": ("punches", _card),
    "CLOCK_OUT": ("punches", _card),
}


class _Message(msgspec.Struct):
    """A message whose delivery is left as it is."""

    site: str
    delivery: msgspec.Raw


__all__ = ["Kept", "OddEvent", "keep", "pages"]
