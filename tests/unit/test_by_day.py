"""Facts built by outlet-day equal a full build, after every kind of late change and after a build that was killed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest
import yaml

from assets import dbt
from ingestion.core import warehouse
from ingestion.core.settings import Settings
from ingestion.sandbox.company import Company
from tests.unit.test_dbt_project import Warehouse, copy_project, create_tables, put_company, put_sales

if TYPE_CHECKING:
    from tests.dbt_runner import Runner

pytestmark = pytest.mark.xdist_group("dbt")

BY_DAY = "config.materialized:by_day fct_transactions transactions_c4 journal_line_sources"  # with views of facts
BEFORE = (  # what says of what a day is made, with the views that Postgres drops with a table below them
    "dim_entities int_sales__staged_checks int_sales__traded_dates int_outlets__dates dim_outlet_dates "
    "int_outlets__windows int_outlets__places int_mapping__codes "
    "int_mapping__product_costs dim_account_mapping int_sales__located_checks int_sales__placed_days "
    "int_sales__stand_ins int_sales__placed_checks fct_punches int_outlets__day_versions int_sales__checks"
)
KEPT = (  # files and folders of the project that the facts are made of
    "outlets", "mapping", "sales", "unified", "hand", "int_labor__punches", "fct_punches", "journal_line_sources",
    "int_close__journal_totals", "int_close__taxed_days", "int_close__control_sums", "dim_entities", "dim_outlet_dates",
    "dim_account_mapping", "journal_lines", "labor_daily", "kpis_daily", "_operations", "_groups", "_raw_c4",
    "_intermediate", "_labor", "_journals", "_core",
)  # fmt: skip
DROPPED = ("_unit_tests", "int_mapping__exceptions")
FACTS = (
    "fct_checks", "fct_check_lines", "fct_check_payments", "transactions_c4", "journal_line_sources", "sales_daily",
    "sales_by_channel", "sales_by_daypart", "sales_by_hour", "sales_by_product", "sales_by_tender", "cash_counts",
    "labor_daily", "kpis_daily", "journal_lines",
)  # fmt: skip
WHOLE = "outlet_days_at_a_time: 2000"
UNPUBLISHED = (
    "int_close__journal_totals", "int_close__taxed_days", "int_close__control_sums", "int_mapping__exceptions_daily",
)  # fmt: skip


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
    # mapped anew, a till counted again: and the build is killed on its way
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
    house.execute("update raw_c4.cash_counts set counted_cash = counted_cash + 1000")
    stand.give()
    with warehouse.connect(stand.settings, read_only=False) as connection:  # as before an upgrade
        for column in ("first_delivery", "last_delivery"):
            connection.execute(f"alter table intermediate.int_outlets__day_versions drop column {column}")
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
BY_DAY_OF_SOLD = "{{ config(materialized='by_day') }} select * from sold where {{ touched('sold') }}"


@dataclass
class Shop:
    """A project of one fact by outlet-day, `fct_sold`, over tables of a DuckDB file."""

    folder: Path
    runner: Runner | None = None

    @property
    def path(self) -> Path:
        return self.folder / "warehouse.duckdb"

    def write(self, **models: str) -> None:
        """The project anew: its fact, a data test of that, and `models`."""
        project = self.folder / "project"
        shutil.rmtree(project, ignore_errors=True)
        for part in ("macros", "tests/generic"):
            shutil.copytree(dbt.PROJECT_DIR / part, project / part)
        shutil.copy(dbt.PROJECT_DIR / "profiles.yml", project)
        given = yaml.safe_load((dbt.PROJECT_DIR / "dbt_project.yml").read_text())
        declared = {name: given[name] for name in ("name", "version", "profile", "on-run-end")}
        declared["vars"] = {"outlet_days_at_a_time": 1, "vendors": {}}
        columns = {"outlet_id": "varchar", "business_date": "date", "n": "bigint"}
        fact = {
            "name": "fct_sold",
            "columns": [{"name": name, "data_type": kind} for name, kind in columns.items()],
            "data_tests": [{"unique_in_day": {"arguments": {"columns": list(columns)}}}],
        }
        texts = {"int_outlets__day_versions": "select * from main.outlet_days", "fct_sold": BY_DAY_OF_SOLD} | models
        (project / "models").mkdir()
        (project / "dbt_project.yml").write_text(yaml.safe_dump(declared))
        (project / "models" / "models.yml").write_text(yaml.safe_dump({"models": [fact]}))
        for name, text in texts.items():
            (project / "models" / f"{name}.sql").write_text(text)
        from tests.dbt_runner import Runner  # a process that only collects the tests goes without dbt

        self.runner = Runner(self.folder, project)
        self.sql(
            "create table if not exists outlet_days (outlet_id varchar, business_date date, version bigint)",
            "create table if not exists sold (outlet_id varchar, business_date date, n bigint)",
        )

    def touch(self, version: int, *days: int) -> None:
        for day in days:
            date = f"date '2026-04-01' + {day}"
            self.sql(
                f"delete from outlet_days where business_date = {date}",
                f"insert into outlet_days values ('JKT-001', {date}, {version})",
            )

    def sell(self, day: int, numbers: str) -> None:
        """`numbers` is SQL for a list of them."""
        self.sql(f"insert into sold select 'JKT-001', date '2026-04-01' + {day}, unnest({numbers})")

    def sql(self, *statements: str) -> None:
        with duckdb.connect(str(self.path)) as connection:
            for statement in statements:
                connection.execute(statement)

    def build(self, *arguments: str) -> None:
        assert self.runner is not None
        self.runner.run({"C4_DBT_DUCKDB_PATH": str(self.path)}, "build", *arguments)

    def count(self, table: str) -> int:
        with duckdb.connect(str(self.path), read_only=True) as connection:
            (found,) = connection.execute(f"select count(*) from marts.{table}").fetchall()
            return int(found[0])


def test_days_after_days_without_rows_are_seen_at_once(tmp_path: Path) -> None:
    """Catches: models that find nothing in a fact of this very build, because its first days had no rows (DuckDB)."""
    shop = Shop(tmp_path)
    shop.write(fct_seen="{{ config(materialized='table') }} select * from {{ ref('fct_sold') }} where n = 0")
    for build in (1, 2):  # four days more each, with sales on the last one alone
        last = 4 * build
        shop.touch(build, *range(last - 4, last))
        shop.sell(last - 1, f"range({MANY})")
        shop.build()
        assert shop.count("fct_seen") == build


def test_a_data_test_holds_the_days_that_it_has_not_passed(tmp_path: Path) -> None:
    """Catches: a night that reads all of history for its tests; a day whose test failed, and that the next night lets
    pass because it was built before."""
    shop = Shop(tmp_path)
    shop.write()
    shop.touch(1, 0, 1)
    shop.sell(0, "[1, 2]")
    shop.build()
    shop.sell(0, "[1]")  # not told by the ledger, so neither built nor tested
    shop.touch(2, 2)
    shop.sell(2, "[5, 5]")
    for _ in range(2):
        with pytest.raises(AssertionError, match="unique_in_day"):
            shop.build()
    shop.sql("delete from sold where n = 5")
    shop.sell(2, "[5]")
    shop.touch(3, 2)
    shop.build()
    with pytest.raises(AssertionError, match="unique_in_day"):
        shop.build("--full-refresh")


def test_a_fact_is_made_anew_when_a_view_that_it_reads_says_something_else(tmp_path: Path) -> None:
    """Catches: an upgrade that leaves old days as the old view had them."""
    shop = Shop(tmp_path)
    fact = BY_DAY_OF_SOLD.replace("from sold", "from {{ ref('int_sold') }} as sold")
    shop.write(fct_sold=fact, int_sold="select * from sold where n < 100")
    shop.touch(1, 0)
    shop.sell(0, "[1, 20, 300]")
    shop.build()
    assert shop.count("fct_sold") == 2
    shop.write(fct_sold=fact, int_sold="select * from sold where n < 10")
    shop.build()
    assert shop.count("fct_sold") == 1
