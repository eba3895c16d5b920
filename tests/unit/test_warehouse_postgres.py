"""The warehouse in Postgres: who waits for whom, reference tables under views, readers of the published marts."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import dlt
import psycopg2
import pyarrow as pa
import pytest
from sqlalchemy import make_url

from assets import dbt
from ingestion.core import warehouse
from ingestion.core.settings import PROJECT_ROOT, Settings
from ingestion.core.warehouse import adbc
from tests import postgres as pg
from tests.readers import Reader, ask

AS_OF = datetime(2026, 4, 5, 22, tzinfo=UTC)
ROLE = "c4_unit_reader"


@pytest.fixture
def settings(tmp_path: Path, postgres: str) -> Iterator[Settings]:
    with pg.role(postgres, ROLE):
        yield replace(Settings.load(tmp_path, AS_OF), warehouse=postgres, reader_role=ROLE)


def query(settings: Settings, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    return pg.execute(settings.warehouse, statement, *parameters)


# Who waits for whom


def is_free(settings: Settings, dataset: str | None) -> bool:
    """Whether another thread could load (or build) now."""

    def attempt() -> bool:
        try:
            with warehouse.write_lock(settings, dataset):
                return True
        except warehouse.WarehouseBusyError:
            return False

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(attempt).result()


@pytest.mark.parametrize(
    ("held", "free", "taken"),
    [("raw_moka", ["raw_xero"], ["raw_moka", None]), (None, [], ["raw_moka", None])],
)
def test_loads_go_side_by_side_and_builds_alone(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, held: str | None, free: list[str], taken: list[str | None]
) -> None:
    """Catches: marts of which half saw a load; two accounts of a vendor in one staging table; vendors in a queue."""
    monkeypatch.setattr(warehouse.engine, "LOCK_TIMEOUT", 0.2)
    with warehouse.write_lock(settings, held):
        assert [is_free(settings, dataset) for dataset in free] == [True] * len(free)
        assert [is_free(settings, dataset) for dataset in taken] == [False] * len(taken)
        with warehouse.write_lock(settings, held), warehouse.connect(settings) as connection:  # it may nest
            assert connection.execute("select 1").fetchall() == [(1,)]
    assert is_free(settings, None)


def test_marts_are_not_read_in_the_middle_of_a_build(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: journals that look gone because dbt swapped their table under the snapshot that reads them."""
    monkeypatch.setattr(warehouse.engine, "LOCK_TIMEOUT", 0.2)

    def read() -> None:
        with warehouse.connect(settings):
            pass

    with warehouse.write_lock(settings), ThreadPoolExecutor(1) as pool, pytest.raises(warehouse.WarehouseBusyError):
        pool.submit(read).result()


def test_a_killed_holder_leaves_no_lock_behind(settings: Settings) -> None:
    """Catches: a warehouse that stays locked after a crash."""
    script = """
        import sys
        from datetime import UTC, datetime
        from ingestion.core import warehouse
        from ingestion.core.settings import Settings
        with warehouse.write_lock(Settings.load(sys.argv[1], datetime(2026, 4, 5, 22, tzinfo=UTC))):
            print("held", flush=True)
            sys.stdin.readline()
    """
    holder = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(settings.data)],
        cwd=PROJECT_ROOT,
        env={"C4_WAREHOUSE": settings.warehouse},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.kill()
    assert is_free(settings, None)


# Reading and writing


def test_a_restarted_server_is_loaded_again() -> None:
    """Catches: parquet loads that fail until the process is started again, for they share a database."""
    with pg.restartable_server() as server:
        for _ in range(2):
            with adbc.connect(server.url) as connection, connection.cursor() as cursor:
                cursor.adbc_ingest("loaded", pa.table({"n": [1]}), mode="create_append")
                connection.commit()
            server.crash()
            server.start()
        assert pg.execute(server.url, "select count(*) from loaded") == [(2,)]


def test_a_load_looks_up_what_it_replaces(settings: Settings) -> None:
    """Catches: a load of one day that passes over all of history, of every table, twice."""
    query(settings, "create schema raw_shop")
    for table, rows in (("sold", 200_000), ("staged", 10_000)):
        key = "select 'shop' as integration_id, md5(n::text) as root_id, n as c4_seq, repeat('x', 200) as text"
        query(settings, f"create table raw_shop.{table} as {key} from generate_series(1, {rows}) as n")
    warehouse.analyze(settings, "raw_shop", {name: ["integration_id", "root_id"] for name in ("sold", "staged")})
    replaced = (
        "explain delete from raw_shop.sold as d where exists (select 1 from raw_shop.staged as s "
        "where d.integration_id = s.integration_id and d.root_id = s.root_id)"
    )
    pipeline = dlt.pipeline("plans", destination=warehouse.destination(settings), dataset_name="raw_shop")
    with pipeline.sql_client() as client:
        plan = str(client.execute_sql(replaced))
    assert "Index Scan using sold_by_key" in plan
    assert "Nested Loop" in plan
    assert "Nested Loop" not in str(query(settings, replaced))  # as everybody else plans it


