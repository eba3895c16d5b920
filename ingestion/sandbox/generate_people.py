"""Who works at the simulated company: employees, clocked shifts and time off."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from ingestion.sandbox.generate_sales import Trading
from ingestion.sandbox.model import SimEmployee, SimOutlet, SimPunch, SimTimeOff

# fmt: off
_FIRST = (
    "Adi", "Agus", "Andi", "Ayu", "Bambang", "Budi", "Citra", "Dedi", "Dewi", "Dian", "Eka", "Fajar",
    "Fitri", "Gita", "Hendra", "Indah", "Joko", "Kartika", "Lestari", "Made", "Maya", "Nia", "Nurul",
    "Putri", "Rahmat", "Ratna", "Reza", "Rizky", "Sari", "Siti", "Surya", "Tri", "Wahyu", "Wayan", "Yudi",
    "Yuni",
)
_LAST = (
    "Hidayat", "Kusuma", "Lubis", "Nasution", "Nugroho", "Pratama", "Purnomo", "Saputra", "Setiawan",
    "Siregar", "Suryadi", "Susanto", "Tanjung", "Utami", "Wibowo", "Wijaya", "Wulandari", "Halim",
    "Gunawan", "Hartono", "Kurniawan", "Maulana", "Permana", "Santoso",
)
# fmt: on

# job, department, and which shift the person works: hours after opening, before closing, or the middle
_STAFF = (
    ("Outlet Manager", "Management", "middle"),
    ("Barista", "Front of House", "early"),
    ("Barista", "Front of House", "late"),
    ("Cook", "Kitchen", "early"),
    ("Cook", "Kitchen", "late"),
    ("Server", "Front of House", "middle"),
    ("Cashier", "Front of House", "early"),
    ("Cashier", "Front of House", "late"),
)
_TIME_OFF = ("Annual Leave", "Sick Leave", "Unpaid Leave")


def employees(
    outlets: Sequence[SimOutlet], start: date, seed: int, rates: Mapping[tuple[str, str], Decimal]
) -> list[SimEmployee]:
    """Eight people an outlet; all report to its manager. `rates`: (entity, job) -> hourly rate at the start.

    About one in forty left a month before the start.
    """
    people = []
    for outlet in outlets:
        rng = random.Random(f"{seed}:{outlet.outlet_id}:people")
        manager = outlet.number * 100 + 1
        for place, (job, department, _) in enumerate(_STAFF, start=1):
            number = outlet.number * 100 + place
            first, last = rng.choice(_FIRST), rng.choice(_LAST)
            left = job == "Server" and rng.random() < 0.2
            people.append(
                SimEmployee(
                    number=number,
                    first_name=first,
                    last_name=last,
                    email=f"{first}.{last}.{number}@example.com".lower(),
                    job_title=job,
                    department=department,
                    outlet=outlet,
                    manager_number=None if number == manager else manager,
                    hired_on=start - timedelta(days=rng.randint(40, 1500)),
                    left_on=start - timedelta(days=rng.randint(20, 35)) if left else None,
                    hourly_rate=rates.get((outlet.entity.entity_id, job), Decimal(0)),
                )
            )
    return people


def time_off(people: Sequence[SimEmployee], start: date, days: int, seed: int) -> list[SimTimeOff]:
    """Requests in and around the simulated days; only approved ones keep people from their shifts."""
    requests = []
    for person in people:
        rng = random.Random(f"{seed}:{person.number}:time off")
        if person.left_on is not None or rng.random() >= 0.12:
            continue
        first = start + timedelta(days=rng.randint(0, days + 3))
        length = rng.randint(1, 3)
        requests.append(
            SimTimeOff(
                number=person.number * 10 + 1,
                employee=person,
                start=first,
                end=first + timedelta(days=length - 1),
                kind=rng.choice(_TIME_OFF),
                hours=Decimal(8 * length),
                status=rng.choices(("approved", "requested", "denied"), weights=(7, 2, 1))[0],
                created_on=start - timedelta(days=rng.randint(3, 20)),
            )
        )
    return requests


def punches(
    staff: Sequence[tuple[int, SimEmployee]],
    day: date,
    trading: Trading,
    cutoff_hours: float,
    seed: int,
    ugly: frozenset[str],
) -> list[SimPunch]:
    """The shifts of one outlet-day. `staff` are those who may work, each with the shift's place in `_STAFF`.

    Some shifts run over eight hours, some are split in two; those of a night outlet end after midnight.
    """
    shifts = []
    for place, person in staff:
        rng = random.Random(f"{seed}:{person.number}:{day}:punch")
        if rng.random() < 0.15:  # the weekly day off
            continue
        start, end = _shift(_STAFF[place - 1][2], trading, cutoff_hours, rng)
        parts = [(start, end)]
        if end - start >= 7 and rng.random() < 0.06:
            parts = [(start, start + 3.5), (start + 5, end + 1.5)]
        for part, (begins, ends) in enumerate(parts):
            started = _instant(day, begins, person.outlet.timezone) + timedelta(minutes=rng.randint(-5, 5))
            ended = started + timedelta(minutes=round((ends - begins) * 60) + rng.randint(0, 6))
            minutes = int((ended - started).total_seconds()) // 60
            known = ended + timedelta(minutes=rng.randint(1, 20))
            shifts.append(
                SimPunch(
                    number=(person.number * 100_000 + day.toordinal() % 10_000 * 10) + part,
                    employee=person,
                    business_date=day,
                    started_at=started,
                    ended_at=ended,
                    hours=(Decimal(minutes) / 60).quantize(Decimal("0.01")),
                    approved=not ("unapproved_punch" in ugly and person.number % 8 == 3),
                    known_at=known,
                    updated_at=known,
                )
            )
    return shifts


def _shift(kind: str, trading: Trading, cutoff_hours: float, rng: random.Random) -> tuple[float, float]:
    """Local start and end in hours after the business date's midnight."""
    opens = trading.opens
    closes = min(trading.closes if trading.closes is not None else 27.0, 24 + cutoff_hours - 1)
    length = 8.0
    if rng.random() < 0.18:
        length += rng.choice((0.5, 1.0, 1.5, 2.5))
    if kind == "early":
        start = max(opens - 0.25, cutoff_hours + 0.1)  # never before the business day begins
    elif kind == "late":
        start = closes + 0.25 - (5.0 if closes > 26 else length)  # nights are short: 22:00 to 03:00
    else:
        start = opens + 2.5
    end = closes + 0.25 if kind == "late" else min(start + length, closes + 0.25)
    return start, end


def _instant(day: date, hours: float, timezone: str) -> datetime:
    local = datetime.combine(day, time()) + timedelta(hours=hours)
    return local.replace(tzinfo=ZoneInfo(timezone)).astimezone(UTC)
