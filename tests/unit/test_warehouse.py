"""The warehouse: one writer to a file, raw tables that always exist, marts that never break under a reader."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import duckdb
import msgspec
import psycopg2
import pyarrow as pa
import pytest

from ingestion.core import warehouse
from ingestion.core.config import ConfigError
from ingestion.core.fetch import Event, Page, ScopeDone
from ingestion.core.load import Loader
from ingestion.core.records import Record, keyed_hasher
from ingestion.core.settings import PROJECT_ROOT, Settings
from ingestion.core.spec import Category, Connector, Stream, Table
from ingestion.core.warehouse.engine import LEDGER
from tests.readers import Reader, ask

AS_OF = datetime(2026, 4, 5, 22, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(tmp_path, AS_OF)


def other_process(script: str, *arguments: object) -> subprocess.Popen[str]:
    """Another process; it and we take turns by lines on its standard input and output."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        cwd=PROJECT_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


# The lock

HOLD = """
import sys
from datetime import UTC, datetime
from ingestion.core import warehouse
from ingestion.core.settings import Settings
settings = Settings.load(sys.argv[1], datetime(2026, 4, 5, 22, tzinfo=UTC))
with warehouse.connect(settings, read_only=False) as connection:
    connection.execute("create table held as select 1 as n")
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_second_process_waits_and_gives_up_in_the_end(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: two writers on one file; a step that waits for ever, or fails without saying for what."""
    holder = other_process(HOLD, settings.data)
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with monkeypatch.context() as patched:
            patched.setattr(warehouse.engine, "LOCK_TIMEOUT", 0.1)
            with pytest.raises(warehouse.WarehouseBusyError, match="was busy"), warehouse.write_lock(settings):
                pass
        holder.communicate("go\n")
    with warehouse.connect(settings) as connection:
        assert connection.execute("select n from held").fetchall() == [(1,)]


def test_a_killed_holder_leaves_no_lock_behind(settings: Settings) -> None:
    """Catches: a warehouse that stays locked after a crash, until a person deletes a file."""
    holder = other_process(HOLD, settings.data)
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.kill()
    with warehouse.connect(settings) as connection:
        assert connection.execute("show tables").fetchall() == []  # nor anything half written


def test_one_thread_may_nest_and_others_wait(settings: Settings) -> None:
    """Catches: a step that waits half an hour for itself; two threads that write at once."""
    inside = 0
    most = 0

    def work(number: int) -> None:
        nonlocal inside, most
        with warehouse.write_lock(settings), warehouse.connect(settings, read_only=False) as connection:
            inside += 1
            most = max(most, inside)
            connection.execute(f"create table t{number} as select 1 as n")
            inside -= 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(8)))
    assert most == 1
    with warehouse.connect(settings) as connection:
        assert len(connection.execute("show tables").fetchall()) == 8


def test_the_lock_is_let_go_after_an_error(settings: Settings) -> None:
    with pytest.raises(duckdb.Error), warehouse.connect(settings, read_only=False) as connection:
        connection.execute("select * from nowhere")

    def from_another_thread() -> list[tuple[int]]:
        with warehouse.connect(settings) as connection:
            return connection.execute("select 7").fetchall()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(from_another_thread).result(timeout=60) == [(7,)]


@pytest.mark.parametrize("url", ["mysql://u:s3cret@h/db", "postgresql://u:s3cret@h", "s3cret", "postgresql+x://u@h/d"])
def test_another_kind_of_warehouse_is_refused_with_a_reason(settings: Settings, url: str) -> None:
    """Catches: a typing error that only a driver explains, with the password in its words."""
    with pytest.raises(ConfigError, match="C4_WAREHOUSE") as refused:
        warehouse.place(replace(settings, warehouse=url))
    assert "s3cret" not in str(refused.value)
    assert "s3cret" not in repr(replace(settings, warehouse=url))


def test_times_come_back_in_utc(settings: Settings) -> None:
    """Catches: business dates that depend on the time zone of the machine."""
    with warehouse.connect(settings, read_only=False) as connection:
        (row,) = warehouse.rows(
            connection, "select cast(timestamptz '2026-04-05 03:00:00+07' as varchar) as at, ? as n", [5]
        )
    assert row == {"at": "2026-04-04 20:00:00+00", "n": 5}