def test_what_is_written_is_read_again_and_a_failure_leaves_nothing(settings: Settings) -> None:
    """Catches: parameters that break at a per cent sign, local times, JSON amounts as floats, half a transaction."""
    with warehouse.connect(settings, read_only=False) as connection:
        connection.execute("create table t (a varchar, at timestamp with time zone, items jsonb)")
        connection.execute("insert into t values (?, ?, ?)", ["50 %", AS_OF, '[{"revenue": 0.10}]'])
    with warehouse.connect(settings) as connection:
        (row,) = warehouse.rows(
            connection, "select *, cast(at as varchar) as text from t where a like '50 %' and a = ?", ["50 %"]
        )
        assert row == {
            "a": "50 %",
            "at": AS_OF,
            "items": [{"revenue": Decimal("0.10")}],
            "text": "2026-04-05 22:00:00+00",
        }
        with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
            connection.execute("delete from t")

    def half() -> None:
        with warehouse.connect(settings, read_only=False) as connection:
            connection.execute("delete from t")
            connection.execute("select * from nowhere")

    with pytest.raises(psycopg2.errors.UndefinedTable):
        half()
    assert query(settings, "select count(*) from t") == [(1,)]


def table(**columns: list[Any]) -> pa.Table:
    kinds = {"amount": pa.decimal128(18, 6), "at": pa.timestamp("us", tz="UTC"), "day": pa.date32(), "on": pa.bool_()}
    return pa.table({name: pa.array(values, kinds.get(name, pa.string())) for name, values in columns.items()})


def test_reference_tables_are_replaced_under_the_views_that_read_them(settings: Settings) -> None:
    """Catches: models dropped with a table, empty text that becomes null, quotes and line ends that shift columns."""
    first = table(name=['a "b", c\n\\.', "", None], amount=[Decimal("1.5"), None, Decimal(-2)])
    warehouse.replace(settings, "raw_c4", {"accounts": first})
    query(settings, "create view reading as select name, amount from raw_c4.accounts")
    assert query(settings, "select * from reading") == list(zip(*first.to_pydict().values(), strict=True))
    second = table(name=["z"], amount=[Decimal(9)])
    warehouse.replace(settings, "raw_c4", {"accounts": second})
    assert query(settings, "select * from reading") == [("z", Decimal(9))]
    third = table(name=["y"], amount=[None], at=[AS_OF], day=[date(2026, 4, 5)], on=[True])  # the declaration grew
    warehouse.replace(settings, "raw_c4", {"accounts": third})
    assert query(settings, "select * from raw_c4.accounts") == [("y", None, AS_OF, date(2026, 4, 5), True)]
    warehouse.replace(settings, "raw_c4", {"accounts": third.slice(0, 0)})
    assert query(settings, "select * from raw_c4.accounts") == []


# Publishing


def build_marts(settings: Settings, version: int, *, rows: int = 300) -> None:
    """Two marts, swapped as dbt swaps them; every row carries the version, but for one that never changes."""
    with warehouse.write_lock(settings), warehouse.connect(settings, read_only=False) as connection:
        connection.execute("create schema if not exists marts")
        for name in ("sales_daily", "dim_outlets"):
            connection.execute(f"drop table if exists marts.{name}")
            connection.execute(
                f"create table marts.{name} as select n, case when n = 0 then null else {version} end as version, "
                f"cast(null as varchar) as note from generate_series(0, {rows - 1}) as n"
            )


STATE = """
    select min(version), max(version), count(*)
    from (select version from sales_daily union all select version from dim_outlets) as both_marts
"""


def test_nothing_is_published_before_the_first_night(settings: Settings) -> None:
    assert ask(settings, STATE) is None


def test_readers_never_see_half_a_publication_and_never_wait(settings: Settings) -> None:
    """Catches: a BI tool that fails, waits, or mixes two nights, while the next nights are published."""
    build_marts(settings, 0)
    assert warehouse.publish(settings) == 2
    with Reader(settings, STATE) as one, Reader(settings, STATE) as other:
        for version in range(1, 16):
            build_marts(settings, version)
            warehouse.publish(settings)
    for reader in (one, other):
        reader.saw_only([(version, version, 600) for version in range(16)])
    assert len({*one.seen, *other.seen}) > 1
    assert ask(settings, STATE) == (15, 15, 600)


