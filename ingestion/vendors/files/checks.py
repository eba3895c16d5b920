"""Rows of one check to its canonical record: amounts without tax, shared amounts allocated, everything adding up.

Within a check all amounts are computed as magnitudes; a refund turns the signs at the end. Shares are by largest
remainder, so that parts always add up to the whole; rounding is half away from zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from ingestion.vendors.files.mapping import Mapping
from ingestion.vendors.files.records import Check, CheckLine, CheckPayment
from ingestion.vendors.files.sales import SaleRow
from ingestion.vendors.files.values import round_to

ZERO = Decimal(0)
SPAN = timedelta(hours=24)
HEAD_AMOUNTS = ("discount", "comp", "service_charge", "tax", "tip", "rounding", "bill_total", "covers")
FINE = 4  # decimals of stored amounts


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that contradicts the other rows of its check."""

    row: int
    field: str
    rule: str


class CheckError(Exception):
    """The check as a whole does not add up."""

    def __init__(self, row: int, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.refused = Refused(row, field, rule)


@dataclass(slots=True, eq=False)
class _Line:
    """A line on its way: magnitudes without tax; `sign` is -1 for what is given back within a sale."""

    row: SaleRow
    sign: int
    discount: Decimal
    comp: Decimal
    paid: Decimal  # in the file's basis
    net: Decimal = ZERO
    gross: Decimal = ZERO

    @classmethod
    def of(cls, row: SaleRow) -> _Line:
        amounts = row.amounts
        return cls(row, -1 if row.is_return else 1, amounts.discount, amounts.comp, amounts.paid)


def sift(rows: Sequence[SaleRow], grain: str) -> tuple[list[SaleRow], list[Refused]]:
    """The rows of a check that belong together, and those that contradict them."""
    kept: list[SaleRow] = []
    refused: list[Refused] = []
    ids: set[str] = set()
    said: dict[str, tuple[object, int]] = {}
    for row in rows:
        first = kept[0] if kept else row
        problem: tuple[str, str] | None = None
        if grain == "check" and kept:
            problem = ("check.id", f"stands in row {first.row} too; a file of checks has one row for each")
        elif abs(row.head.opened_at - first.head.opened_at) > SPAN:
            rule = f"is over 24 hours from row {first.row} of the same check: is its id used again?"
            problem = ("check.opened_at", rule)
        elif row.line_id is not None and row.line_id in ids:
            problem = ("line.id", f"{row.line_id[:40]!r} stands twice in the check")
        else:
            for name in HEAD_AMOUNTS:
                value = getattr(row.head, name)
                if value is not None and name in said and said[name][0] != value:
                    problem = (f"check.{name}", f"differs from row {said[name][1]} of the same check")
                    break
        if problem is not None:
            refused.append(Refused(row.row, *problem))
            continue
        kept.append(row)
        if row.line_id is not None:
            ids.add(row.line_id)
        for name in HEAD_AMOUNTS:
            value = getattr(row.head, name)
            if value is not None:
                said.setdefault(name, (value, row.row))
    return kept, refused


def assemble(rows: Sequence[SaleRow], mapping: Mapping, path: str, reading_id: str, *, is_whole: bool) -> Check:
    """One check of its rows. `is_whole` is False when rows of it were rejected: then what the file says of the whole
    bill does not bind. Raises CheckError.
    """
    first = rows[0]
    places = mapping.numbers.places
    is_voided = any(row.head.voided for row in rows) or all(row.is_voided for row in rows)
    said = {name: _said(rows, name) for name in HEAD_AMOUNTS}
    lines = [_Line.of(row) for row in rows]
    counted = [line for line in lines if is_voided or not line.row.is_voided]
    _share(counted, said["discount"] or ZERO, said["comp"] or ZERO, places)
    service = _service(counted, said["service_charge"])
    tax = _tax(counted, service, said["tax"], mapping)
    for line in lines:
        if line not in counted:
            _tax([line], ZERO, None, mapping)
    net = _total(counted, "net")
    tip = said["tip"] or ZERO
    rounding = _rounding(first, net + service + tax, tip, said, mapping, is_whole)
    sign = -1 if first.is_refund else 1
    opened = min(row.head.opened_at for row in rows)
    closed = max(row.head.closed_at or row.head.opened_at for row in rows)
    made = [_line(line, number, sign, first) for number, line in enumerate(lines, start=1)]
    sold = [line for line in made if is_voided or not line.is_voided]
    bill = net + service + tax + rounding
    return Check(
        path=path,
        reading_id=reading_id,
        check_id=f"{first.check_id}-refund" if first.is_refund else first.check_id,
        check_number=first.head.number or first.check_id,
        check_type="refund" if first.is_refund else "sale",
        refunded_check_id=first.head.refund_of if first.is_refund else None,
        outlet=first.outlet,
        opened_at=opened,
        closed_at=closed,
        business_date=min((row.head.business_date for row in rows if row.head.business_date), default=None),
        channel=first.head.channel,
        is_voided=is_voided,
        covers=None if said["covers"] is None else int(said["covers"]),
        currency=first.head.currency,
        staff=first.head.staff,
        gross_sales=_sum(line.gross_sales for line in sold),
        discounts=_sum(line.discounts for line in sold),
        comps=_sum(line.comps for line in sold),
        returns=_sum(line.returns for line in sold),
        net_sales=sign * net,
        service_charge=sign * service,
        tax=sign * tax,
        tip=sign * tip,
        rounding=sign * rounding,
        bill_total=sign * (bill + tip),
        tax_rate=mapping.tax_rate,
        lines=made,
        payments=_payments(rows, counted, sign, bill, tip, closed, places),
    )


def allocate(whole: Decimal, weights: Sequence[Decimal], places: int) -> list[Decimal]:
    """Share `whole` by largest remainder; of equal remainders the earlier line takes the unit."""
    if len(weights) == 1 or not whole:
        return [whole, *[ZERO] * (len(weights) - 1)]
    exponent = whole.as_tuple().exponent
    assert isinstance(exponent, int)
    scale = max(places, -exponent)
    units = int(whole.scaleb(scale))
    parts = [int(weight.scaleb(FINE)) for weight in weights]
    total = sum(parts)
    if total == 0:
        shares = [units, *[0] * (len(parts) - 1)]
    else:
        sign = -1 if units < 0 else 1
        size = abs(units)
        shares = [size * part // total for part in parts]
        by_remainder = sorted(range(len(parts)), key=lambda n: (-(size * parts[n] % total), n))
        for n in by_remainder[: size - sum(shares)]:
            shares[n] += 1
        shares = [sign * share for share in shares]
    return [Decimal(share).scaleb(-scale) for share in shares]


def _share(lines: Sequence[_Line], discount: Decimal, comp: Decimal, places: int) -> None:
    """Give each line its share in the reductions of the check; returned lines take none."""
    for whole, name in ((discount, "discount"), (comp, "comp")):
        if not whole:
            continue
        open_lines = [line for line in lines if line.sign > 0]
        if whole > _sum(line.paid for line in open_lines):
            raise CheckError(lines[0].row.row, f"check.{name}", "is more than its lines")
        for line, share in zip(open_lines, allocate(whole, [line.paid for line in open_lines], places), strict=True):
            setattr(line, name, getattr(line, name) + share)
            line.paid -= share


def _service(lines: Sequence[_Line], said: Decimal | None) -> Decimal:
    if said is not None:
        return said
    return _sum(line.sign * (line.row.amounts.service_charge or ZERO) for line in lines)


def _tax(lines: Sequence[_Line], service: Decimal, said: Decimal | None, mapping: Mapping) -> Decimal:
    """The tax of the check; fills in what each line comes to without it."""
    places = mapping.numbers.places
    rate = mapping.tax_rate
    by_line = any(line.row.amounts.tax is not None for line in lines)
    if mapping.prices == "exclusive":
        for line in lines:
            line.net = line.paid
            line.gross = line.paid + line.discount + line.comp
        if said is not None:
            return said
        if by_line:
            return _sum(line.sign * (line.row.amounts.tax or ZERO) for line in lines)
        return round_to((_total(lines, "net") + service) * rate, places) if rate is not None else ZERO
    assert rate is not None
    factor = 1 + rate
    has_returns = any(line.sign < 0 for line in lines)
    if by_line or (has_returns and said is None):
        for line in lines:
            own = line.row.amounts.tax
            line.net = line.paid - (own if own is not None else round_to(line.paid * rate / factor, places))
    elif has_returns:
        rule = "cannot be shared over lines sold and lines returned; map line.tax"
        raise CheckError(lines[0].row.row, "check.tax", rule)
    else:
        paid = _sum(line.paid for line in lines)
        whole = paid - (said if said is not None else round_to(paid * rate / factor, places))
        for line, net in zip(lines, allocate(whole, [line.paid for line in lines], places), strict=True):
            line.net = net
    tax = _sum(line.sign * (line.paid - line.net) for line in lines)
    for line in lines:
        line.discount = round_to(line.discount / factor, places)
        line.comp = round_to(line.comp / factor, places)
        line.gross = line.net + line.discount + line.comp
    return tax


def _rounding(
    first: SaleRow, parts: Decimal, tip: Decimal, said: dict[str, Decimal | None], mapping: Mapping, is_whole: bool
) -> Decimal:
    """As the file says; else what the bill total leaves over, which must be small. Magnitude on a refund."""
    if not is_whole:
        return ZERO
    bill = said["bill_total"]
    if bill is None:
        written = said["rounding"] or ZERO
        return -written if first.is_refund else written
    left = bill - parts - (tip if mapping.bill_includes_tip else ZERO)
    if abs(left) > mapping.max_rounding:
        raise CheckError(first.row, "check.bill_total", f"differs from its parts by {left:f}")
    return left


def _line(line: _Line, number: int, sign: int, first: SaleRow) -> CheckLine:
    row = line.row
    given_back = sign * line.sign < 0
    name = row.discount_name or (row.head.discount_name if line.discount or line.comp else None)
    return CheckLine(
        line_id=row.line_id or str(number),
        row=row.row,
        line_type=row.line_type,
        product_id=row.product_id,
        product_code=row.product_code,
        product_name=row.product_name,
        category=row.category,
        channel=row.channel or first.head.channel,
        quantity=-row.amounts.quantity if given_back else row.amounts.quantity,
        unit_price=row.amounts.unit_price,
        gross_sales=ZERO if given_back else line.gross,
        discounts=ZERO if given_back else line.discount,
        comps=ZERO if given_back else line.comp,
        returns=line.net if given_back else ZERO,
        net_sales=-line.net if given_back else line.net,
        discount_name=name if (line.discount or line.comp) and not given_back else None,
        is_voided=row.is_voided,
    )


def _payments(
    rows: Sequence[SaleRow],
    lines: Sequence[_Line],
    sign: int,
    bill: Decimal,
    tip: Decimal,
    paid_at: datetime,
    places: int,
) -> list[CheckPayment]:
    """The payments that the file lists; else one for each tender that its rows name, sharing the bill by them."""
    listed = next((row.head.payments for row in rows if row.head.payments), None)
    if listed is not None:
        amounts = [(payment.tender, payment.amount, payment.tip) for payment in listed]
    else:
        weights: dict[str | None, Decimal] = {}
        for line in [line for line in lines if line.sign > 0] or lines:
            tender = line.row.head.tender
            weights[tender] = weights.get(tender, ZERO) + line.paid
        if len(weights) > 1:
            weights.pop(None, None)  # blank on the rows after the first
        shares = list(weights.values())
        amounts = list(zip(weights, allocate(bill, shares, places), allocate(tip, shares, places), strict=True))
    return [
        CheckPayment(payment_id=str(n), tender=tender, amount=sign * amount, tip=sign * extra, paid_at=paid_at)
        for n, (tender, amount, extra) in enumerate(amounts, start=1)
    ]


def _said(rows: Sequence[SaleRow], name: str) -> Decimal | None:
    for row in rows:
        value = getattr(row.head, name)
        if value is not None:
            return Decimal(value)
    return None


def _total(lines: Iterable[_Line], name: str) -> Decimal:
    return _sum(line.sign * getattr(line, name) for line in lines)


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, ZERO)


__all__ = ["CheckError", "Refused", "allocate", "assemble", "sift"]
