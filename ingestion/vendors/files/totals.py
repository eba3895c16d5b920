"""Control totals of a file: sums over its own cells per outlet and day, taken before any check is made of them.

They include rows that are rejected for another reason than the amounts summed here, so that what is missing from the
marts shows as a difference. A row whose outlet, day or amount does not read can be in no total.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal

from ingestion.vendors.files.formats import Cells
from ingestion.vendors.files.records import ControlTotal
from ingestion.vendors.files.sales import LineAmounts, RowReader, SaleRow
from ingestion.vendors.files.values import FieldError

ZERO = Decimal(0)
ONE = Decimal(1)
ONCE = ("service_charge", "tax", "bill_total")  # measures that a file may give per check

Key = tuple[str, str, bool]  # outlet, check, whether a refund
Place = tuple[str, date, str]  # outlet, day, basis
Heads = dict[str, Decimal | None]


class ControlTotals:
    """Adds up one file: the rows that read check by check, those that do not as they come."""

    def __init__(self, reader: RowReader) -> None:
        self._reader = reader
        mapping = reader.mapping
        self._knows_gross = mapping.prices == "exclusive"
        self._knows_net = self._knows_gross or mapping.line.tax is not None
        self._has_reductions = any(
            (mapping.line.discount, mapping.line.comp, mapping.check.discount, mapping.check.comp)
        )
        self._once = [name for name in ONCE if getattr(mapping.check, name) is not None]
        if mapping.check.tip is not None and not mapping.bill_includes_tip and "bill_total" in self._once:
            self._once.remove("bill_total")  # the marts' bill has the tip in it
        self._reductions = [name for name in ("discount", "comp") if getattr(mapping.check, name) is not None]
        self._heads = [*self._once, *self._reductions]
        self._by_line = [name for name in ("service_charge", "tax") if getattr(mapping.line, name) is not None]
        self._sums: dict[Place, dict[str, Decimal]] = {}
        self._rejected: dict[Key, tuple[Place, Heads]] = {}  # checks that a rejected row belongs to

    def add_check(self, rows: Sequence[SaleRow]) -> None:
        """The rows of a check that read."""
        first = rows[0]
        _, heads = self._rejected.pop(first.key, (None, {}))
        if any(row.head.voided for row in rows) or all(row.is_voided for row in rows):
            return
        for row in rows:
            if not row.is_voided:
                self._line(self._place(row), row.amounts, row.is_refund or row.is_return)
        for name in self._heads:
            said = (getattr(row.head, name) for row in rows)
            heads[name] = next((amount for amount in said if amount is not None), heads.get(name))
        self._check(self._place(first), first.is_refund, heads)

    def add_rejected(self, number: int, cells: Cells) -> None:
        """A row that is rejected counts as far as its outlet, check, day and amounts read."""
        reader = self._reader
        with contextlib.suppress(FieldError):  # the row is rejected with its own field and rule
            outlet, check_id = reader.key(number, cells)
            place = (outlet, *reader.day(outlet, cells))
            amounts, negative = reader.amounts(cells)
            is_refund, is_return = reader.direction(cells, negative)
            heads = {name: reader.head_amounts[name](cells) for name in self._heads}
            if not (reader.voided(cells) or reader.line_voided(cells)):
                self._line(place, amounts, is_refund or is_return)
                self._rejected.setdefault((outlet, check_id, is_refund), (place, heads))

    def add_empty_day(self, outlet: str, day: date) -> None:
        """A file without rows that names its outlet and day: proof of a day without sales."""
        self._add((outlet, day, "business"), "checks", ZERO)

    def totals(self) -> Iterator[ControlTotal]:
        """The sums, when every row and check has been added."""
        for key, (place, heads) in self._rejected.items():
            self._check(place, key[2], heads)
        self._rejected.clear()
        for (outlet, day, basis), sums in sorted(self._sums.items()):
            for measure, amount in sorted(sums.items()):
                yield ControlTotal(outlet=outlet, control_date=day, basis=basis, measure=measure, amount=amount)

    def _place(self, row: SaleRow) -> Place:
        if row.head.business_date is not None:
            return row.outlet, row.head.business_date, "business"
        return row.outlet, row.head.opened_at.astimezone(self._reader.zones[row.outlet]).date(), "calendar"

    def _line(self, place: Place, amounts: LineAmounts, gives_back: bool) -> None:
        reduction = amounts.discount + amounts.comp
        if self._knows_gross:
            self._add(place, "gross_sales", ZERO if gives_back else amounts.gross)
            if self._has_reductions:
                self._add(place, "discounts", ZERO if gives_back else reduction)
        if self._knows_net:
            net = amounts.gross - reduction
            if not self._knows_gross:
                net -= amounts.tax or ZERO
            self._add(place, "net_sales", -net if gives_back else net)
            self._add(place, "returns", net if gives_back else ZERO)
        for name in self._by_line:
            amount = getattr(amounts, name) or ZERO
            self._add(place, name, -amount if gives_back else amount)

    def _check(self, place: Place, is_refund: bool, heads: Heads) -> None:
        """What counts once, however many rows say it."""
        self._add(place, "checks", ZERO if is_refund else ONE)
        for name in self._once:
            amount = heads.get(name) or ZERO
            self._add(place, name, -abs(amount) if is_refund else amount)
        reduction = sum((abs(heads.get(name) or ZERO) for name in self._reductions), ZERO)
        if reduction and not is_refund:
            if self._knows_gross:
                self._add(place, "discounts", reduction)
            if self._knows_net:
                self._add(place, "net_sales", -reduction)

    def _add(self, place: Place, measure: str, amount: Decimal) -> None:
        sums = self._sums.setdefault(place, {})
        sums[measure] = sums.get(measure, ZERO) + amount


__all__ = ["ControlTotals"]
