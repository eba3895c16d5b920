"""Facts built by outlet-day equal a full build, after every kind of late change and after a build that was killed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from assets import dbt
from ingestion.core import warehouse
from ingestion.core.settings import Settings
from tests.e2e.nights import Nights
from tests.stand import Stand

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("night")]

UPSTREAM = (  # the tables that are made before the days are told; views follow by themselves
    "int_outlets__calendar int_mapping__codes int_mapping__product_costs int_mapping__accounts int_sales__checks "
    "fct_punches int_outlets__day_versions"
)
BY_DAY = "config.materialized:by_day"
CHANGED = ("raw_moka.transactions", "raw_c4.integration_outlets", "raw_c4.code_mapping")


@dataclass
class Facts:
    """One engine's warehouse after the nights, whose raw rows a test may change."""

    settings: Settings

    def build(self, *arguments: str, select: str = f"{UPSTREAM} {BY_DAY}") -> None:
        variables = {**os.environ, **dbt.environment(self.settings)}
        with warehouse.write_lock(self.settings):
            dbt.run(variables, ["run", *arguments, "--select", *select.split()])

    def query(self, sql: str) -> list[dict[str, Any]]:
        with warehouse.connect(self.settings) as connection:
            return warehouse.rows(connection, sql)

    def execute(self, *statements: str) -> None:
        with warehouse.connect(self.settings, read_only=False) as connection:
            for statement in statements:
                connection.execute(statement)

    def rows(self) -> dict[str, list[str]]:
        """Every row of every table that is built by day, sorted."""
        nodes = json.loads(dbt.manifest_path(self.settings).read_bytes())["nodes"].values()
        facts = [node for node in nodes if node["config"].get("materialized") == "by_day"]
        assert len(facts) > 10
        return {
            node["name"]: sorted(str(row) for row in self.query(f'select * from {node["schema"]}."{node["name"]}"'))
            for node in facts
        }


@pytest.fixture(params=["duckdb", "postgres"])
def facts(request: pytest.FixtureRequest, group: Stand, postgres_nights: tuple[str, Nights]) -> Iterator[Facts]:
    """The raw rows are put back at the end, and the tables brought to them."""
    settings = group.settings()
    if request.param == "postgres":
        settings = replace(settings, warehouse=postgres_nights[0])
    facts = Facts(settings)
    facts.execute("create schema aside", *(f"create table {aside(name)} as select * from {name}" for name in CHANGED))
    yield facts
    for name in CHANGED:
        put_back(facts, name)
    facts.execute("drop schema aside cascade")
    facts.build()


def aside(name: str) -> str:
    return "aside." + name.partition(".")[2]


def put_back(facts: Facts, name: str) -> None:
    facts.execute(f"delete from {name}", f"insert into {name} select * from {aside(name)}")


def test_days_built_alone_equal_a_full_build(facts: Facts) -> None:
    """Catches: a day that a void, a record taken back, a changed mapping, a new outlet or a mended reject leaves alone;
    rows of a day that stay beside the new ones; a killed build whose later models miss what its earlier ones have."""
    after_the_nights = facts.rows()
    days = "select count(distinct s.version) as n from intermediate.int_outlets__day_versions as s "
    assert facts.query(days + "inner join marts.sales_daily using (outlet_id, business_date)")[0]["n"] > 1, (
        "the second night touched every day"
    )
    (outlet,) = facts.query(
        "select max(outlet_id) as id from marts.fct_checks where integration_id in "
        "(select integration_id from raw_c4.integrations where vendor = 'moka')"
    )

    # a void after posting, a record taken back, a mapping changed, an outlet gone: and the build is killed on its way
    facts.execute(
        "update raw_moka.transactions set is_deleted = true where id = (select max(id) from raw_moka.transactions)",
        "delete from raw_moka.transactions where id = (select min(id) from raw_moka.transactions)",
        "update raw_c4.code_mapping set canonical = 'voucher' where domain = 'tender' and canonical = 'cash'",
        f"delete from raw_c4.integration_outlets where outlet_id = '{outlet['id']}'",
    )
    facts.build(select=f"{UPSTREAM} fct_check_payments fct_check_lines")
    # the outlet is new, its history with it, while the other changes stay
    put_back(facts, "raw_c4.integration_outlets")
    facts.build()
    by_days = facts.rows()
    facts.build("--full-refresh")
    whole = facts.rows()
    for name, rows in whole.items():
        assert by_days[name] == rows, name
        assert rows != after_the_nights[name] or name in ("sales_by_hour", "sales_by_daypart"), name

    # the record comes after all, as a replayed reject does, and the mapping is mended
    for name in CHANGED:
        put_back(facts, name)
    facts.build()
    for name, rows in facts.rows().items():
        assert rows == after_the_nights[name], name
