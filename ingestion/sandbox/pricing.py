"""How the simulated POS computes a bill, in whole numbers of the smallest unit it works with.

Rounding is half away from zero at check level. Rates are in basis points (10 % = 1000).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

BASIS = 10_000
MILLI = 1_000  # lines of exclusive prices are kept in thousandths, so that percent discounts stay exact


def half_away(numerator: int, denominator: int) -> int:
    """numerator / denominator rounded half away from zero; the denominator is positive."""
    if numerator < 0:
        return -half_away(-numerator, denominator)
    return (2 * numerator + denominator) // (2 * denominator)


def allocate(whole: int, weights: Sequence[int]) -> list[int]:
    """Share a whole over non-negative weights by largest remainder; the parts always sum to it."""
    total = sum(weights)
    if total == 0:
        return [whole, *[0] * (len(weights) - 1)]
    parts = [whole * weight // total for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(whole * weights[i] % total), i))
    for i in by_remainder[: whole - sum(parts)]:
        parts[i] += 1
    return parts


@dataclass(slots=True)
class Bill:
    """Service, tax and total in the currency's smallest unit; net and rounding in 1/scale of it."""

    net: int
    service: int
    tax: int
    rounding: int
    total: int


def exclusive(net_milli: int, service_rate: int, tax_rate: int, cash_step: int = 1) -> Bill:
    """Service on net, tax on both, total rounded to `cash_step` units; net and rounding in thousandths."""
    service = half_away(net_milli * service_rate, BASIS * MILLI)
    tax = half_away((net_milli + service * MILLI) * tax_rate, BASIS * MILLI)
    exact = net_milli + (service + tax) * MILLI
    total = half_away(exact, cash_step * MILLI) * cash_step
    return Bill(net_milli, service, tax, total * MILLI - exact, total)


def inclusive(paid: int, service_rate: int, tax_rate: int, cash_step: int = 1) -> Bill:
    """Tax, then service, extracted from what is paid; net is what is left, so that the three add up to it."""
    tax = half_away(paid * tax_rate, BASIS + tax_rate)
    service = half_away((paid - tax) * service_rate, BASIS + service_rate)
    total = half_away(paid, cash_step) * cash_step
    return Bill(paid - tax - service, service, tax, total - paid, total)
