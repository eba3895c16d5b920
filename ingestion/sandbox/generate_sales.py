"""One outlet's business day at the till: every check with its lines, payment, void and refunds.

The same (seed, outlet, day, checks) always gives the same checks; the time of day runs from the outlet's
opening in elapsed time, so a day on which the clocks change simply has an hour more or less.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import accumulate
from zoneinfo import ZoneInfo

from ingestion.sandbox import menu
from ingestion.sandbox.model import SimCheck, SimLine, SimModifier, SimOutlet, SimProduct, SimRefund
from ingestion.sandbox.pricing import BASIS, MILLI, Bill, allocate, exclusive, half_away, inclusive

CASH_STEP = {"IDR": 100, "AUD": 5}  # smallest unit: rupiah, cents
NOTES = {"IDR": (20_000, 50_000, 100_000), "AUD": (1_000, 2_000, 5_000)}
RESTAURANT_SEATS = 60  # from here an outlet serves at table and charges service on dine-in
HOUR_WEIGHTS = (3, 2, 2, 1, 1, 2, 4, 9, 12, 10, 8, 9, 15, 13, 8, 7, 8, 10, 14, 15, 11, 7, 5, 4)

P_OFFLINE = 0.005
P_VOID = 0.008
P_REFUND = 0.012
P_DISCOUNT = 0.09
P_COMP = 0.006
P_TIP = 0.25  # abroad only


@dataclass(frozen=True, slots=True)
class Trading:
    """Local opening hours; `closes` counts on past midnight, and None means shortly before the cut-off."""

    opens: float
    closes: float | None


@dataclass(frozen=True, slots=True)
class Late:
    """When the vendor's server learns of the voids, refunds and checks that come after the day's night."""

    voids: tuple[datetime, ...] = ()
    refunds: tuple[datetime, ...] = ()
    checks: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True)
class OutletDay:
    """All that the generator needs to know. `business_date_of` dates an instant at this outlet."""

    outlet: SimOutlet
    business_date: date
    seed: int
    checks: int
    products: tuple[SimProduct, ...]
    trading: Trading
    cutoff_hours: float
    cashiers: tuple[str, ...]
    business_date_of: Callable[[datetime], date]
    next_day_trades: bool  # refunds may come the day after
    late: Late = field(default_factory=Late)
    ugly: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Draft:
    """A line before the bill is made up, in the currency's smallest unit and thousandths of it."""

    product: SimProduct
    modifiers: tuple[SimModifier, ...]
    quantity: int
    unit: int
    discount_milli: int = 0
    discount_name: str = ""
    comp_name: str = ""

    @property
    def gross(self) -> int:
        return self.quantity * self.unit

    @property
    def comp(self) -> int:
        return self.gross if self.comp_name else 0


def generate_checks(day: OutletDay) -> list[SimCheck]:
    """The checks of an outlet-day in order of opening."""
    return _Till(day).checks()


def open_and_close(day: date, timezone: str, trading: Trading, cutoff_hours: float) -> tuple[datetime, datetime]:
    """First and last instant of trading on a business date (UTC)."""
    zone = ZoneInfo(timezone)
    midnight = datetime.combine(day, time())
    closes = trading.closes if trading.closes is not None else 24 + cutoff_hours - 0.3
    opened = (midnight + timedelta(hours=trading.opens)).replace(tzinfo=zone)
    closed = (midnight + timedelta(hours=closes)).replace(tzinfo=zone)
    return opened.astimezone(UTC), closed.astimezone(UTC)


