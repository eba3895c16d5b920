"""The same nights on DuckDB and on Postgres: the same marts to the rupiah, readers that never notice a build."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
import pytest
import yaml

from assets import dbt
from ingestion.core import warehouse
from ingestion.core.registry import connectors
from ingestion.core.settings import PROJECT_ROOT
from orchestration.cli.status import outlet_days, run_query
from tests import postgres as pg
from tests.dbt_runner import Runner
from tests.e2e.conftest import READER_ROLE
from tests.e2e.nights import Nights
from tests.stand import Stand

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("night")]
CHECKS = ("checks", "check_lines", "check_payments")


def test_every_row_of_every_mart_is_the_same(nights_on_duckdb: Nights, nights_on_postgres: Nights) -> None:
    """Catches: a rounding, a sort order, a time zone or a null that one engine sees otherwise."""
    ours, theirs = nights_on_duckdb.rows, nights_on_postgres.rows
    assert ours.keys() == theirs.keys()
    for name, rows in ours.items():
        assert theirs[name] == rows, name
    for name in ("sales_daily", "journal_lines", "trial_balance", "transactions_c4", "budget_vs_actual"):
        assert ours[name], f"{name} is empty and proves nothing"


def test_the_marts_on_postgres_are_the_truth(nights_on_postgres: Nights) -> None:
    """Catches: both engines wrong in the same way."""
    assert nights_on_postgres.untrue == []


@pytest.mark.parametrize("engine", ["duckdb", "postgres"])
def test_a_reader_sees_whole_nights_only(request: pytest.FixtureRequest, engine: str) -> None:
    """Catches: a query that fails, waits or mixes two states while a night loads, builds and publishes."""
    nights: Nights = request.getfixturevalue(f"nights_on_{engine}")
    assert len(set(nights.committed)) == 2, "the second night changed nothing"
    nights.reader.saw_only(nights.committed)
    assert nights.reader.asked > 20
    assert nights.committed[0] in nights.reader.seen


@pytest.mark.parametrize("engine", ["duckdb", "postgres"])
def test_staging_from_a_delivery_on_is_staging_of_its_checks(request: pytest.FixtureRequest, engine: str) -> None:
    """Catches: a vendor whose lines or payments do not carry the delivery of their check, so that models of recent
    checks miss some; a filter that bites on nothing.
    """
    if engine == "duckdb":
        chosen = request.getfixturevalue("group").settings()
    else:
        url, _ = request.getfixturevalue("postgres_nights")
        chosen = replace(request.getfixturevalue("group").settings(), warehouse=url)
    with warehouse.connect(chosen, read_only=False) as connection:
        connection.execute(
            "create temporary table chosen as "
            "select integration_id, check_id, c4_seq from intermediate.int_unified__checks"
        )
        ((first,),) = connection.execute(
            "select percentile_disc(0.5) within group (order by c4_seq) from chosen"
        ).fetchall()
        connection.execute(f"delete from chosen where c4_seq < {first}")
        whole, all_of = rows_of_checks(connection), counts(connection)
        connection.execute(
            f"set variable c4_first_delivery = {first}"
            if engine == "duckdb"
            else f"select set_config('c4.first_delivery', '{first}', false)"
        )
        assert rows_of_checks(connection) == whole
        for name, count in counts(connection).items():
            assert 0 < len(whole[name]) <= count < all_of[name], name


def test_the_unit_tests_of_models_pass_on_postgres(
    group: Stand, postgres_nights: tuple[str, Nights], tmp_path: Path
) -> None:
    """Catches: a rule that only DuckDB follows. (On DuckDB, test_dbt_project.py runs them.)"""
    variables = dbt.environment(replace(group.settings(), warehouse=postgres_nights[0]), connectors().values())
    statuses = Runner(tmp_path, dbt.PROJECT_DIR).run(variables, "test", "--select", "test_type:unit")
    found = [status for node, status in statuses.items() if node.startswith("unit_test.")]
    assert len(found) >= 15
    assert set(found) == {"pass"}


OTHER_VALUE = {  # what another value of a column is, for every other row
    "BOOLEAN": "not {}",
    "VARCHAR": "{} || 'x'",
    "TIMESTAMP WITH TIME ZONE": "{} - interval '1 day'",
}


def test_no_check_is_made_of_what_a_list_s_hash_leaves_out(group: Stand) -> None:
    """Catches: a column of a vendor's list that `checks_without` names although staging makes checks of it: a change of
    it would leave the kept checks as they were.
    """
    left_out = list(columns_left_out())
    assert len({dataset for dataset, _, _ in left_out}) > 4
    with duckdb.connect(str(group.settings().warehouse_path)) as connection:
        connection.execute("begin")
        queries = {name: f"from intermediate.int_unified__{name} order by all" for name in CHECKS}
        before = {name: connection.execute(query).fetchall() for name, query in queries.items()}
        for dataset, table, column in left_out:
            ((kind,),) = connection.execute(
                "select data_type from information_schema.columns "
                "where table_schema = ? and table_name = ? and column_name = ?",
                [dataset, table, column],
            ).fetchall()
            value = OTHER_VALUE.get(kind, "{} + 1").format(f'"{column}"')
            connection.execute(f'update {dataset}.{table} set "{column}" = {value} where rowid % 2 = 0')
        for name, rows in before.items():
            assert connection.execute(queries[name]).fetchall() == rows, name
        connection.execute("rollback")


def columns_left_out() -> Iterator[tuple[str, str, str]]:
    for path in (PROJECT_ROOT / "dbt_project/models/staging").glob("*/_*__sources.yml"):
        for source in yaml.safe_load(path.read_text())["sources"]:
            for table in source["tables"]:
                for column in table["config"]["meta"].get("checks_without", ()):
                    yield source["name"], table["name"], column


def counts(connection: warehouse.Connection) -> dict[str, int]:
    found = {}
    for name in CHECKS:
        ((found[name],),) = connection.execute(f"select count(*) from intermediate.int_unified__{name}").fetchall()
    return found


def rows_of_checks(connection: warehouse.Connection) -> dict[str, list[str]]:
    """Checks of the temporary table `chosen`, their lines and payments."""
    found = {}
    for name in CHECKS:
        rows = connection.execute(
            f"select t.* from intermediate.int_unified__{name} as t "
            "inner join chosen as c on c.integration_id = t.integration_id and c.check_id = t.check_id"
        ).fetchall()
        found[name] = sorted(map(str, rows))
    return found


def test_the_command_line_answers_alike(
    group: Stand, postgres_nights: tuple[str, Nights], capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches: a command that only one engine understands; one that changes what it reads."""
    settings = {"duckdb": group.settings(), "postgres": replace(group.settings(), warehouse=postgres_nights[0])}
    answers = {}
    for engine, chosen in settings.items():
        question = "select outlet_id, business_date, net_sales, checks from sales_daily order by 1, 2"
        assert run_query(chosen, question, limit=4, as_json=True) == 0
        answers[engine] = (json.loads(capsys.readouterr().out), outlet_days(chosen))
        assert run_query(chosen, "delete from sales_daily", limit=4, as_json=True) == 1
        assert run_query(chosen, "select nothing from sales_daily", limit=4, as_json=True) == 1
        capsys.readouterr()  # the errors, in each engine's own words
    assert len(answers["duckdb"][0]) == 4
    assert answers["duckdb"] == answers["postgres"]


def test_the_reader_role_sees_the_published_marts_and_nothing_else(postgres_nights: tuple[str, Nights]) -> None:
    """Catches: raw data, credentials or the outbox open to every BI tool; a role that can write."""
    url, _ = postgres_nights
    visible = pg.execute(
        url,
        "select distinct relnamespace::regnamespace::text from pg_class where relkind in ('r', 'v') "
        "and has_schema_privilege(%s, relnamespace, 'usage') and has_table_privilege(%s, oid, 'select')",
        READER_ROLE,
        READER_ROLE,
    )
    assert {schema for (schema,) in visible} == {"published", "information_schema", "pg_catalog"}
    assert as_reader(url, "select count(*) from published.sales_daily") > 0
    for table in ("marts.sales_daily", "raw_c4.outbox", "raw_moka.transactions", "public.credentials"):
        pg.execute(url, f"select count(*) from {table}")  # it is there
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
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"set role {READER_ROLE}")
            cursor.execute(statement)
            return cursor.fetchone()[0] if cursor.description else None
    finally:
        connection.close()
