"""Facts built by outlet-day equal a full build, after every kind of late change and after a build that was killed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
import yaml

from assets import dbt
from ingestion.core import warehouse
from ingestion.core.settings import Settings
from ingestion.sandbox.company import Company
from tests.unit.test_dbt_project import Warehouse, copy_project, create_tables, put_company, put_sales

pytestmark = pytest.mark.xdist_group("dbt")

BY_DAY = "config.materialized:by_day int_sales__cash_counts transactions_c4"
BEFORE = (  # what says of what a day is made, with the views that Postgres drops with a table below them
    "int_sales__staged_checks int_outlets__dates int_outlets__calendar int_outlets__windows int_mapping__codes "
    "int_mapping__product_costs int_mapping__accounts int_sales__located_checks int_sales__placed_checks fct_punches "
    "int_outlets__day_versions int_sales__checks"
)
KEPT = (  # files and folders of the project that the facts are made of
    "outlets", "mapping", "sales", "unified", "hand", "int_labor__punches", "fct_punches", "journal_line_sources",
    "int_close__journal_totals", "_groups", "_raw_c4", "_intermediate", "_labor", "_journals",
)  # fmt: skip
DROPPED = ("_unit_tests", "int_mapping__exceptions")
FACTS = (
    "fct_checks", "fct_check_lines", "fct_check_payments", "transactions_c4", "journal_line_sources", "sales_daily",
    "sales_by_channel", "sales_by_daypart", "sales_by_hour", "sales_by_product", "sales_by_tender",
)  # fmt: skip
WHOLE = "outlet_days_at_a_time: 2000"
UNPUBLISHED = ("int_close__journal_totals", "int_mapping__exceptions_daily")


@dataclass
class Stand:
    """The hand-written vendor of test_dbt_project, its raw rows in a file of their own; given to either engine."""

    settings: Settings
    house: Warehouse

    def give(self) -> None:
        """Put the raw rows as they are now into the warehouse."""
        with duckdb.connect(str(self.house.path), read_only=True) as source:
            source.execute("set timezone = 'UTC'")
            for dataset in ("raw_hand", "raw_c4"):
                names = source.execute(
                    "select table_name from information_schema.tables where table_schema = ?", [dataset]
                ).fetchall()
                tables = {name: source.sql(f'from {dataset}."{name}"').to_arrow_table() for (name,) in names}
                warehouse.replace(self.settings, dataset, tables)

    def build(self, select: str, *arguments: str) -> None:
        variables = {**os.environ, **dbt.environment(self.settings), "C4_VENDORS": ""}
        with warehouse.write_lock(self.settings):
            dbt.run(variables, ["run", *arguments, "--select", *select.split()])
        warehouse.publish(self.settings)

    def facts(self) -> dict[str, list[str]]:
        """Every row of what is built by day; facts are those that are published."""
        with warehouse.connect(self.settings) as connection:
            built = _rows(connection, FACTS, "marts.")
            between = _rows(connection, UNPUBLISHED, "intermediate.")
        with warehouse.published(self.settings) as marts:
            assert marts is not None
            assert _rows(marts, FACTS) == built
        return built | between

    def versions(self) -> list[int]:
        """Of the days with sales."""
        with warehouse.connect(self.settings) as connection:
            found = connection.execute(
                "select distinct v.version from intermediate.int_outlets__day_versions as v "
                "inner join marts.sales_daily as s using (outlet_id, business_date) order by 1"
            ).fetchall()
            return [version for (version,) in found]


def _rows(connection: warehouse.Connection, names: Sequence[str], schema: str = "") -> dict[str, list[str]]:
    return {
        name: sorted(str(row) for row in connection.execute(f"select * from {schema}{name}").fetchall())
        for name in names
    }


@pytest.fixture
def stand(tmp_path: Path, engine: str, monkeypatch: pytest.MonkeyPatch) -> Stand:
    company = Company.build(outlets=3, checks_per_day=6)
    house = Warehouse(tmp_path / "hand", company, company.nights()[-2])
    copy_project(house.project)
    shutil.rmtree(house.project / "models" / "semantic")  # it speaks of marts that are not among these
    for file in (house.project / "models").rglob("*"):
        needed = (file.stem in KEPT or file.parent.name in KEPT) and file.stem not in DROPPED
        if file.is_file() and not needed:
            file.unlink()
    project = house.project / "dbt_project.yml"
    assert WHOLE in project.read_text()
    project.write_text(project.read_text().replace(WHOLE, "outlet_days_at_a_time: 4"))
    create_tables(house, company.config)
    put_company(house)
    settings = Settings.load(tmp_path, house.now)
    assert settings.is_duckdb == (engine == "duckdb")
    monkeypatch.setattr(dbt, "PROJECT_DIR", house.project)
    return Stand(settings, house)


def test_days_built_alone_equal_a_full_build(stand: Stand) -> None:
    """Catches: a day that a void, a record taken back, a changed mapping, a new outlet or a mended reject leaves alone;
    rows of a day that stay beside the new ones; a killed build whose later models miss what its earlier ones have; days
    that are lost or doubled between two statements."""
    house = stand.house
    house.execute("delete from raw_c4.code_mapping where domain = 'tender' and canonical = 'ewallet'")
    stand.give()
    stand.build(f"+config.materialized:by_day {BY_DAY}")
    first = stand.facts()
    assert all(first.values())
    assert stand.versions() == [1]

    # what became known late (voids, refunds, a check), a record taken back, an outlet that is no longer ours, a tender
    # mapped anew: and the build is killed on its way
    outlet = house.company.outlets[-1].outlet_id
    put_sales(house, house.company.nights()[-1])
    (taken,) = house.query("select * from raw_hand.checks order by check_id limit 1")
    house.execute("delete from raw_hand.checks where check_id = ?", taken["check_id"])
    outlets = house.query("select * from raw_c4.integration_outlets where outlet_id = ?", outlet)
    house.execute("delete from raw_c4.integration_outlets where outlet_id = ?", outlet)
    house.execute(
        "update raw_c4.code_mapping set canonical = 'voucher' where domain = 'tender' and canonical = 'cash' "
        "and vendor in ('*', 'moka')"
    )
    stand.give()
    with warehouse.connect(stand.settings, read_only=False) as connection:  # as before an upgrade
        connection.execute("alter table intermediate.int_outlets__day_versions drop column first_delivery")
    stand.build(f"{BEFORE} fct_check_payments fct_check_lines")

    # the record comes after all, as a replayed reject does, and the outlet is new with its history
    house.insert("raw_hand.checks", [taken])
    house.insert("raw_c4.integration_outlets", outlets)
    stand.give()
    stand.build(f"{BEFORE} {BY_DAY}")
    by_days = stand.facts()
    assert len(stand.versions()) > 1
    stand.build(f"{BEFORE} {BY_DAY}", "--full-refresh", "--vars", f"{{{WHOLE}}}")
    for name, rows in stand.facts().items():
        assert by_days[name] == rows, name
        assert first[name] != rows, f"{name} did not change and proves nothing"


MANY = 1_000_000  # rows of a day with sales


def outlet_days(version: int, first: int, last: int) -> str:
    """SQL for one outlet's days from `first` up to, not including, `last`."""
    date = "date '2026-04-01' + d::int as business_date"
    return f"select 'JKT-001' as outlet_id, {date}, {version} as version from range({first}, {last}) as t (d)"


