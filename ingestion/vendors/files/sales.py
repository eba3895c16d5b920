"""Rows of cells to rows of a sale: every value read, nothing yet computed across rows.

Amounts of a line are magnitudes in the file's own basis (with tax where its prices include it); the sign is told by
`is_refund` (the row belongs to a refund, a check of its own) or `is_return` (given back within a sale).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from operator import itemgetter
from pathlib import PurePosixPath
from zoneinfo import ZoneInfo

import msgspec

from ingestion.vendors.files.formats import Cells
from ingestion.vendors.files.mapping import Field, Source
from ingestion.vendors.files.mapping import Mapping as FileMapping
from ingestion.vendors.files.values import FieldError, Readers, round_to, to_utc

ZERO = Decimal(0)
LINE_TYPES = frozenset({"item", "gift_card", "deposit"})
HEAD_TEXTS = ("channel", "tender", "number", "refund_of", "staff", "currency", "discount_name")
HEAD_AMOUNTS = ("discount", "comp", "service_charge", "tax", "tip", "rounding", "bill_total")
LINE_TEXTS = ("id", "type", "product_id", "product_code", "product_name", "category", "channel", "discount_name")
LATEST_CUTOFF = 12  # no cut-off lies later than noon: from then on the local date is the business date


class Payment(msgspec.Struct, array_like=True, gc=False):
    tender: str | None
    amount: Decimal
    tip: Decimal


class Head(msgspec.Struct, array_like=True, gc=False):
    """What a row says of its whole check. Amounts are None where the row is silent."""

    opened_at: datetime
    closed_at: datetime | None
    business_date: date | None
    covers: int | None
    voided: bool
    payments: list[Payment]
    channel: str | None = None
    tender: str | None = None
    number: str | None = None
    refund_of: str | None = None
    staff: str | None = None
    currency: str | None = None
    discount_name: str | None = None
    discount: Decimal | None = None
    comp: Decimal | None = None
    service_charge: Decimal | None = None
    tax: Decimal | None = None
    tip: Decimal | None = None
    rounding: Decimal | None = None
    bill_total: Decimal | None = None


class LineAmounts(msgspec.Struct, array_like=True, gc=False):
    quantity: Decimal
    unit_price: Decimal
    gross: Decimal
    discount: Decimal
    comp: Decimal
    service_charge: Decimal | None
    tax: Decimal | None

    @property
    def paid(self) -> Decimal:
        return self.gross - self.discount - self.comp


class SaleRow(msgspec.Struct, array_like=True, gc=False):
    """One row, read."""

    row: int
    outlet: str
    check_id: str
    is_refund: bool
    is_return: bool
    head: Head
    amounts: LineAmounts
    line_type: str
    is_voided: bool
    line_id: str | None = None
    product_id: str | None = None
    product_code: str | None = None
    product_name: str | None = None
    category: str | None = None
    channel: str | None = None
    discount_name: str | None = None

    @property
    def key(self) -> tuple[str, str, bool]:
        """What makes a check of rows."""
        return self.outlet, self.check_id, self.is_refund


class RowReader:
    """Reads the rows of one file by one mapping. `zones` are the time zones of the outlets by the file's names."""

    def __init__(self, mapping: FileMapping, path: str, zones: Mapping[str, ZoneInfo]) -> None:
        self.mapping = mapping
        self.path = path
        self.zones = {**zones, **mapping.zones}
        self._cutoffs = {outlet.source or outlet.outlet_id: _hours(outlet.cutoff) for outlet in mapping.outlets}
        self._readers = readers = Readers(mapping, PurePosixPath(path).name)
        check, line = mapping.check, mapping.line
        self.outlet = readers.text(mapping.outlet, "outlet", required=True)
        self._many_outlets = not (isinstance(mapping.outlet, Field) and mapping.outlet.constant is not None)
        self._id = readers.text(_joined(check.id), "check.id", required=True) if check.id is not None else None
        self._type = readers.text(check.type, "check.type")
        before = len(readers.columns)
        self._opened = readers.moment(check.opened_at, "check.opened_at")
        self._closed = readers.moment(check.closed_at, "check.closed_at")
        self._business_date = readers.moment(check.business_date, "check.business_date")
        self._head_text = {
            name: readers.text(getattr(check, name), f"check.{name}")
            for name in HEAD_TEXTS
            if getattr(check, name) is not None
        }
        self._covers = readers.number(check.covers, "check.covers", amount=False)
        self.voided = readers.flag(check.voided, "check.voided")
        self.head_amounts = {
            name: readers.number(getattr(check, name), f"check.{name}")
            for name in HEAD_AMOUNTS
            if getattr(check, name) is not None
        }
        self._payments = [
            (
                readers.text(payment.tender, f"payments.{n}.tender"),
                readers.number(payment.amount, f"payments.{n}.amount"),
                readers.number(payment.tip, f"payments.{n}.tip"),
            )
            for n, payment in enumerate(mapping.payments)
        ]
        head_columns = set(range(before, len(readers.columns)))
        for source in _sources(mapping):
            head_columns |= {readers.position(column) for column in _columns(source)}
        self._line_text = {
            name: readers.text(getattr(line, name), f"line.{name}", required=name == "id" and line.id is not None)
            for name in LINE_TEXTS
            if getattr(line, name) is not None
        }
        self._quantity = readers.number(line.quantity, "line.quantity", amount=False, required=True)
        self._unit_price = readers.number(line.unit_price, "line.unit_price", required=line.total is None)
        self._total = readers.number(line.total, "line.total", required=True) if line.total is not None else None
        self._line_amounts = {
            name: readers.number(getattr(line, name), f"line.{name}")
            for name in ("discount", "comp", "service_charge", "tax")
            if getattr(line, name) is not None
        }
        self.line_voided = readers.flag(line.voided, "line.voided")
        self._keep = [
            (readers.text(column, "keep"), frozenset(text.strip().lower() for text in texts))
            for column, texts in mapping.keep.items()
        ]
        self._opened_label = _label(check.opened_at, "check.opened_at")
        self._quantity_label = _label(line.quantity, "line.quantity")
        self._amount_label = _label(line.total or line.unit_price, "line.total")
        self._products = [name for name in LINE_TEXTS if name.startswith("product_") and name in self._line_text]
        positions = sorted(head_columns)
        self._head_cells: Callable[[Cells], object] = itemgetter(*positions) if positions else lambda cells: ()
        self._last_head: tuple[object, Head] | None = None

    @property
    def columns(self) -> list[str]:
        return self._readers.columns

    def is_kept(self, cells: Cells) -> bool:
        return all((text(cells) or "").lower() in texts for text, texts in self._keep)

    def read(self, number: int, cells: Cells) -> SaleRow:
        """Raises FieldError."""
        outlet, check_id = self.key(number, cells)
        amounts, negative = self.amounts(cells)
        is_refund, is_return = self.direction(cells, negative)
        head = self._head(outlet, is_refund, cells)
        text = {name: read(cells) for name, read in self._line_text.items()}
        if self._products and not any(text[name] for name in self._products):
            raise FieldError(_label(getattr(self.mapping.line, self._products[0]), "line"), "no product")
        line_type = (text.pop("type", None) or "item").lower()
        if line_type not in LINE_TYPES:
            label = _label(self.mapping.line.type, "line.type")
            raise FieldError(label, f"{line_type[:40]!r} is no item, gift_card or deposit")
        return SaleRow(
            row=number,
            outlet=outlet,
            check_id=check_id,
            is_refund=is_refund,
            is_return=is_return,
            head=head,
            amounts=amounts,
            line_type=line_type,
            is_voided=self.line_voided(cells),
            line_id=text.pop("id", None),
            **text,
        )

    def key(self, number: int, cells: Cells) -> tuple[str, str]:
        """Outlet and check of a row. A check number of one outlet may come again at another."""
        outlet = self.outlet(cells)
        assert outlet is not None
        if outlet not in self.zones:
            raise FieldError(
                _label(self.mapping.outlet, "outlet"), f"{outlet[:40]!r} is no outlet of this integration or mapping"
            )
        if self._id is None:
            return outlet, f"{self.path}#{number}"
        found = self._id(cells)
        assert found is not None
        return outlet, f"{outlet}-{found}" if self._many_outlets else found

    def amounts(self, cells: Cells) -> tuple[LineAmounts, bool]:
        """The line's amounts as magnitudes, and whether the file shows them negative."""
        quantity = self._quantity(cells)
        unit_price = self._unit_price(cells)
        assert quantity is not None
        optional = {name: read(cells) for name, read in self._line_amounts.items()}
        discount, comp = abs(optional.get("discount") or ZERO), abs(optional.get("comp") or ZERO)
        places = self.mapping.numbers.places
        if self._total is not None:
            total = self._total(cells)
            assert total is not None
            negative = total < 0 or quantity < 0
            gross = abs(total) if self.mapping.total_is == "gross" else abs(total) + discount + comp
        else:
            assert unit_price is not None
            negative = quantity < 0 or unit_price < 0
            gross = round_to(abs(quantity * unit_price), places)
        if quantity == 0 and gross != 0:
            raise FieldError(self._quantity_label, "is 0 although there is an amount")
        if discount + comp > gross:
            raise FieldError(self._amount_label, "is less than its discount")
        if unit_price is None:
            unit_price = round_to(gross / abs(quantity), 4) if quantity else ZERO
        sign = -1 if negative else 1
        signed = {}
        for name in ("service_charge", "tax"):
            amount = optional.get(name)
            if amount is not None and amount * sign < 0:
                label = _label(getattr(self.mapping.line, name), f"line.{name}")
                raise FieldError(label, "has another sign than the line")
            signed[name] = abs(amount) if amount is not None else None
        magnitudes = LineAmounts(
            quantity=abs(quantity), unit_price=abs(unit_price), gross=gross, discount=discount, comp=comp, **signed
        )
        return magnitudes, negative

    def direction(self, cells: Cells, negative: bool) -> tuple[bool, bool]:
        """(is_refund, is_return): by the type where the file tells one, else by the sign."""
        kind = self._type(cells)
        if kind is not None:
            if kind.lower() not in ("sale", "refund"):
                label = _label(self.mapping.check.type, "check.type")
                raise FieldError(label, f"{kind[:40]!r} is neither sale nor refund")
            if kind.lower() == "refund":
                return True, False
        if not negative:
            return False, False
        if self.mapping.negative == "reject":
            raise FieldError(self._amount_label, "is negative")
        return self.mapping.negative == "refund", self.mapping.negative == "return"

    def day(self, outlet: str, cells: Cells) -> tuple[date, str]:
        """The day that a row counts for, and its basis: `business` where it is sure, else the `calendar` day."""
        declared = self._business_date(cells)
        if declared is not None:
            return declared.date(), "business"
        local = self.local(outlet, cells)
        if outlet in self._cutoffs:
            return (local - timedelta(hours=self._cutoffs[outlet])).date(), "business"
        return local.date(), "calendar"

    def business_date_if_sure(self, outlet: str, cells: Cells) -> date | None:
        """For rejects: a day that cannot be wrong, or none."""
        day, basis = self.day(outlet, cells)
        return day if basis == "business" or self.local(outlet, cells).hour >= LATEST_CUTOFF else None

    def local(self, outlet: str, cells: Cells) -> datetime:
        found = self._opened(cells)
        if found is None:
            raise FieldError(self._opened_label, "required, but blank")
        return found.astimezone(self.zones[outlet]).replace(tzinfo=None) if found.tzinfo else found

    def _head(self, outlet: str, is_refund: bool, cells: Cells) -> Head:
        """The check's values; consecutive rows of one check carry the same cells and are read once."""
        raw = (outlet, is_refund, self._head_cells(cells))
        if self._last_head is not None and self._last_head[0] == raw:
            return self._last_head[1]
        zone = self.zones[outlet]
        opened, closed, business = self._opened(cells), self._closed(cells), self._business_date(cells)
        if opened is None:
            raise FieldError(self._opened_label, "required, but blank")
        if business is None and self.mapping.check.business_date is not None:
            raise FieldError(_label(self.mapping.check.business_date, "check.business_date"), "required, but blank")
        text = {name: read(cells) for name, read in self._head_text.items()}
        if self._many_outlets and text.get("refund_of") is not None:
            text["refund_of"] = f"{outlet}-{text['refund_of']}"
        covers = self._covers(cells)
        if covers is not None and (covers < 0 or covers % 1):
            raise FieldError(_label(self.mapping.check.covers, "check.covers"), "is no count of people")
        amounts = {name: self._head_amount(name, read(cells), is_refund) for name, read in self.head_amounts.items()}
        head = Head(
            opened_at=to_utc(opened, zone, self.mapping.ambiguous, self._opened_label),
            closed_at=to_utc(closed, zone, self.mapping.ambiguous, "check.closed_at") if closed else None,
            business_date=business.date() if business else self._known_date(outlet, opened),
            covers=int(covers) if covers is not None else None,
            voided=self.voided(cells),
            payments=[
                Payment(tender(cells), abs(paid), abs(tip(cells) or ZERO))
                for tender, amount, tip in self._payments
                if (paid := amount(cells))
            ],
            **text,  # type: ignore[arg-type]
            **amounts,  # type: ignore[arg-type]
        )
        self._last_head = (raw, head)
        return head

    def _known_date(self, outlet: str, opened: datetime) -> date | None:
        """By the cut-off of an outlet that the mapping defines; for others the marts know better."""
        if outlet not in self._cutoffs:
            return None
        local = opened.astimezone(self.zones[outlet]).replace(tzinfo=None) if opened.tzinfo else opened
        return (local - timedelta(hours=self._cutoffs[outlet])).date()

    def _head_amount(self, name: str, amount: Decimal | None, is_refund: bool) -> Decimal | None:
        if amount is None or name == "rounding":
            return amount
        if name in ("discount", "comp") or is_refund:
            return abs(amount)
        if amount < 0 and self.mapping.negative != "return":
            raise FieldError(_label(getattr(self.mapping.check, name), f"check.{name}"), "is negative on a sale")
        return amount


def _joined(source: Source | tuple[str, ...] | None) -> Source | None:
    return Field(columns=source, join="-") if isinstance(source, tuple) else source


def _sources(mapping: FileMapping) -> list[object]:
    """Every source that decides about a whole check."""
    check = mapping.check
    named = [getattr(check, name) for name in check.__struct_fields__ if name not in ("id", "type")]
    return [*named, *(part for payment in mapping.payments for part in (payment.tender, payment.amount, payment.tip))]


def _columns(source: object) -> list[str]:
    if isinstance(source, str):
        return [source]
    if source is None or isinstance(source, tuple):
        return []
    parts = [getattr(source, "date", None), getattr(source, "time", None)]
    own = [getattr(source, "column", None), *getattr(source, "columns", ())]
    return [column for column in own if column] + [column for part in parts for column in _columns(part)]


def _label(source: object, key: str) -> str:
    return " + ".join(_columns(source)) or key


def _hours(cutoff: str) -> float:
    at = time.fromisoformat(cutoff)
    return at.hour + at.minute / 60


__all__ = ["UTC", "Head", "LineAmounts", "Payment", "RowReader", "SaleRow"]
