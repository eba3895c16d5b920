"""From Aloha's tables to our records. A table's rows are dictionaries by Aloha's column names, wherever they come from:
the DBF files of a dated folder, or a message of the socket.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from ingestion.core.records import Record
from ingestion.vendors.ncr_aloha.records import Code, Employee, Item, MenuItem, Payment, Punch, Void

Row = Mapping[str, Any]
Tables = Mapping[str, Sequence[Row]]

TAX, GIFT_CERTIFICATE = 2, 23  # types of GNDSALE that a check needs besides its items and payments
REFUNDS = (1, 3)  # types of GNDITEM, whatever the sign of their amounts
ONE_DAY = timedelta(days=1)
NO_SALES = "N"


@dataclass(frozen=True, slots=True)
class Source:
    """What is read of a file: columns that every record fills, and others. A day without a `needed` one is refused."""

    filled: frozenset[str]
    wanted: frozenset[str]
    needed: bool = False


def _source(filled: str, more: str = "", *, needed: bool = False) -> Source:
    return Source(frozenset(filled.split()), frozenset(f"{filled} {more}".split()), needed)


_WHEN = "EMPLOYEE SYSDATE HOUR MINUTE"
_TIMES = "EMPLOYEE OPENHOUR OPENMIN CLOSEHOUR CLOSEMIN"
_CARD = "INVALID SYSDATEIN SYSDATEOUT JOBCODE OUTHOUR OUTMINUTE HOURS CLOCKEDIN"
NAMED = ("TDR", "TAX", "ODR", "CMP", "PRO", "JOB", "CAT")  # masters of an id and a name
SOURCES = {
    "GNDITEM": _source(
        "DOB CHECK ENTRYID TYPE ITEM PRICE DISCPRIC QUANTITY",
        f"PARENT PARENTENID CATEGORY MODE MODCODE INCLTAX ORGPRICE {_WHEN}",
        needed=True,
    ),
    "GNDTNDR": _source("CHECK ID TYPE TYPEID AMOUNT", f"TIP AUTOGRAT {_WHEN}", needed=True),
    "GNDVOID": _source("CHECK ENTRYID ITEM PRICE", f"REASON {_WHEN}", needed=True),
    "GNDSALE": _source("DOB TYPE AMOUNT", f"CHECK TYPEID {_TIMES}", needed=True),
    "GNDLINE": _source("CHECKID ENTRYID TYPE TYPEID AMT"),
    "GNDTURN": _source("CHECK", f"GUESTS {_TIMES}"),
    "ADJTIMEX": _source("EMPLOYEE SHIFT_ID DATE INHOUR INMINUTE", _CARD),
    "ADJTIME": _source("EMPLOYEE SHIFT_ID DATE INHOUR INMINUTE", _CARD),
    **{name: _source("ID", "NAME REPORTAS ROUNDACTIV ROUNDTO RATE SALES") for name in NAMED},
    "CIT": _source("CATEGORY ITEMID"),
    "ITM": _source("ID", "SHORTNAME LONGNAME SKU PRICE"),
    "EMP": _source("ID", "JOBCODE1 TERMINATED DATEOFHIRE"),
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Of which site and business date a row is."""

    site: str
    dob: date

    def name(self, *parts: object) -> str:
        return "/".join(map(str, (self.site, self.dob.isoformat(), *parts)))


def days(tables: Tables, origin: Origin) -> Iterator[dict[str, Any]]:
    """The one delivery of a dated folder. ADJTIMEX has the edits; ADJTIME counts where it is missing."""
    taxes = ((row["TYPE"], row.get("INCLTAX") or Decimal(0)) for row in tables["GNDITEM"])
    inclusive = (-abs(tax) if kind in REFUNDS else tax for kind, tax in taxes)
    cards = tables.get("ADJTIMEX", tables.get("ADJTIME", ()))
    yield {
        "dob": origin.dob,
        "seq": 0,
        "checks": list(_checks(tables, origin)),
        "punches": [punch(row, origin) for row in cards],
        "inclusive_tax": sum(inclusive, Decimal(0)),
        "totals": _totals(tables["GNDSALE"]),
    }


def check(number: int, tables: Tables, origin: Origin) -> dict[str, Any]:
    """One check from the rows of its own."""
    items, tenders, voids = tables["GNDITEM"], tables["GNDTNDR"], tables["GNDVOID"]
    head = next(iter([*tables["GNDTURN"], *tables["GNDSALE"]]), {})
    moments = sorted(moment for row in (*items, *tenders, *voids) if (moment := _happened(row)) is not None)
    first, last = (moments[0], moments[-1]) if moments else (None, None)
    lines = _lines(items)
    of_check = (row for row in tables["GNDSALE"] if row["TYPE"] in (TAX, GIFT_CERTIFICATE))
    return {
        "check_id": origin.name(number),
        "check_number": number,
        "opened": _nearest(head.get("OPENHOUR"), head.get("OPENMIN"), first) or first,
        "closed": _nearest(head.get("CLOSEHOUR"), head.get("CLOSEMIN"), last) or last,
        "employee": head.get("EMPLOYEE"),
        "guests": head.get("GUESTS"),
        "items": [{**_declared(Item, row), "line_entry_id": lines[row["ENTRYID"]]} for row in items],
        "payments": [{**_declared(Payment, row), "paid": _happened(row)} for row in tenders],
        "voids": [_declared(Void, row) for row in voids],
        "amounts": [*_totals(of_check), *_totals(tables["GNDLINE"], "ENTRYID", "AMT")],
    }


