"""What the marts must come to, computed from the company's own objects and never from what was loaded.

Amounts are in the entity's functional currency. Where an outlet sells in another currency, every amount is
translated at its business date's rate and rounded half away from zero at the lowest grain, then summed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from ingestion.sandbox.model import DayTruth, SimCheck, SimEmployee, SimOutlet, SimPunch, SimRefund

if TYPE_CHECKING:
    from ingestion.core.config import LaborRate
    from ingestion.sandbox.company import Company

Key = tuple[str, date]
ONE = Decimal(1)


def truth(company: Company, now: datetime, outlets: Sequence[SimOutlet]) -> dict[Key, DayTruth]:
    """Every outlet-day that has begun by `now`, as known at `now`; a day without sales has zeros."""
    days: dict[Key, DayTruth] = {}
    for outlet in outlets:
        for business_date in company.dates:
            if company.day_start(outlet, business_date) > now:
                continue
            key = (outlet.outlet_id, business_date)
            days[key] = DayTruth(outlet.outlet_id, outlet.entity.entity_id, business_date)
    counter = _Counter(company, days)
    for outlet in outlets:
        for business_date in company.dates:
            for check in company.checks(outlet.outlet_id, business_date):
                if check.known_at <= now:
                    counter.check(check, now)
    wanted = {outlet.outlet_id for outlet in outlets}
    counter.labor(
        punch for punch in company.punches() if punch.known_at <= now and punch.employee.outlet.outlet_id in wanted
    )
    return days


class _Counter:
    def __init__(self, company: Company, days: dict[Key, DayTruth]) -> None:
        self.company = company
        self.days = days
        self.zones = {outlet.timezone: ZoneInfo(outlet.timezone) for outlet in company.outlets}

    def day(self, outlet: SimOutlet, business_date: date) -> DayTruth:
        key = (outlet.outlet_id, business_date)
        if key not in self.days:
            self.days[key] = DayTruth(outlet.outlet_id, outlet.entity.entity_id, business_date)
        return self.days[key]

    def check(self, check: SimCheck, now: datetime) -> None:
        day = self.day(check.outlet, check.business_date)
        to = _Translation(self.company, check.outlet, check.business_date)
        gross = sum((to(line.gross) for line in check.lines), Decimal(0))
        if check.voided(now):
            day.voids += 1
            day.void_amount += gross
            return
        discounts = sum((to(line.discount) for line in check.lines), Decimal(0))
        comps = sum((to(line.comp) for line in check.lines), Decimal(0))
        net = gross - discounts - comps
        day.checks += 1
        day.lines += len(check.lines)
        day.covers += check.covers
        day.gross_sales += gross
        day.discounts += discounts
        day.comps += comps
        day.service_charge += to(check.service)
        day.tax += to(check.tax)
        day.rounding += to(check.rounding)
        day.tips += to(check.tip)
        for line in check.lines:
            cost = self.company.unit_cost(check.outlet.entity.entity_id, line.product.sku, check.business_date)
            day.cogs += line.quantity * cost
        self._split(day, check, net, check.opened_at, to(check.total))
        for refund in check.refunds:
            if refund.known_at <= now:
                self.refund(check, refund)

    def refund(self, check: SimCheck, refund: SimRefund) -> None:
        day = self.day(check.outlet, refund.business_date)
        to = _Translation(self.company, check.outlet, refund.business_date)
        net = sum((to(line.net) for line in refund.lines), Decimal(0))
        day.refunds += 1
        day.returns += net
        day.service_charge -= to(refund.service)
        day.tax -= to(refund.tax)
        day.rounding -= to(refund.rounding)
        self._split(day, check, -net, refund.at, -to(refund.total))

    def _split(self, day: DayTruth, check: SimCheck, net: Decimal, at: datetime, paid: Decimal) -> None:
        day.net_sales += net
        hour = at.astimezone(self.zones[check.outlet.timezone]).hour
        for parts, key, amount in (
            (day.channels, check.channel, net),
            (day.dayparts, self.company.daypart(hour), net),
            (day.tenders, check.tender, paid),
        ):
            parts[key] = parts.get(key, Decimal(0)) + amount

    def labor(self, punches: Iterable[SimPunch]) -> None:
        worked: dict[tuple[int, date], Decimal] = defaultdict(Decimal)
        people: dict[int, SimEmployee] = {}
        for punch in punches:
            worked[punch.employee.number, punch.business_date] += punch.hours
            people[punch.employee.number] = punch.employee
        for (number, business_date), hours in worked.items():
            person = people[number]
            rate = self.company.labor_rate(person.outlet.entity.entity_id, person.job_title, business_date)
            overtime, cost = labor_cost(hours, rate)
            day = self.day(person.outlet, business_date)
            day.hours += hours
            day.overtime_hours += overtime
            day.labor_cost += cost.quantize(ONE.scaleb(-person.outlet.entity.exponent), ROUND_HALF_UP)


def labor_cost(hours: Decimal, rate: LaborRate) -> tuple[Decimal, Decimal]:
    """Overtime hours and unrounded cost of one person's workday, burden included.

    PP 35/2021: normal hours, then one hour at one and a half times, the rest at twice the rate.
    """
    overtime = max(hours - rate.daily_normal_hours, Decimal(0))
    weighted = min(overtime, ONE) * Decimal("1.5") + max(overtime - ONE, Decimal(0)) * 2
    return overtime, (hours - overtime + weighted) * rate.hourly_rate * (ONE + rate.burden)


class _Translation:
    """Amounts of one outlet and date into functional currency; the same currency passes unchanged."""

    def __init__(self, company: Company, outlet: SimOutlet, business_date: date) -> None:
        self.same = outlet.currency == outlet.entity.currency
        if not self.same:
            self.rate = company.rate(outlet.currency, outlet.entity.currency, business_date)
            self.unit = ONE.scaleb(-outlet.entity.exponent)

    def __call__(self, amount: Decimal) -> Decimal:
        return amount if self.same else (amount * self.rate).quantize(self.unit, ROUND_HALF_UP)