def test_days_after_days_without_rows_are_seen_at_once(tmp_path: Path) -> None:
    """Catches: models that find nothing in a fact of this very build, because its first days had no rows (DuckDB)."""
    from tests.dbt_runner import Runner  # a process that only collects the tests goes without dbt

    project, path = tmp_path / "project", tmp_path / "warehouse.duckdb"
    shutil.copytree(dbt.PROJECT_DIR / "macros", project / "macros")
    shutil.copy(dbt.PROJECT_DIR / "profiles.yml", project)
    declared = {"name": "c4", "version": "1.0.0", "profile": "c4", "vars": {"outlet_days_at_a_time": 1, "vendors": {}}}
    columns = {"outlet_id": "varchar", "business_date": "date", "n": "bigint"}
    listed = [{"name": name, "data_type": kind} for name, kind in columns.items()]
    for name, text in {
        "dbt_project.yml": yaml.safe_dump(declared),
        "models/models.yml": yaml.safe_dump({"models": [{"name": "fct_sold", "columns": listed}]}),
        "models/int_outlets__day_versions.sql": "select * from main.outlet_days",
        "models/fct_sold.sql": "{{ config(materialized='by_day') }} select * from sold where {{ touched('sold') }}",
        "models/fct_seen.sql": "{{ config(materialized='table') }} select * from {{ ref('fct_sold') }} where n = 0",
    }.items():
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text(text)
    runner = Runner(tmp_path, project)
    for build in (1, 2):  # four days more each, with sales on the last one alone
        last = 4 * build
        with duckdb.connect(str(path)) as connection:
            connection.execute(f"create table if not exists outlet_days as {outlet_days(0, 0, 0)}")
            connection.execute(f"insert into outlet_days {outlet_days(build, last - 4, last)}")
            connection.execute("create table if not exists sold (outlet_id varchar, business_date date, n bigint)")
            day = outlet_days(build, last - 1, last)
            connection.execute(
                f"insert into sold select outlet_id, business_date, n from ({day}), range({MANY}) as r (n)"
            )
        runner.run({"C4_DBT_DUCKDB_PATH": str(path)}, "run")
        with duckdb.connect(str(path), read_only=True) as connection:
            assert connection.execute("select count(*) from marts.fct_seen").fetchone() == (build,)