def punch(row: Row, origin: Origin) -> dict[str, Any]:
    started = _wall(row.get("SYSDATEIN") or row["DATE"], row["INHOUR"], row["INMINUTE"])
    ended = None
    if row.get("CLOCKEDIN") != "Y":
        ended = _wall(row.get("SYSDATEOUT") or row["DATE"], row.get("OUTHOUR"), row.get("OUTMINUTE"))
        if ended is not None and started is not None and ended < started and not row.get("SYSDATEOUT"):
            ended += ONE_DAY
    punch_id = origin.name(row["EMPLOYEE"], row["SHIFT_ID"])
    return {"punch_id": punch_id, **_declared(Punch, row), "started": started, "ended": ended}


def codes(tables: Tables, origin: Origin) -> Iterator[dict[str, Any]]:
    for kind in NAMED:
        for row in tables.get(kind, ()):
            yield {"dob": origin.dob, "kind": kind, **_declared(Code, row)}


def menu_items(tables: Tables, origin: Origin) -> Iterator[dict[str, Any]]:
    """An item has one category of sales, and may have others."""
    of_sales = {row["ID"] for row in tables.get("CAT", ()) if row.get("SALES") != NO_SALES}
    category = {row["ITEMID"]: row["CATEGORY"] for row in tables.get("CIT", ()) if row["CATEGORY"] in of_sales}
    for row in tables.get("ITM", ()):
        yield {"dob": origin.dob, "category": category.get(row["ID"]), **_declared(MenuItem, row)}


def employees(tables: Tables, origin: Origin) -> Iterator[dict[str, Any]]:
    for row in tables.get("EMP", ()):
        yield {"dob": origin.dob, **_declared(Employee, row)}


STREAMS = {"days": days, "codes": codes, "menu_items": menu_items, "employees": employees}


def _checks(tables: Tables, origin: Origin) -> Iterator[dict[str, Any]]:
    """The checks of which items, payments or voids tell, by number."""
    keys = dict.fromkeys(("GNDITEM", "GNDTNDR", "GNDVOID", "GNDSALE", "GNDTURN"), "CHECK") | {"GNDLINE": "CHECKID"}
    parts = {name: _grouped(tables.get(name, ()), key) for name, key in keys.items()}
    numbers = {number for name in ("GNDITEM", "GNDTNDR", "GNDVOID") for number in parts[name]}
    for number in sorted(numbers):
        yield check(number, {name: rows.get(number, []) for name, rows in parts.items()}, origin)


def _declared(record: type[Record], row: Row) -> dict[str, Any]:
    """Of a row what its wire type declares, and nothing else."""
    return {name: row[name] for name in record.__struct_encode_fields__ if name in row}


def _grouped(rows: Iterable[Row], key: str) -> dict[int, list[Row]]:
    groups: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.get(key) or 0].append(row)
    return groups


def _totals(rows: Iterable[Row], entry: str = "", amount: str = "AMOUNT") -> list[dict[str, Any]]:
    """Amounts by type and what the type counts, and by entry where the rows are of entries."""
    sums: dict[tuple[int, int, int], Decimal] = defaultdict(Decimal)
    for row in rows:
        sums[row["TYPE"], row.get("TYPEID") or 0, row[entry] if entry else 0] += row[amount]
    return [
        {"type": kind, "type_id": what, "amount": total} | ({"entry_id": number} if entry else {})
        for (kind, what, number), total in sorted(sums.items())
    ]


def _lines(items: Iterable[Row]) -> dict[int, int]:
    """Entry -> entry of the item that it is or belongs to. A modifier names its parent's entry, or in older versions
    only the parent's item, which then is the last one before it.
    """
    lines: dict[int, int] = {}
    latest: dict[int, int] = {}
    for row in sorted(items, key=lambda row: row["ENTRYID"]):
        entry = row["ENTRYID"]
        line = entry
        if row.get("PARENT"):
            line = lines.get(row.get("PARENTENID") or 0) or latest.get(row["PARENT"], entry)
        lines[entry] = latest[row["ITEM"]] = line
    return lines


def _happened(row: Row) -> datetime | None:
    return _wall(row.get("SYSDATE"), row.get("HOUR"), row.get("MINUTE"))


def _wall(day: str | None, hour: int | None, minute: int | None) -> datetime | None:
    """A moment on the store's clock; hours from 24 on are of the next day."""
    if day is None or hour is None or minute is None:
        return None
    return datetime.combine(date.fromisoformat(day), time()) + timedelta(hours=hour, minutes=minute)


def _nearest(hour: int | None, minute: int | None, moment: datetime | None) -> datetime | None:
    """The moment with this time of day that is nearest to another: opening and closing have no date of their own."""
    if hour is None or minute is None or moment is None:
        return None
    same_day = datetime.combine(moment.date(), time()) + timedelta(hours=hour % 24, minutes=minute)
    return min((same_day + ONE_DAY * n for n in (-1, 0, 1)), key=lambda candidate: abs(candidate - moment))


__all__ = ["SOURCES", "STREAMS", "Origin", "Source", "check", "punch"]
