"""Events of a site's agent as messages that keep.

An agent names its fields like Aloha's columns, in camel case, so an event becomes the same record as the files of
End of Day give. Only the last word on a check (CHECK_CLOSED) and time cards are kept: all else is on the way to them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from ingestion.core.lines import Message
from ingestion.core.records import DATA_ERRORS
from ingestion.vendors.ncr_aloha import days, records

Data = Mapping[str, Any]


class OddEvent(Exception):
    """An event that does not fit. The words name fields, never values."""


def keep(frame: bytes, site: str) -> Message | None:
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
    event_id = f"{site}/{event.dob}/{event.seq}"
    return Message(event_id, event.event, site, msgspec.json.encode({"delivery": delivery}))


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


__all__ = ["OddEvent", "keep"]