# Raw tables


class Line(Record):
    n: int


class Old(Record):
    id: str
    total: Decimal


class New(Old):
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    day: date
    order: bool | None = None  # a reserved word
    share: float = 0.0
    lines: list[Line] = []


def shop(record: type[Record], *more: Table) -> Connector:
    stream = Stream("checks", (Table("checks", record, ("id",)), *more), constants={"outlet": "{outlet}"})
    return Connector("shop", Category.POS, "Shop", (stream,))


OLD = shop(Old)
NEW = shop(New, Table("lines", Line, (), path="lines"))
CHECK = {
    "id": "a",
    "total": "12500.5",
    "at": "2026-04-05T03:00:00+07:00",
    "day": "2026-04-05",
    "order": True,
    "lines": [{"n": 1}],
}


def load(settings: Settings, connector: Connector, *records: Mapping[str, Any], run_id: int = 1) -> None:
    def events(stream: Stream, cursors: Mapping[str, str]) -> Iterator[Event]:
        yield Page(msgspec.json.encode(records), "", {"outlet": "o1"})
        yield ScopeDone("")

    loader = Loader(settings, connector, "shop-1", keyed_hasher(b"k" * 32))
    loader.prepare()
    loader.run(connector.streams, events, None, run_id=run_id, until=settings.as_of)


def columns(settings: Settings, table: str) -> dict[str, str]:
    with warehouse.connect(settings) as connection:
        return dict(
            connection.execute(
                "select column_name, data_type from information_schema.columns "
                "where table_schema = 'raw_shop' and table_name = ? and column_name not like '\\_dlt%' escape '\\'",
                [table],
            ).fetchall()
        )


def test_tables_made_beforehand_are_those_that_a_load_makes(settings: Settings, engine: str) -> None:
    """Catches: a model that is built on one type and fails on the other once the vendor delivers."""
    settings = Settings.load(settings.data, AS_OF)  # with the engine of this test
    load(settings, NEW, CHECK)
    loaded = {table: columns(settings, table) for table in ("checks", "lines")}
    with warehouse.connect(settings, read_only=False) as connection:
        for schema in ("raw_shop", "raw_shop_staging"):
            connection.execute(f"drop schema {schema} cascade")
    shutil.rmtree(settings.data / "dlt")
    warehouse.ensure_raw_tables(settings, [NEW])
    assert {table: columns(settings, table) for table in ("checks", "lines")} == loaded
    load(settings, NEW, CHECK)  # and a load fills the table that was there
    assert columns(settings, "checks") == loaded["checks"]
    with warehouse.connect(settings) as connection:
        assert connection.execute('select id, total, "order", outlet from raw_shop.checks').fetchall() == [
            ("a", Decimal("12500.5"), True, "o1")
        ]
        assert connection.execute("select root_id, n from raw_shop.lines").fetchall() == [("a", 1)]


def test_a_table_gains_the_columns_of_a_new_declaration_and_keeps_its_rows(settings: Settings, engine: str) -> None:
    """Catches: a vendor's table that must be dropped by hand when its declaration grows."""
    settings = Settings.load(settings.data, AS_OF)
    load(settings, OLD, {"id": "old", "total": 1})
    warehouse.ensure_raw_tables(settings, [NEW])
    warehouse.ensure_raw_tables(settings, [NEW])
    assert set(columns(settings, "checks")) >= {"id", "total", "at", "day", "order", "share"}
    load(settings, NEW, CHECK, run_id=2)
    with warehouse.connect(settings) as connection:
        assert connection.execute("select id, total, day from raw_shop.checks order by id").fetchall() == [
            ("a", Decimal("12500.5"), date(2026, 4, 5)),
            ("old", Decimal(1), None),
        ]


def test_a_load_alone_widens_its_table_too(settings: Settings) -> None:
    load(settings, OLD, {"id": "old", "total": 1})
    load(settings, NEW, CHECK, run_id=2)
    assert set(columns(settings, "checks")) >= {"at", "day", "order", "share"}


