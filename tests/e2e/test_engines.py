"""The same nights on DuckDB and on Postgres: the same marts to the rupiah, readers that never notice a build."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from sqlalchemy import make_url

from ingestion.core import warehouse
from ingestion.core.settings import Settings
from ingestion.sandbox.company import Company
from orchestration.cli.demo import differences
from orchestration.night import run_night
from tests import postgres as pg
from tests.stand import FIRST_DAY, Stand

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("engines")]

ROLE = "c4_test_reader"
LOCK_WAIT_MS = 1000  # the longest that a reader may wait for a lock
TOTALS = """
    select
        (select count(*) from sales_daily),
        (select coalesce(sum(net_sales), 0) from sales_daily),
        (select coalesce(sum(net_sales), 0) from fct_checks where not is_voided),
        (select coalesce(sum(debit), 0) from journal_lines),
        (select count(*) from outlet_days where state in ('posted', 'amended'))
"""
Totals = tuple[Any, ...]


@dataclass
class Reader:
    """An analyst who asks for the same totals over and over, through the whole night."""

    settings: Settings
    asked: int = 0
    seen: list[Totals] = field(default_factory=list)  # answers in the order they came, without repetitions
    _over: threading.Event = field(default_factory=threading.Event)
    _trouble: list[Exception] = field(default_factory=list)

    def __enter__(self) -> Reader:
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        assert self._trouble == []

    def _read(self) -> None:
        while not self._over.wait(0.1):
            try:
                answer = totals(self.settings)
            except Exception as error:  # noqa: BLE001 - told by the thread that waits for us
                self._trouble.append(error)
                return
            self.asked += 1
            if answer is not None and self.seen[-1:] != [answer]:
                self.seen.append(answer)


def totals(settings: Settings) -> Totals | None:
    with warehouse.published(settings) as marts:
        if marts is None:
            return None
        if not settings.is_duckdb:
            marts.execute(f"set local lock_timeout = {LOCK_WAIT_MS}")
        return tuple(marts.execute(TOTALS).fetchone())


@dataclass
class Nights:
    """What one engine made of the company's two nights."""

    stand: Stand
    environment: dict[str, str]
    marts: dict[str, list[tuple[str, ...]]]
    committed: list[Totals]  # after each night
    reader: Reader
    untrue: list[str]


def run_nights(root: Path, made: Company, environment: dict[str, str]) -> Nights:
    with pytest.MonkeyPatch.context() as patched:
        for name, value in environment.items():
            patched.setenv(name, value)
        with Stand.open(root, made=made, days=2) as stand:
            committed = []
            with Reader(stand.settings()) as reader:
                for moment in made.nights():
                    stand.set_clock(moment)
                    result = run_night(stand.settings(), stand.now)
                    assert result.success, result.errors
                    committed.append(totals(stand.settings()))
            with warehouse.published(stand.settings()) as marts:
                assert marts is not None
                untrue = differences(marts, made.truth(stand.now))
            return Nights(
                stand, environment, published_rows(stand.settings()), [t for t in committed if t], reader, untrue
            )


def published_rows(settings: Settings) -> dict[str, list[tuple[str, ...]]]:
    """Every row of every published mart as text, sorted: column by column in the order of the names."""
    found = {}
    with warehouse.published(settings) as marts:
        assert marts is not None
        schema = "marts" if settings.is_duckdb else "published"
        names = marts.execute("select table_name from information_schema.tables where table_schema = ?", [schema])
        for (name,) in names.fetchall():
            rows = warehouse.rows(marts, f'select * from "{name}"')
            found[name] = sorted(tuple(f"{key}={plain(row[key])}" for key in sorted(row)) for row in rows)
    return found


def plain(value: Any) -> str:
    """A value without what only its driver adds: the name of UTC, the order of a structure's fields."""
    if isinstance(value, dict):
        return str({key: plain(value[key]) for key in sorted(value)})
    if isinstance(value, list):
        return str([plain(item) for item in value])
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[dict[str, Nights]]:
    """Three outlets, two days, two nights, on each engine."""
    made = Company.build(outlets=3, days=2, start=FIRST_DAY, checks_per_day=12)
    with pg.database(postgres_server) as url:
        try:
            yield {
                name: run_nights(tmp_path_factory.mktemp(name), made, environment)
                for name, environment in {
                    "duckdb": {"C4_WAREHOUSE": ""},
                    "postgres": {"C4_WAREHOUSE": url, "C4_OPS": url, "C4_READER_ROLE": ROLE},
                }.items()
            }
        finally:
            pg.execute(url, f"drop owned by {ROLE}")
            pg.execute(url, f"drop role {ROLE}")


def test_every_row_of_every_mart_is_the_same(both: dict[str, Nights]) -> None:
    """Catches: a rounding, a sort order, a time zone or a null that one engine sees otherwise."""
    duckdb, postgres = both["duckdb"].marts, both["postgres"].marts
    assert duckdb.keys() == postgres.keys()
    assert len(duckdb) > 25
    for name, rows in duckdb.items():
        assert postgres[name] == rows, name
    for name in ("sales_daily", "journal_lines", "trial_balance", "transactions_c4", "budget_vs_actual"):
        assert duckdb[name], f"{name} is empty and proves nothing"


@pytest.mark.parametrize("engine", ["duckdb", "postgres"])
def test_the_marts_are_the_truth(both: dict[str, Nights], engine: str) -> None:
    """Catches: both engines wrong in the same way."""
    assert both[engine].untrue == []


@pytest.mark.parametrize("engine", ["duckdb", "postgres"])
def test_a_reader_sees_whole_nights_only(both: dict[str, Nights], engine: str) -> None:
    """Catches: a query that fails, waits or mixes two states while a night loads, builds and publishes."""
    nights = both[engine]
    assert len(set(nights.committed)) == 2, "the second night changed nothing"
    assert nights.reader.asked > 20
    assert set(nights.reader.seen) <= set(nights.committed)
    assert nights.committed[0] in nights.reader.seen


def test_the_reader_role_sees_the_published_marts_and_nothing_else(both: dict[str, Nights]) -> None:
    """Catches: raw data, credentials or the outbox open to every BI tool; a role that can write."""
    url = both["postgres"].environment["C4_WAREHOUSE"]
    visible = pg.execute(
        url,
        "select distinct table_schema from information_schema.tables where left(table_schema, 3) <> 'pg_' "
        "and has_schema_privilege(%s, table_schema, 'usage') "
        "and has_table_privilege(%s, format('%%I.%%I', table_schema, table_name), 'select')",
        ROLE,
        ROLE,
    )
    assert {schema for (schema,) in visible} <= {"published", "information_schema"}
    for table, allowed in (
        ("published.sales_daily", True),
        ("marts.sales_daily", False),
        ("raw_c4.outbox", False),
        ("raw_moka.transactions", False),
        ("public.credentials", False),
    ):
        pg.execute(url, f"select count(*) from {table}")  # it is there
        if allowed:
            assert as_reader(url, f"select count(*) from {table}") > 0
        else:
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                as_reader(url, f"select count(*) from {table}")
    for statement in (
        "delete from published.sales_daily",
        "create table published.mine (n int)",
        "create table public.mine (n int)",
        "create schema mine",
    ):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            as_reader(url, statement)


def as_reader(url: str, statement: str) -> Any:
    with psycopg2.connect(make_url(url).render_as_string(hide_password=False)) as connection:
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"set role {ROLE}")
                cursor.execute(statement)
                return cursor.fetchone()[0] if cursor.description else None
        finally:
            connection.rollback()
            connection.close()
