"""What the simulated company's people write down themselves: budgets, rent, stock movements, cash counts."""

from __future__ import annotations

import calendar
import random
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from ingestion.core.config import BudgetDriver, CashCount
from ingestion.sandbox.model import (
    DayTruth,
    SimAccount,
    SimBudget,
    SimLedgerLine,
    SimOutlet,
    SimStockMovement,
    SimSupplier,
)

SUPPLIERS = (
    "CV Sumber Pangan Segar",
    "PT Kopi Toraja Lestari",
    "UD Tani Makmur",
    "PT Susu Murni Bandung",
    "CV Kemasan Jaya",
    "PT Boga Distribusi Nusantara",
    "UD Laut Timur",
    "PT Gula Aren Sejahtera",
)

# material, group, unit, rupiah per unit, units received a delivery
_MATERIALS = (
    ("Coffee beans", "beverage", "KG", 185_000, 12),
    ("Fresh milk", "beverage", "L", 21_500, 60),
    ("Palm sugar syrup", "beverage", "L", 38_000, 10),
    ("Rice", "food", "KG", 15_800, 50),
    ("Chicken", "food", "KG", 42_500, 25),
    ("Noodles", "food", "KG", 24_000, 15),
    ("Cooking oil", "food", "L", 19_200, 20),
    ("Packed coffee 200 g", "retail", "PC", 50_000, 12),
)

# account, share of the month's net sales, fixed rupiah
_BUDGET = (
    ("4010", "0.165", 0),
    ("4020", "0.12", 0),
    ("4030", "0.115", 0),
    ("4040", "0.43", 0),
    ("4060", "0.1", 0),
    ("4070", "0.09", 0),
    ("4080", "0.0095", 0),
    ("4110", "0.013", 0),
    ("4120", "0.003", 0),
    ("4130", "0.006", 0),
    ("5010", "0.135", 0),
    ("5020", "0.108", 0),
    ("5040", "0.057", 0),
    ("6010", "0", 11_900_000),
    ("6020", "0.06", 22_000_000),
    ("6030", "0.009", 0),
    ("7040", "0", 7_000_000),
    ("8010", "0", 35_000_000),
)
AVERAGE_NET = {"IDR": 125_000, "AUD": 300_000}  # rupiah a check, what the budget assumes
COVERS_PER_CHECK = Decimal("1.8")


def months(dates: Sequence[date]) -> list[date]:
    """First days of the months that the dates touch."""
    return sorted({day.replace(day=1) for day in dates})


def budget_drivers(
    outlets: Sequence[SimOutlet], dates: Sequence[date], checks_per_day: Callable[[SimOutlet], int]
) -> list[BudgetDriver]:
    """Budgeted checks and covers of each outlet and month: every day of the month trades."""
    drivers = []
    for outlet in outlets:
        for month in months(dates):
            checks = checks_per_day(outlet) * calendar.monthrange(month.year, month.month)[1]
            covers = int(checks * COVERS_PER_CHECK)
            drivers.append(BudgetDriver(outlet_id=outlet.outlet_id, month=month, covers=covers, checks=checks))
    return drivers


def budgets(
    drivers: Sequence[BudgetDriver], outlets: dict[str, SimOutlet], account: Callable[[str], SimAccount]
) -> list[SimBudget]:
    """Monthly budgets in thousands of rupiah, made from the budgeted volume."""
    lines = []
    for driver in drivers:
        outlet = outlets[driver.outlet_id]
        net = driver.checks * AVERAGE_NET[outlet.currency]
        for code, share, fixed in _BUDGET:
            amount = (int(net * Decimal(share)) + fixed) // 1000 * 1000
            lines.append(SimBudget(outlet.entity, outlet, account(code), driver.month, Decimal(amount)))
    return lines