def test_a_reader_in_a_transaction_keeps_its_night_and_its_views(settings: Settings) -> None:
    """Catches: tables that turn empty under a snapshot, or analysts' views that vanish, when they are replaced."""
    build_marts(settings, 1)
    warehouse.publish(settings)
    query(settings, "create view mine as select max(version) as version from published.sales_daily")
    with warehouse.published(settings) as marts:
        assert marts is not None
        assert marts.execute(STATE).fetchall() == [(1, 1, 600)]
        build_marts(settings, 2, rows=200)
        warehouse.publish(settings)
        assert marts.execute(STATE).fetchall() == [(1, 1, 600)]
    assert ask(settings, STATE) == (2, 2, 400)
    assert query(settings, "select version from mine") == [(2,)]


def test_only_rows_that_changed_are_written(settings: Settings) -> None:
    """Catches: a publication that rewrites years of history every night."""
    build_marts(settings, 1)
    warehouse.publish(settings)
    before = dict(query(settings, "select n, ctid::text from published.sales_daily"))
    query(settings, "update marts.sales_daily set version = 7 where n = 5")
    query(settings, "delete from marts.sales_daily where n = 6")
    warehouse.publish(settings)
    after = dict(query(settings, "select n, ctid::text from published.sales_daily"))
    assert {n for n, place in before.items() if after.get(n) != place} == {5, 6}
    assert query(settings, "select version from published.sales_daily where n = 5") == [(7,)]


def test_marts_that_are_new_gone_or_changed_follow(settings: Settings) -> None:
    """Catches: an upgrade after which readers see the old columns, a dead mart, or no mart at all."""
    build_marts(settings, 1)
    warehouse.publish(settings)
    query(settings, "alter table marts.sales_daily add column covers bigint default 4")
    query(settings, "drop table marts.dim_outlets")
    query(settings, "create table marts.dim_dates as select 1 as n")
    assert warehouse.publish(settings) == 2
    assert query(settings, "select distinct covers from published.sales_daily") == [(4,)]
    names = query(settings, "select table_name from information_schema.tables where table_schema = 'published'")
    assert sorted(names) == [("dim_dates",), ("sales_daily",)]
    for (name,) in names:
        assert query(settings, "select has_table_privilege(%s, %s, 'select')", ROLE, f"published.{name}") == [(True,)]


def test_months_are_published_as_partitions(settings: Settings) -> None:
    """Catches: a large fact that readers scan whole for one day, a month that finds no partition, partitions that
    readers see as tables, a published table that stays plain after the upgrade."""
    mart = "create table marts.fct_checks (outlet_id varchar, business_date date, n int)"
    partition = "create table {} partition of marts.fct_checks for values from ('{}') to ('{}')"
    for statement in ("create schema marts", "create schema partitions", mart):
        query(settings, statement)
    query(settings, "insert into marts.fct_checks values ('A', '2026-04-30', 1)")
    warehouse.publish(settings)  # before the upgrade
    query(settings, "drop table marts.fct_checks")
    query(settings, mart + " partition by range (business_date)")
    query(settings, partition.format("partitions.marts_fct_checks_2026_04", "2026-04-01", "2026-05-01"))
    query(settings, "insert into marts.fct_checks values ('A', '2026-04-30', 1)")
    assert warehouse.publish(settings) == 1
    query(settings, partition.format("partitions.marts_fct_checks_2026_05", "2026-05-01", "2026-06-01"))
    query(settings, "insert into marts.fct_checks values ('A', '2026-05-01', 2)")
    assert warehouse.publish(settings) == 1
    assert query(settings, "select n, tableoid::regclass::text from published.fct_checks order by 1") == [
        (1, "partitions.published_fct_checks_2026_04"),
        (2, "partitions.published_fct_checks_2026_05"),
    ]
    assert query(settings, "select has_table_privilege(%s, 'published.fct_checks', 'select')", ROLE) == [(True,)]
    assert query(settings, "select has_schema_privilege(%s, 'partitions', 'usage')", ROLE) == [(False,)]
    plan = query(
        settings,
        "explain select * from published.fct_checks where outlet_id = 'A' and business_date = date '2026-05-01'",
    )
    assert "2026_04" not in str(plan)
    indexes = query(settings, "select indexdef from pg_indexes where schemaname = 'partitions'")
    assert len([definition for (definition,) in indexes if "(outlet_id, business_date)" in definition]) == 2


