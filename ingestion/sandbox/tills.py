"""What the imitations of small till systems share: their outlets, what the server knows of them, tokens and pages.

Nothing here has a vendor's name or shape. Refunds are bills of their own here; a vendor that nests them in the bill
they refund takes them from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from ingestion.sandbox.clock import Clock
from ingestion.sandbox.model import SimCheck, SimLine, SimModifier, SimOutlet, SimProduct, SimRefund
from ingestion.sandbox.server import Request, Sandbox

if TYPE_CHECKING:
    from ingestion.sandbox.company import Company

LARGE = "Size"  # the modifier that till systems sell as a variant of the product


@dataclass(frozen=True)
class Bill:
    """A sale, or a refund of one. Amounts are positive magnitudes; of a refund they were given back."""

    check: SimCheck
    refund: SimRefund | None
    is_voided: bool
    changed_at: datetime  # when the server last learned something about it

    @property
    def sign(self) -> int:
        return 1 if self.refund is None else -1

    @property
    def at(self) -> datetime:
        return self.check.opened_at if self.refund is None else self.refund.at

    @property
    def known_at(self) -> datetime:
        return self.check.known_at if self.refund is None else self.refund.known_at

    @property
    def uid(self) -> str:
        return self.money.uid

    @property
    def lines(self) -> Sequence[SimLine]:
        return self.money.lines

    @property
    def money(self) -> SimCheck | SimRefund:
        """Whatever of the two holds net, service, tax, rounding and total."""
        return self.check if self.refund is None else self.refund

    @cached_property
    def number(self) -> int:
        """A number that no other bill of the outlet has."""
        return int(self.check.number) * 10 + (0 if self.refund is None else 1 + self.check.refunds.index(self.refund))

    def local(self) -> datetime:
        """When it happened, on the wall clock of the outlet."""
        return self.at.astimezone(ZoneInfo(self.check.outlet.timezone))

    @property
    def day(self) -> date:
        """The outlet's calendar day: these tills know no other business date."""
        return self.local().date()


class TillSandbox(Sandbox):
    """Base of a till system's imitation. `vendor_id` gives the vendor's id of an outlet."""

    def __init__(self, company: Company, clock: Clock) -> None:
        super().__init__(company, clock)
        self.tills = {self.vendor_id(outlet): outlet for outlet in company.outlets if outlet.pos == self.vendor}
        self._granted = 0
        self._tokens: dict[str, str] = {}
        self._known_as_of: datetime | None = None
        self._known: dict[str, list[Bill]] = {}

    def vendor_id(self, outlet: SimOutlet) -> str:
        raise NotImplementedError(f"{type(self).__name__} has no ids of outlets")

    def outlets(self) -> dict[str, str]:
        return {key: outlet.outlet_id for key, outlet in self.tills.items()}

    # Tokens

    def grant(self, holder: str) -> str:
        """A new bearer token of `holder`."""
        with self.lock:
            self._granted += 1
            token = f"c4-sandbox-{self.vendor}-token-{self._granted}"
            self._tokens[token] = holder
            return token

    def holder(self, request: Request) -> str | None:
        """Whose valid bearer token a request carries."""
        with self.lock:
            return self._tokens.get(request.headers.get("Authorization", "").removeprefix("Bearer "))

    def expire_tokens(self) -> None:
        with self.lock:
            self._tokens.clear()

    # What the server knows

    def bills(self, key: str) -> list[Bill]:
        """Sales and refunds of an outlet that the server knows at the clock, voided ones included, oldest first."""
        with self.lock:
            now = self.clock.now()
            if now != self._known_as_of:
                self._known_as_of = now
                self._known.clear()
            if key not in self._known:
                self._known[key] = self._bills(self.tills[key], now)
            return self._known[key]

    def _bills(self, outlet: SimOutlet, now: datetime) -> list[Bill]:
        found = []
        for check in self.company.checks(outlet.outlet_id):
            if check.known_at > now:
                continue
            found.append(Bill(check, None, check.voided(now), check.changed_at(now)))
            found += [
                Bill(check, refund, check.voided(now), refund.known_at)
                for refund in check.refunds
                if refund.known_at <= now
            ]
        return sorted(found, key=lambda bill: (bill.at, bill.uid))


def page_of(rows: Sequence[Any], request: Request, size: str = "per_page", most: int = 100) -> tuple[list[Any], int]:
    """The rows of the page that a request asks for by `page` (from 1), and how many pages there are."""
    count = min(int(request.arg(size, "15")), most)
    page = int(request.arg("page", "1"))
    return list(rows[(page - 1) * count : page * count]), max(-(-len(rows) // count), 1)


def sizes(product: SimProduct) -> list[tuple[int, str, Decimal]]:
    """Number, name and price of the variants in which a product is sold; none for a product of one size."""
    larger = [modifier for modifier in product.modifiers if modifier.name == LARGE]
    if not larger:
        return []
    return [(1, "Regular", product.price), *((2, size.option, product.price + size.price) for size in larger)]


def sold_as(line: SimLine) -> tuple[tuple[int, str, Decimal] | None, list[SimModifier]]:
    """The variant of a line, None without one, and what was chosen beyond it."""
    chosen = {modifier.option for modifier in line.modifiers if modifier.name == LARGE} or {"Regular"}
    variant = next((size for size in sizes(line.product) if size[1] in chosen), None)
    return variant, [modifier for modifier in line.modifiers if modifier.name != LARGE]