def ledger_lines(
    outlets: Sequence[SimOutlet], dates: Sequence[date], seed: int, account: Callable[[str], SimAccount]
) -> list[SimLedgerLine]:
    """Rent on the first simulated day and utilities on the second, per outlet; each document balances."""
    lines = []
    for outlet in outlets:
        rng = random.Random(f"{seed}:{outlet.outlet_id}:books")
        rent = 20_000_000 + outlet.seats * 250_000
        utilities = rng.randint(5_000, 9_000) * 1_000
        documents = [
            ("RENT", "8010", rent, "Outlet rent"),
            ("UTIL", "7040", utilities, "Electricity and water"),
        ]
        for (kind, code, amount, text), day in zip(documents, dates, strict=False):
            document = f"{kind}-{outlet.outlet_id}-{day:%Y%m}"
            known = datetime.combine(day, time(9, 30), UTC)
            for number, (line_code, signed) in enumerate(((code, amount), ("2510", -amount)), start=1):
                lines.append(
                    SimLedgerLine(
                        document=document,
                        line_no=number,
                        entity=outlet.entity,
                        outlet=outlet,
                        account=account(line_code),
                        posting_date=day,
                        amount=Decimal(signed),
                        text=f"{text} {day:%B %Y}",
                        known_at=known,
                    )
                )
    return lines


def stock_movements(
    outlets: Sequence[SimOutlet], dates: Sequence[date], seed: int, suppliers: Sequence[SimSupplier]
) -> list[SimStockMovement]:
    """A delivery every other day, the kitchen's issues daily, and now and then something wasted."""
    movements: list[SimStockMovement] = []
    for outlet in outlets:
        for index, day in enumerate(dates):
            rng = random.Random(f"{seed}:{outlet.outlet_id}:{day}:stock")
            kinds = ["issue"]
            if (index + outlet.number) % 2 == 0:
                kinds.insert(0, "receipt")
            if rng.random() < 0.4:
                kinds.append("waste")
            for kind in kinds:
                movements.extend(_document(outlet, day, kind, rng, suppliers))
    return movements


def _document(
    outlet: SimOutlet, day: date, kind: str, rng: random.Random, suppliers: Sequence[SimSupplier]
) -> list[SimStockMovement]:
    lines = {"receipt": 3, "issue": 4, "waste": 1}[kind]
    supplier = rng.choice(suppliers) if kind == "receipt" else None
    hour = {"receipt": 2, "issue": 14, "waste": 15}[kind]
    movements = []
    for number, (material, group, unit, price, delivered) in enumerate(rng.sample(_MATERIALS, lines), start=1):
        share = {"receipt": 1000, "issue": rng.randint(250, 500), "waste": rng.randint(10, 60)}[kind]
        quantity = Decimal(delivered * share).scaleb(-3)
        movements.append(
            SimStockMovement(
                document=f"{kind[0].upper()}{outlet.number:05d}{day:%y%m%d}",
                line_no=number,
                outlet=outlet,
                material=material,
                group=group,
                kind=kind,
                quantity=quantity,
                unit=unit,
                amount=Decimal(int(quantity * price)),
                posting_date=day,
                supplier=supplier,
                known_at=datetime.combine(day, time(hour), UTC) + timedelta(minutes=rng.randint(0, 59)),
            )
        )
    return movements


def cash_counts(days: Sequence[DayTruth]) -> list[CashCount]:
    """Tills counted on the given days: supplies paid from the till, then 5,000 short, exact or 2,000 over."""
    counts = []
    paid_out = Decimal(100_000)
    for index, day in enumerate(days):
        cash = day.tenders.get("cash", Decimal(0))
        if cash < 2 * paid_out:
            continue
        difference = (Decimal(-5_000), Decimal(0), Decimal(2_000))[index % 3]
        counts.append(
            CashCount(
                outlet_id=day.outlet_id,
                business_date=day.business_date,
                counted_cash=cash - paid_out + difference,
                paid_out=paid_out,
            )
        )
    return counts
