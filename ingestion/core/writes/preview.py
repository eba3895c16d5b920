"""What a sheet would change: each row against what the tills hold now, with refusals of what cannot be meant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from ingestion.core.config import Config, Integration, Outlet, Row
from ingestion.core.outbox.states import SENDABLE
from ingestion.core.platform import Platform
from ingestion.core.registry import connector
from ingestion.core.writes.book import changes_of
from ingestion.core.writes.change import (
    Difference,
    Refused,
    Wish,
    WriteKind,
    WriteTarget,
    price_text,
    same_thing,
    shift_text,
)
from ingestion.core.writes.sheets import PriceRow, ShiftRow, outlets_of

Opens = Callable[[str], WriteTarget]  # integration id -> its writer


def preview(platform: Platform, kind: WriteKind, rows: Sequence[tuple[str, Row]], opens: Opens) -> list[Difference]:
    """Every row at every outlet that it names, in their order. Reads the tills, writes nothing."""
    read = _Reading(platform, kind, opens)
    found = [difference for place, row in rows for difference in read.differences(place, row)]
    return read.compared(_without_doubles(found))


@dataclass(slots=True)
class _Reading:
    platform: Platform
    kind: WriteKind
    opens: Opens
    targets: dict[str, WriteTarget] = field(default_factory=dict)

    @property
    def config(self) -> Config:
        return self.platform.config

    @property
    def as_of(self) -> datetime:
        return self.platform.settings.as_of

    def differences(self, place: str, row: Row) -> list[Difference]:
        """A row at each of its outlets, judged as far as it can be without the till."""
        if isinstance(row, PriceRow):
            group, day = row.outlets, row.valid_from or self.as_of.date()
            wish = Wish(row.sku, price_text(row.price))
        else:
            assert isinstance(row, ShiftRow)
            group, day = f"outlet:{row.outlet}", row.start.date()
            wish = Wish(row.employee, shift_text(row.start, row.end), row.job)
        try:
            outlets = outlets_of(self.config, group, day)
        except ValueError as error:
            return [Difference(place, self.kind, group, wish, refusal=str(error))]
        return [self._difference(place, row, outlet, wish) for outlet in outlets]

    def _difference(self, place: str, row: Row, outlet: Outlet, wish: Wish) -> Difference:
        found = Difference(place, self.kind, outlet.outlet_id, wish)
        if isinstance(row, PriceRow):
            found = replace(found, currency=row.currency, valid_from=row.valid_from)
        try:
            integration, source = self._account(outlet.outlet_id)
            if isinstance(row, PriceRow):
                self._judge_price(row, outlet)
            elif isinstance(row, ShiftRow):
                self._judge_shift(row)
        except ValueError as error:
            return replace(found, refusal=str(error))
        return replace(found, integration_id=integration.integration_id, source_outlet_id=source)

    def _account(self, outlet_id: str) -> tuple[Integration, str]:
        """The account whose till takes this kind for the outlet, and its id of the outlet. Raises ValueError."""
        found = [
            (integration, source)
            for integration in self.config.integrations
            if integration.enabled and connector(integration.vendor).writer(self.kind) is not None
            for source, ours in integration.outlets.items()
            if ours == outlet_id
        ]
        if len(found) != 1:
            told = " and ".join(integration.integration_id for integration, _ in found) or "none"
            raise ValueError(f"outlet: exactly one account must take {self.kind} for {outlet_id}; there is {told}")
        return found[0]

    def _judge_price(self, row: PriceRow, outlet: Outlet) -> None:
        if row.price <= 0:
            raise ValueError(f"price: {row.price} is not above zero")
        if row.currency != outlet.currency:
            raise ValueError(f"currency: {row.currency}, the till of {outlet.outlet_id} has {outlet.currency}")
        entity = self.config.entity(outlet.entity_id)
        places = entity.currency_exponent if entity.currency == row.currency else 2
        if row.price != row.price.quantize(Decimal(1).scaleb(-places)):
            raise ValueError(f"price: {row.price} has more than {places} decimals")

    def _judge_shift(self, row: ShiftRow) -> None:
        longest = self.config.write_rules.longest_shift_hours
        if row.end <= row.start:
            raise ValueError("end: is not after start")
        if row.end - row.start > timedelta(hours=longest):
            raise ValueError(f"end: the shift is longer than {longest} hours")
        if row.start <= self.as_of:
            raise ValueError("start: is over; a schedule says what is to come")
        if row.start.microsecond or row.end.microsecond:
            raise ValueError("start, end: no fractions of a second")

    def compared(self, differences: Sequence[Difference]) -> list[Difference]:
        """With what each outlet's till holds; one reading per outlet."""
        outlets: dict[tuple[str, str], list[int]] = defaultdict(list)
        for number, difference in enumerate(differences):
            if not difference.refusal:
                outlets[difference.integration_id, difference.source_outlet_id].append(number)
        found = list(differences)
        for (integration_id, source), numbers in outlets.items():
            wishes = [found[number].wish for number in numbers]
            answers = self._target(integration_id).held(source, wishes)
            for number, answer in zip(numbers, answers, strict=True):
                if isinstance(answer, Refused):
                    found[number] = replace(found[number], refusal=answer.reason)
                else:
                    found[number] = replace(found[number], record=answer.record, old=answer.value, label=answer.label)
        return [self._ruled(difference) for difference in self._after_those_before(found)]

    def _target(self, integration_id: str) -> WriteTarget:
        if integration_id not in self.targets:
            self.targets[integration_id] = self.opens(integration_id)
        return self.targets[integration_id]

    def _after_those_before(self, differences: Sequence[Difference]) -> list[Difference]:
        """A price of a later day goes from the price of the day before it, in this sheet or waiting already."""
        if self.kind is not WriteKind.PRICES:
            return list(differences)
        steps: dict[tuple[str, str, str], dict[date, str]] = defaultdict(dict)
        for change in changes_of(self.platform.ops, self.kind, statuses=SENDABLE):
            steps[change.target, change.source_outlet_id, change.subject][change.valid_from or date.min] = change.new
        for item in differences:
            if not item.refusal:
                steps[_price_of(item)][item.valid_from or date.min] = item.wish.value
        found = []
        for item in differences:
            before = [day for day in steps[_price_of(item)] if day < (item.valid_from or date.min)]
            if before and not item.refusal:
                item = replace(item, old=steps[_price_of(item)][max(before)])
            found.append(item)
        return found

    def _ruled(self, difference: Difference) -> Difference:
        """Refuse what is beyond the limit, approve what a rule approves."""
        rules = self.config.write_rules
        if difference.refusal:
            return difference
        if self.kind is WriteKind.SCHEDULES:
            return replace(difference, by_rule="rule: schedules" if rules.approve_schedules else "")
        change = difference.percent
        if change is not None and abs(change) > rules.refuse_prices_beyond:
            return replace(
                difference,
                refusal=f"price: changes by {change} %, more than {rules.refuse_prices_beyond} %",
            )
        if change is not None and abs(change) <= rules.approve_prices_within:
            return replace(difference, by_rule=f"rule: within {rules.approve_prices_within} %")
        return difference


def _without_doubles(differences: Sequence[Difference]) -> list[Difference]:
    """Refuse the second of two rows that speak of the same thing."""
    seen: dict[tuple, list[Difference]] = defaultdict(list)
    found = []
    for difference in differences:
        key = (difference.outlet_id, difference.wish.subject)
        value, day = difference.wish.value, difference.valid_from
        if not difference.refusal:
            other = next(
                (
                    earlier
                    for earlier in seen[key]
                    if same_thing(difference.kind, value, day, earlier.wish.value, earlier.valid_from)
                ),
                None,
            )
            if other is not None:
                difference = replace(difference, refusal=f"speaks of the same as {other.place}")
            else:
                seen[key].append(difference)
        found.append(difference)
    return found


def _price_of(item: Difference) -> tuple[str, str, str]:
    return item.integration_id, item.source_outlet_id, item.wish.subject
