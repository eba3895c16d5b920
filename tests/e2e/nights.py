"""Two nights of one company on one warehouse, with a reader who asks all the while."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ingestion.core import warehouse
from ingestion.core.settings import Settings
from orchestration.cli.demo import differences
from orchestration.night import NightResult, run_night
from tests.readers import Answer, Reader, ask
from tests.stand import Stand

TOTALS = """
    select
        (select count(*) from sales_daily),
        (select coalesce(sum(net_sales), 0) from sales_daily),
        (select coalesce(sum(net_sales), 0) from fct_checks where not is_voided),
        (select coalesce(sum(debit), 0) from journal_lines),
        (select count(*) from outlet_days where state in ('posted', 'amended'))
"""
Rows = dict[str, list[tuple[str, ...]]]


def night(stand: Stand) -> NightResult:
    """Run the night at the stand's clock. A step that fails is a failure of the platform."""
    result = run_night(stand.settings(), stand.now)
    assert result.success, result.errors
    return result


@dataclass
class Nights:
    """What one engine made of the company's last two nights."""

    reader: Reader
    committed: list[Answer | None]  # after each night
    rows: Rows  # of every published mart
    untrue: list[str]  # figures that are not the simulated truth


def two_nights(stand: Stand) -> Nights:
    """The last two nights of a company on the warehouse that the environment names."""
    committed = []
    with Reader(stand.settings(), TOTALS, pause=1.5) as reader:
        for moment in stand.company.nights()[-2:]:
            stand.set_clock(moment)
            night(stand)
            committed.append(ask(stand.settings(), TOTALS))
    with warehouse.published(stand.settings()) as marts:
        assert marts is not None
        untrue = differences(marts, stand.company.truth(stand.now))
    return Nights(reader, committed, published_rows(stand.settings()), untrue)


def published_rows(settings: Settings) -> Rows:
    """Every row of every published mart as text, sorted."""
    found = {}
    with warehouse.published(settings) as marts:
        assert marts is not None
        schema = "marts" if settings.is_duckdb else "published"
        names = marts.execute("select table_name from information_schema.tables where table_schema = ?", [schema])
        for (name,) in names.fetchall():
            rows = warehouse.rows(marts, f'select * from "{name}"')
            found[name] = sorted(tuple(f"{key}={_plain(row[key])}" for key in sorted(row)) for row in rows)
    return found


def _plain(value: Any) -> str:
    """A value without what only its driver adds: the class of UTC, the order of a structure's fields."""
    if isinstance(value, dict):
        return str({key: _plain(value[key]) for key in sorted(value)})
    if isinstance(value, list):
        return str([_plain(item) for item in value])
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
