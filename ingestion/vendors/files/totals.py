"""Control totals of a file: sums over its own cells per outlet and day, taken before any check is made of them.

They include rows that are rejected for another reason than the amounts summed here, so that what is missing from the
marts shows as a difference. A row whose outlet, day or amount does not read can be in no total.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal

from ingestion.vendors.files.formats import Cells
from ingestion.vendors.files.records import ControlTotal
from ingestion.vendors.files.sales import LineAmounts, RowReader, SaleRow
from ingestion.vendors.files.values import FieldError

ZERO = Decimal(0)
ONE = Decimal(1)
ONCE = ("service_charge", "tax", "bill_total")  # measures that a file may give per check


class ControlTotals:
    """Adds up one file, row by row."""

    def __init__(self, reader: RowReader) -> None:
        self._reader = reader
        mapping = reader.mapping
        line_tax = mapping.line.tax is not None
        self._knows_net = mapping.prices == "exclusive" or line_tax
        self._knows_gross = mapping.prices == "exclusive"
        self._has_reductions = any(
            (mapping.line.discount, mapping.line.comp, mapping.check.discount, mapping.check.comp)
        )
        self._once = [name for name in ONCE if getattr(mapping.check, name) is not None]
        if mapping.check.tip is not None and not mapping.bill_includes_tip and "bill_total" in self._once:
            self._once.remove("bill_total")  # the marts' bill has the tip in it
        self._reductions = [name for name in ("discount", "comp") if getattr(mapping.check, name) is not None]
        self._heads = [*self._once, *self._reductions]
        self._by_line = [name for name in ("service_charge", "tax") if getattr(mapping.line, name) is not None]
        self._sums: dict[tuple[str, date, str], dict[str, Decimal]] = {}
        self._checks: set[int] = set()
        self._seen: set[int] = set()

    def add(self, row: SaleRow) -> None:
        """A row that reads."""
        day, basis = row.head.business_date, "business"
        if day is None:
            day, basis = row.head.opened_at.astimezone(self._reader.zones[row.outlet]).date(), "calendar"
        if not (row.head.voided or row.is_voided):
            once = {name: getattr(row.head, name) for name in self._heads}
            self._count(row.outlet, day, basis, row.key, row.amounts, row.is_return, once)

    def add_rejected(self, number: int, cells: Cells) -> None:
        """A row that is rejected counts as far as its outlet, check, day and amounts read."""
        reader = self._reader
        with contextlib.suppress(FieldError):  # the row is rejected with its own field and rule
            outlet, check_id = reader.key(number, cells)
            day, basis = reader.day(outlet, cells)
            amounts, negative = reader.amounts(cells)
            is_refund, is_return = reader.direction(cells, negative)
            once = {name: reader.head_amounts[name](cells) for name in self._heads}
            if not (reader.voided(cells) or reader.line_voided(cells)):
                self._count(outlet, day, basis, (outlet, check_id, is_refund), amounts, is_return, once)

    def _count(
        self,
        outlet: str,
        day: date,
        basis: str,
        key: tuple[str, str, bool],
        amounts: LineAmounts,
        is_return: bool,
        once: Mapping[str, Decimal | None],
    ) -> None:
        sums = self._sums.setdefault((outlet, day, basis), {})
        is_refund = key[2]
        gives_back = is_refund or is_return
        reduction = amounts.discount + amounts.comp
        for name in self._reductions:
            reduction += abs(self._first(key, name, once[name]))
        if not is_refund and hash(key) not in self._checks:
            self._checks.add(hash(key))
            _add(sums, "checks", ONE)
        if self._knows_gross:
            _add(sums, "gross_sales", ZERO if gives_back else amounts.gross)
            if self._has_reductions:
                _add(sums, "discounts", ZERO if gives_back else reduction)
        if self._knows_net:
            net = amounts.gross - reduction
            if not self._knows_gross:
                net -= amounts.tax or ZERO
            _add(sums, "net_sales", -net if gives_back else net)
            _add(sums, "returns", net if gives_back else ZERO)
        for name in self._by_line:
            amount = getattr(amounts, name) or ZERO
            _add(sums, name, -amount if gives_back else amount)
        for name in self._once:
            amount = self._first(key, name, once[name])
            _add(sums, name, -abs(amount) if is_refund else amount)

    def empty_day(self, outlet: str, day: date) -> None:
        """A file without rows that names its outlet and day: proof of a day without sales."""
        _add(self._sums.setdefault((outlet, day, "business"), {}), "checks", ZERO)

    def days(self) -> list[date]:
        return sorted({day for _, day, _ in self._sums})

    def totals(self) -> Iterator[ControlTotal]:
        for (outlet, day, basis), sums in sorted(self._sums.items()):
            for measure, amount in sorted(sums.items()):
                yield ControlTotal(outlet=outlet, control_date=day, basis=basis, measure=measure, amount=amount)

    def _first(self, key: tuple[str, str, bool], name: str, amount: Decimal | None) -> Decimal:
        """An amount that may stand on every row of a check counts once."""
        if amount is None or hash((key, name)) in self._seen:
            return ZERO
        self._seen.add(hash((key, name)))
        return amount


def _add(sums: dict[str, Decimal], measure: str, amount: Decimal) -> None:
    sums[measure] = sums.get(measure, ZERO) + amount


__all__ = ["ControlTotals"]