@pytest.mark.parametrize("kind", [pa.int32(), pa.timestamp("us"), pa.time64("us"), pa.binary()])
def test_a_type_that_no_column_has_is_refused(kind: pa.DataType) -> None:
    """Catches: a column that is quietly made a double, or a local time called UTC."""
    with pytest.raises(TypeError, match="no raw column"):
        warehouse.sql_type(kind)


# Publishing


def build_marts(settings: Settings, version: int) -> None:
    with warehouse.connect(settings, read_only=False) as connection:
        connection.execute("create schema if not exists marts")
        for table in ("sales_daily", "dim_outlets"):
            connection.execute(f"create or replace table marts.{table} as select {version} as version from range(500)")
        connection.execute("create schema if not exists raw_shop")
        connection.execute("create or replace table raw_shop.secret as select 'raw' as text")


STATE = """
    select min(version), max(version), count(*)
    from (select version from sales_daily union all select version from dim_outlets) as both_marts
"""


def test_only_the_marts_are_published(settings: Settings) -> None:
    """Catches: raw data, and with it personal data, in the file that everybody may read."""
    build_marts(settings, 1)
    assert warehouse.publish(settings) == 2
    with duckdb.connect(str(settings.published_path), read_only=True) as connection:
        tables = connection.execute("select table_schema, table_name from information_schema.tables").fetchall()
    assert sorted(tables) == [("marts", "dim_outlets"), ("marts", "sales_daily")]


def test_readers_never_see_half_a_publication_and_never_fail(settings: Settings) -> None:
    """Catches: a BI tool that fails, or mixes two nights, while the next night is published."""
    build_marts(settings, 0)
    warehouse.publish(settings)
    with Reader(settings, STATE) as one, Reader(settings, STATE) as other:
        for version in range(1, 21):
            build_marts(settings, version)
            warehouse.publish(settings)
    for reader in (one, other):
        reader.saw_only([(version, version, 1000) for version in range(21)])
    assert len({*one.seen, *other.seen}) > 1
    assert ask(settings, STATE) == (20, 20, 1000)


def test_an_open_reader_keeps_what_it_has_and_other_processes_see_the_new(settings: Settings) -> None:
    """Catches: a report that changes under the eyes of its reader, in this process or another, when the file that it
    reads becomes the next one; a file that cannot be replaced while it is read."""
    build_marts(settings, 1)
    warehouse.publish(settings)
    patient = """
        import duckdb, sys
        with duckdb.connect(sys.argv[1], read_only=True) as marts:
            print("reading", flush=True)
            sys.stdin.readline()
            print(marts.execute("select distinct version from marts.sales_daily").fetchall())
        """
    with duckdb.connect(str(settings.published_path), read_only=True) as old:
        for version in (2, 3, 4):
            build_marts(settings, version)
            warehouse.publish(settings)
            assert old.execute("select distinct version from marts.sales_daily").fetchall() == [(1,)]
        with other_process(patient, settings.published_path) as reader:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "reading\n"
            for version in (5, 6, 7):
                build_marts(settings, version)
                warehouse.publish(settings)
            assert reader.communicate("\n")[0] == "[(4,)]\n"
    assert ask(settings, STATE) == (7, 7, 1000)