class _Till:
    def __init__(self, day: OutletDay) -> None:
        self.day = day
        self.outlet = day.outlet
        key = f"{day.seed}:{day.outlet.outlet_id}:{day.business_date}"
        self.random = random.Random(f"{key}:sales")
        digest = hashlib.blake2b(key.encode(), digest_size=10).hexdigest()
        self.uid_prefix = f"{digest[:8]}-{digest[8:12]}-4{digest[12:15]}-8{digest[15:18]}-"
        self.abroad = day.outlet.currency != "IDR"
        self.unit = 10**day.outlet.exponent
        self.service_rate = int(day.outlet.service_rate * BASIS)
        self.tax_rate = int(day.outlet.tax_rate * BASIS)
        self.shares = list(accumulate(menu.SHARES))
        self.types = menu.SALES_TYPES_ABROAD if self.abroad else menu.SALES_TYPES
        column = 2 if day.outlet.seats >= RESTAURANT_SEATS else 3
        self.type_shares = list(accumulate(int(kind[column]) for kind in self.types))
        self.tenders = menu.TENDERS_ABROAD if self.abroad else menu.TENDERS
        self.tender_shares = list(accumulate(tender[2] for tender in self.tenders))

    def checks(self) -> list[SimCheck]:
        checks = [
            self._check(sequence, opened, longest)
            for sequence, (opened, longest) in enumerate(self._openings(), start=1)
        ]
        self._happen_late(checks)
        return checks

    def _openings(self) -> list[tuple[datetime, int]]:
        """When each check is opened, and for how many seconds it may stay open."""
        day = self.day
        opened, closed = open_and_close(day.business_date, self.outlet.timezone, day.trading, day.cutoff_hours)
        seconds = int((closed - opened).total_seconds())
        hours = -(-seconds // 3600)
        first = int(day.trading.opens)
        weights = list(accumulate(HOUR_WEIGHTS[(first + hour) % 24] for hour in range(hours)))
        rng = self.random
        slots = rng.choices(range(hours), cum_weights=weights, k=day.checks)
        latest = seconds - 60
        offsets = sorted(min(slot * 3600 + int(rng.random() * 3600), latest) for slot in slots)
        return [(opened + timedelta(seconds=offset), seconds - offset) for offset in offsets]

    def _check(self, sequence: int, opened: datetime, longest: int) -> SimCheck:
        rng, outlet = self.random, self.outlet
        channel, sales_type, *_ = rng.choices(self.types, cum_weights=self.type_shares)[0]
        drafts = self._draft(channel)
        tender, tender_name = self._tender(channel, sales_type)
        step = CASH_STEP[outlet.currency] if tender == "cash" else 1
        service_rate = self.service_rate if channel == "dine_in" else 0
        uid = f"{self.uid_prefix}{sequence << 8:012x}"
        price = self._price_inclusive if outlet.prices_include_tax else self._price_exclusive
        bill, lines = price(sequence, drafts, service_rate, step)
        total = self._money(bill.total)
        tip = self._tip(bill.total, tender)
        tendered = self._tendered(bill.total, tender) if tender == "cash" else total + tip
        stay = rng.randint(15 * 60, 75 * 60) if channel == "dine_in" else rng.randint(60, 420)
        closed = opened + timedelta(seconds=min(stay, longest))
        known = closed + timedelta(seconds=rng.randint(2, 20))
        if rng.random() < P_OFFLINE:
            known = closed + timedelta(minutes=rng.randint(60, 8 * 60))
        if "clock_skew" in self.day.ugly and sequence % 29 == 0:
            known = opened - timedelta(minutes=40)  # the device's clock runs ahead of the server's
        check = SimCheck(
            uid=uid,
            number=f"{self.day.business_date:%m%d}{sequence:04d}",
            outlet=outlet,
            business_date=self.day.business_date,
            opened_at=opened,
            closed_at=closed,
            known_at=known,
            channel=channel,
            sales_type=sales_type,
            table=f"T{rng.randint(1, max(4, outlet.seats // 4))}" if channel == "dine_in" else "",
            covers=self._covers(channel, drafts),
            lines=lines,
            service=self._money(bill.service),
            tax=self._money(bill.tax),
            rounding=self._fraction(bill.rounding),
            total=total,
            tip=tip,
            tender=tender,
            tender_name=tender_name,
            tendered=tendered,
            change=tendered - total - tip,
            cashier=rng.choice(self.day.cashiers),
        )
        chance = rng.random()
        if chance < P_VOID:
            self._void(check, closed + timedelta(seconds=rng.randint(60, 900)))
        elif chance < P_VOID + P_REFUND and check.total > 0:
            self._refund(check, sequence, closed)
        return check

    # What is on the check

    def _draft(self, channel: str) -> list[_Draft]:
        rng = self.random
        count = rng.choices((1, 2, 3, 4, 5, 6), cum_weights=(26, 58, 80, 92, 98, 100))[0]
        drafts = []
        for product in rng.choices(self.day.products, cum_weights=self.shares, k=count):
            modifiers: tuple[SimModifier, ...] = ()
            if product.modifiers and rng.random() < 0.3:
                modifiers = (rng.choice(product.modifiers),)
            quantity = rng.randint(5, 20) if channel == "catering" else 1 if rng.random() < 0.8 else rng.randint(2, 3)
            price = product.price + sum(modifier.price for modifier in modifiers)
            drafts.append(_Draft(product, modifiers, quantity, int(price * self.unit)))
        self._reduce(drafts)
        return drafts

    def _reduce(self, drafts: list[_Draft]) -> None:
        """Now and then a discount on some lines or a comp of one."""
        rng = self.random
        chance = rng.random()
        if chance < P_COMP:
            rng.choice(drafts).comp_name = rng.choice(menu.COMPS)
        elif chance < P_COMP + P_DISCOUNT:
            name, permille = rng.choice(menu.DISCOUNTS)
            if "unknown_discount" in self.day.ugly and rng.random() < 0.3:
                name, permille = menu.UNKNOWN_DISCOUNT
            for draft in drafts:
                draft.discount_name = name
                draft.discount_milli = draft.gross * permille
                if self.outlet.prices_include_tax:  # this till rounds each line's discount
                    draft.discount_milli = half_away(draft.discount_milli, MILLI) * MILLI

    def _covers(self, channel: str, drafts: Sequence[_Draft]) -> int:
        if channel == "dine_in":
            return self.random.choices((1, 2, 3, 4, 6), cum_weights=(30, 70, 84, 96, 100))[0]
        return max(draft.quantity for draft in drafts) if channel == "catering" else 1

    # What it costs

    def _price_exclusive(
        self, sequence: int, drafts: Sequence[_Draft], service_rate: int, step: int
    ) -> tuple[Bill, list[SimLine]]:
        net = sum((draft.gross - draft.comp) * MILLI - draft.discount_milli for draft in drafts)
        bill = exclusive(net, service_rate, self.tax_rate, step)
        lines = [
            self._line(
                sequence,
                index,
                draft,
                self._money(draft.gross),
                self._fraction(draft.discount_milli),
                self._money(draft.comp),
            )
            for index, draft in enumerate(drafts, start=1)
        ]
        return bill, lines

    def _price_inclusive(
        self, sequence: int, drafts: Sequence[_Draft], service_rate: int, step: int
    ) -> tuple[Bill, list[SimLine]]:
        paid = [draft.gross - draft.comp - draft.discount_milli // MILLI for draft in drafts]
        bill = inclusive(sum(paid), service_rate, self.tax_rate, step)
        bill.rounding *= MILLI
        nets = allocate(bill.net, paid)
        above = BASIS + self.tax_rate
        lines = []
        for index, (draft, net) in enumerate(zip(drafts, nets, strict=True), start=1):
            discount = half_away(draft.discount_milli // MILLI * BASIS, above)
            comp = half_away(draft.comp * BASIS, above)
            amounts = (self._money(net + discount + comp), self._money(discount), self._money(comp))
            lines.append(self._line(sequence, index, draft, *amounts))
        return bill, lines

    def _line(
        self, sequence: int, index: int, draft: _Draft, gross: Decimal, discount: Decimal, comp: Decimal
    ) -> SimLine:
        return SimLine(
            uid=f"{self.uid_prefix}{sequence << 8 | index:012x}",
            product=draft.product,
            quantity=draft.quantity,
            modifiers=draft.modifiers,
            unit_price=self._money(draft.unit),
            gross=gross,
            discount=discount,
            discount_name=draft.discount_name,
            comp=comp,
            comp_name=draft.comp_name,
        )

    def _money(self, units: int) -> Decimal:
        """An amount from the currency's smallest unit."""
        return Decimal(units).scaleb(-self.outlet.exponent) if self.outlet.exponent else Decimal(units)

    def _fraction(self, milli: int) -> Decimal:
        """An amount from thousandths of the currency's smallest unit."""
        if milli % MILLI == 0:
            return self._money(milli // MILLI)
        return Decimal(milli).scaleb(-3 - self.outlet.exponent).normalize()

    # How it is paid

    def _tender(self, channel: str, sales_type: str) -> tuple[str, str]:
        if channel == "delivery_platform":
            return "platform", sales_type
        if channel == "catering":
            return ("credit_card", "Visa") if self.abroad else ("transfer", "Bank Transfer")
        if "unknown_tender" in self.day.ugly and self.random.random() < 0.02:
            return menu.UNKNOWN_TENDER
        tender, name, _ = self.random.choices(self.tenders, cum_weights=self.tender_shares)[0]
        return tender, name

    def _tip(self, total: int, tender: str) -> Decimal:
        """Only abroad, on cards, in steps of half a dollar."""
        if not self.abroad or tender not in ("credit_card", "debit") or self.random.random() >= P_TIP:
            return Decimal(0)
        return self._money(max(50, half_away(total * self.random.randint(5, 12), 100 * 50) * 50))

    def _tendered(self, total: int, tender: str) -> Decimal:
        """Cash handed over: exact, or the next multiple of a note."""
        if tender != "cash" or total == 0 or self.random.random() < 0.25:
            return self._money(total)
        note = self.random.choice(NOTES[self.outlet.currency])
        return self._money(-(-total // note) * note)

    # What happens afterwards

    def _void(self, check: SimCheck, at: datetime) -> None:
        check.voided_at = at
        check.void_known_at = max(check.known_at, at + timedelta(seconds=5))

    def _refund(self, check: SimCheck, sequence: int, closed: datetime) -> None:
        rng = self.random
        at = closed + timedelta(minutes=rng.randint(5, 15))
        if rng.random() < 0.4 and self.day.next_day_trades:
            at = closed + timedelta(hours=24)
        full = len(check.lines) == 1 or rng.random() < 0.5
        self._give_back(check, sequence, at, at + timedelta(seconds=rng.randint(2, 20)), full)

    def _give_back(self, check: SimCheck, sequence: int, at: datetime, known: datetime, full: bool) -> None:
        business_date = self.day.business_date_of(at)
        paid = [index for index, line in enumerate(check.lines) if line.net > 0]
        if full or len(paid) < 2:
            amounts = (check.net, check.service, check.tax, check.rounding, check.total)
            lines, full = tuple(check.lines), True
        else:
            chosen = paid[: len(paid) // 2]
            lines = tuple(check.lines[index] for index in chosen)
            amounts = self._share(check, chosen)
        net, service, tax, rounding, total = amounts
        check.refunds.append(
            SimRefund(
                uid=f"{self.uid_prefix}{sequence << 8 | 0x80:012x}",
                at=at,
                known_at=max(known, check.known_at + timedelta(seconds=1)),
                business_date=business_date,
                lines=lines,
                net=net,
                service=service,
                tax=tax,
                rounding=rounding,
                total=total,
                reason=self.random.choice(menu.REFUND_REASONS),
                full=full,
            )
        )

    def _share(self, check: SimCheck, chosen: Sequence[int]) -> tuple[Decimal, Decimal, Decimal, Decimal, Decimal]:
        """Net, service, tax, rounding and total of some lines; service and tax by largest remainder."""
        scale = self.unit * MILLI
        weights = [int(line.net * scale) for line in check.lines]
        services = allocate(int(check.service * self.unit), weights)
        taxes = allocate(int(check.tax * self.unit), weights)
        net = sum(weights[index] for index in chosen)
        service = sum(services[index] for index in chosen)
        tax = sum(taxes[index] for index in chosen)
        step = CASH_STEP[self.outlet.currency] if check.tender == "cash" else 1
        exact = net + (service + tax) * MILLI
        total = half_away(exact, step * MILLI) * step
        rounding = self._fraction(total * MILLI - exact)
        return self._fraction(net), self._money(service), self._money(tax), rounding, self._money(total)

    def _happen_late(self, checks: list[SimCheck]) -> None:
        """Put the day's late events on its first ordinary checks, each on another one."""
        late = self.day.late
        ordinary = iter(
            [
                (sequence, check)
                for sequence, check in enumerate(checks, start=1)
                if check.void_known_at is None and not check.refunds and check.total > 0 and check.net > 0
            ]
        )
        for at, (_, check) in zip(late.voids, ordinary, strict=False):
            self._void(check, at)
        for at, (_, check) in zip(late.checks, ordinary, strict=False):
            check.known_at = at
        for at, (sequence, check) in zip(late.refunds, ordinary, strict=False):
            self._give_back(check, sequence, check.closed_at + timedelta(minutes=10), at, full=True)