def test_a_publication_that_fails_leaves_the_old_one(settings: Settings) -> None:
    """Catches: no marts, or half of them, in the morning because last night's publication broke off."""
    build_marts(settings, 1)
    warehouse.publish(settings)
    build_marts(settings, 2)
    query(settings, "create schema raw_shop; create table raw_shop.counts as select 1 as n")
    query(settings, "create view marts.zero as select 1 / (n - n) as broken from raw_shop.counts")
    with pytest.raises(psycopg2.errors.DivisionByZero):
        warehouse.publish(settings)
    assert ask(settings, STATE) == (1, 1, 600)


def test_a_view_that_would_read_the_marts_themselves_is_not_published(settings: Settings) -> None:
    """Catches: readers who see half of a build through a view in which Postgres names a mart with its schema."""
    build_marts(settings, 1)
    step = "with sales_daily as (select * from marts.sales_daily) select count(*) as n from sales_daily"
    query(settings, f"create view marts.counted as {step}")
    with pytest.raises(RuntimeError, match="counted reads marts by its name"):
        warehouse.publish(settings)
    query(settings, f"create or replace view marts.counted as {step.replace('sales_daily as', 's as')[:-11]}s")
    warehouse.publish(settings)
    assert ask(settings, "select n from counted") == ask(settings, "select count(*) from sales_daily")


def test_a_role_that_may_not_be_made_is_asked_for(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    """Catches: a night that fails because the database gives the platform no right to make roles."""
    with pg.role(settings.warehouse, "c4_unit_owner"):
        query(settings, "create role c4_unit_owner login nosuperuser")
        query(settings, f"alter database {make_url(settings.warehouse).database} owner to c4_unit_owner")
        plain = replace(
            settings,
            warehouse=make_url(settings.warehouse).set(username="c4_unit_owner").render_as_string(hide_password=False),
        )
        build_marts(plain, 1)
        assert warehouse.publish(plain) == 2
        assert f'create role "{ROLE}"' in caplog.text
        query(settings, f"create role {ROLE}")
        warehouse.publish(plain)
        assert query(settings, "select has_table_privilege(%s, 'published.sales_daily', 'select')", ROLE) == [(True,)]


def test_a_login_made_as_the_document_says_reads_the_marts_and_nothing_else(settings: Settings) -> None:
    """Catches: a recipe in docs/bi-tools.md that does not work, or that opens raw data to a BI tool."""
    build_marts(settings, 1)
    warehouse.publish(settings)
    query(settings, "create schema raw_shop")
    query(settings, "create table raw_shop.checks as select 1 as n")
    document = (PROJECT_ROOT / "docs" / "bi-tools.md").read_text(encoding="utf-8")
    recipe = document.split("```")[1].strip().rstrip(";").split(";\n")
    assert len(recipe) == 4
    login, url = f"{ROLE}_login", make_url(settings.warehouse)
    names = {"metabase": login, "c4_reader": ROLE, "database c4": f"database {url.database}", "'...'": "'secret'"}
    with pg.role(settings.warehouse, login):
        for statement in recipe:
            for name, ours in names.items():
                statement = statement.replace(name, ours)
            query(settings, statement)
        reader = url.set(username=login, password="secret").render_as_string(hide_password=False)
        assert pg.execute(reader, "select count(*) from sales_daily") == [(300,)]
        assert pg.execute(reader, "show timezone") == [("UTC",)]
        for denied in (
            "select * from marts.sales_daily",
            "select * from raw_shop.checks",
            "delete from sales_daily",
            "create table published.mine (n int)",
        ):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                pg.execute(reader, denied)


# Secrets


def test_the_password_stays_out_of_places_and_command_lines(settings: Settings) -> None:
    """Catches: a password in `c4 status`, in Dagster's metadata, or in dbt's logs."""
    url = make_url(settings.warehouse).set(password="s3cret")
    secret = replace(settings, warehouse=url.render_as_string(hide_password=False))
    assert "s3cret" not in warehouse.place(secret) + warehouse.published_place(secret) + repr(secret)
    environment = dbt.environment(secret)
    assert [name for name, value in environment.items() if "s3cret" in value] == ["DBT_ENV_SECRET_C4_PG_PASSWORD"]
    with closing(psycopg2.connect(secret.warehouse)):
        dbt.run(environment, ["debug", "--connection"])
    for path in secret.data.rglob("*"):
        assert not path.is_file() or b"s3cret" not in path.read_bytes(), path