def test_a_publication_begins_as_the_one_before_the_last(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: gigabytes that are copied every night; a mart of the night before last beside one published alone."""
    copied: list[Path] = []

    def copyfile(source: Path, target: Path) -> None:
        copied.append(source)
        target.write_bytes(source.read_bytes())

    monkeypatch.setattr(shutil, "copyfile", copyfile)
    for version in (1, 2, 3, 4):
        build_marts(settings, version)
        warehouse.publish(settings)
        assert ask(settings, STATE) == (version, version, 1000)
    assert copied == [settings.published_path]  # by the second, which had none before it
    build_marts(settings, 5)
    warehouse.publish(settings, ["dim_outlets"])
    assert ask(settings, STATE) == (4, 5, 1000)
    assert len(copied) == 2
    build_marts(settings, 6)
    warehouse.publish(settings)
    assert ask(settings, STATE) == (6, 6, 1000)
    assert len(copied) == 2


def test_a_publication_that_fails_or_dies_leaves_the_old_one(settings: Settings) -> None:
    """Catches: no marts at all in the morning because last night's publication broke off."""
    build_marts(settings, 1)
    warehouse.publish(settings)
    with warehouse.connect(settings, read_only=False) as connection:
        connection.execute("create view marts.broken as select * from marts.dim_outlets")
        connection.execute("drop table marts.dim_outlets")
    with pytest.raises(duckdb.Error):
        warehouse.publish(settings)
    assert ask(settings, STATE) == (1, 1, 1000)
    fresh = settings.published_path.with_name(f".{settings.published_path.name}.new")
    fresh.unlink(missing_ok=True)
    dying = "import duckdb, os, sys; duckdb.connect(sys.argv[1]).execute('create table half (n int)'); os._exit(9)"
    with other_process(dying, fresh) as ended:
        assert ended.wait() == 9
    assert fresh.exists()
    with warehouse.connect(settings, read_only=False) as connection:
        connection.execute("drop view marts.broken")
    build_marts(settings, 3)
    assert warehouse.publish(settings) == 2
    assert ask(settings, STATE) == (3, 3, 1000)


def test_names_with_quotes_are_paths_like_any_other(tmp_path: Path) -> None:
    """Catches: a folder called O'Brien that breaks the SQL, or worse."""
    settings = Settings.load(tmp_path / "o'brien", AS_OF)
    build_marts(settings, 1)
    warehouse.publish(settings)
    assert ask(settings, STATE) == (1, 1, 1000)


def test_a_mart_published_alone_leaves_the_others_as_they_were(engine: str, tmp_path: Path) -> None:
    """Catches: half a night shown by the refresh of the live mart, or a mart that it takes away."""
    settings = Settings.load(tmp_path, AS_OF)

    def build(night: int) -> None:
        with warehouse.connect(settings, read_only=False) as connection:
            connection.execute("create schema if not exists marts")
            for name in ("live_sales", "sales_daily"):
                connection.execute(f"drop table if exists marts.{name}")
                connection.execute(f"create table marts.{name} as select {night} as night")

    def shown() -> dict[str, int]:
        with warehouse.published(settings) as marts:
            assert marts is not None
            names = ("live_sales", "sales_daily")
            return {name: marts.execute(f"select night from {name}").fetchone()[0] for name in names}

    build(1)
    warehouse.publish(settings)
    build(2)
    assert warehouse.publish(settings, ["live_sales"]) == 1
    assert shown() == {"live_sales": 2, "sales_daily": 1}
    warehouse.publish(settings)
    assert shown() == {"live_sales": 2, "sales_daily": 2}


def test_a_view_of_marts_is_a_view_of_the_published_ones(engine: str, tmp_path: Path) -> None:
    """Catches: a view that is copied whole each night, that shows what is not published yet, or that an upgrade leaves
    behind; one that gives readers what is not published at all.
    """
    settings = Settings.load(tmp_path, AS_OF)

    def write(*statements: str) -> None:
        with warehouse.connect(settings, read_only=False) as connection:
            for statement in statements:
                connection.execute(statement)

    def shown() -> tuple[set[str], list[tuple[int, ...]]]:
        with warehouse.published(settings) as marts:
            assert marts is not None
            kinds = marts.execute(
                "select table_name from information_schema.tables "
                f"where table_schema = '{'marts' if settings.is_duckdb else 'published'}' and table_type = 'VIEW'"
            )
            views = {name for (name,) in kinds.fetchall()}
            return views, [marts.execute(f"select n from {name}").fetchone() for name in ("feed", "loose")]

    write("create schema raw_shop", "create table raw_shop.counter as select 1 as n", "create schema marts")
    write("create table marts.fct as select 1 as n", "create view marts.feed as select f.n from marts.fct as f")
    write("create view marts.loose as select n from raw_shop.counter")
    warehouse.publish(settings)
    assert shown() == ({"feed"}, [(1,), (1,)])
    write("update marts.fct set n = 2", "update raw_shop.counter set n = 2")
    assert shown() == ({"feed"}, [(1,), (1,)])
    warehouse.publish(settings)
    assert shown() == ({"feed"}, [(2,), (2,)])

    write("drop view marts.feed", "drop table marts.fct", "create table marts.fct as select 'x' as more, 3 as n")
    write("create view marts.feed as select f.n + 1 as n from marts.fct as f")
    warehouse.publish(settings)
    assert shown() == ({"feed"}, [(4,), (2,)])
    write("drop view marts.feed", "create table marts.feed as select 5 as n")
    warehouse.publish(settings)
    assert shown() == (set(), [(5,), (2,)])
    write("drop table marts.feed", "create view marts.feed as select n from marts.fct")
    warehouse.publish(settings)
    assert shown() == ({"feed"}, [(3,), (2,)])


def test_of_a_fact_that_is_built_by_day_the_days_built_since_are_published(engine: str, tmp_path: Path) -> None:
    """Catches: history copied every night; a day published half, late or twice; a fact that was made anew of which only
    some days are shown; a mart that is gone and still shown.
    """
    settings = Settings.load(tmp_path, AS_OF)
    days = [(outlet, date(2026, 4, day)) for outlet in ("A", "B") for day in (1, 2)]

    def build(night: int, version: int, made: str, touched: Iterable[tuple[str, date]]) -> None:
        """Every row says the night, also of days whose version stays: that is how those are seen that were copied."""
        with warehouse.connect(settings, read_only=False) as connection:
            for schema in ("marts", "intermediate"):
                connection.execute(f"create schema if not exists {schema}")
            connection.execute("drop table if exists marts.fct_checks")
            connection.execute("create table marts.fct_checks (outlet_id varchar, business_date date, night integer)")
            connection.execute(f"comment on table marts.fct_checks is 'c4 code {version} {made}'")
            connection.execute(
                f"create table if not exists {LEDGER} (outlet_id varchar, business_date date, version int)"
            )
            for day in days:
                connection.execute("insert into marts.fct_checks values (?, ?, ?)", [*day, night])
            for day in touched:
                connection.execute(f"delete from {LEDGER} where outlet_id = ? and business_date = ?", day)
                connection.execute(f"insert into {LEDGER} values (?, ?, ?)", [*day, version])
        warehouse.publish(settings)

    def shown() -> dict[tuple[str, date], int]:
        with warehouse.published(settings) as marts:
            assert marts is not None
            rows = marts.execute("select outlet_id, business_date, night from fct_checks").fetchall()
        assert len(rows) == len(days)
        return {(outlet, day): night for outlet, day, night in rows}

    build(1, 1, "first", days)
    assert set(shown().values()) == {1}
    build(2, 2, "first", days[1:3])
    assert shown() == {days[0]: 1, days[1]: 2, days[2]: 2, days[3]: 1}
    build(3, 2, "first", [])  # the file that is brought up to date may be the first one
    assert {day: night for day, night in shown().items() if day not in days[1:3]} == {days[0]: 1, days[3]: 1}
    build(4, 4, "first", days[:1])
    assert shown() == {days[0]: 4, days[1]: 2, days[2]: 2, days[3]: 1}
    build(5, 4, "again", [])
    assert set(shown().values()) == {5}
    build(6, 3, "again", [])  # the warehouse is an older one, from a backup
    assert set(shown().values()) == {6}
    with warehouse.connect(settings, read_only=False) as connection:
        connection.execute("drop table marts.fct_checks")
        connection.execute("create table marts.dim_outlets as select 1 as n")
    assert warehouse.publish(settings) == 1
    with warehouse.published(settings) as marts:
        assert marts is not None
        with pytest.raises((duckdb.Error, psycopg2.Error)):
            marts.execute("select * from fct_checks")


def test_a_published_file_that_cannot_be_read_is_made_anew(settings: Settings) -> None:
    """Catches: a damaged copy that every later night copies on."""
    build_marts(settings, 1)
    warehouse.publish(settings)
    settings.published_path.write_bytes(b"no database")
    build_marts(settings, 2)
    assert warehouse.publish(settings) == 2
    assert ask(settings, STATE) == (2, 2, 1000)
