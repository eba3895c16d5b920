"""What is added up of kept checks by run equals what they add up to, whatever came, went or found another place."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from ingestion.core import warehouse
from ingestion.core.load import SEQ_PER_RUN
from ingestion.core.settings import Settings
from tests.unit.test_by_delivery import PROJECT, RAW, Till

pytestmark = pytest.mark.xdist_group("dbt")

MODELS = ("int_sales__located_checks", "int_sales__placed_days", "int_sales__traded_dates")
PLACED, TRADED = "intermediate.int_sales__placed_days", "intermediate.int_sales__traded_dates"
PLACES = (
    "integration_id varchar, source_outlet_id varchar, outlet_id varchar, business_date date, is_told boolean, "
    "on_date date, starts_at timestamp with time zone, ends_at timestamp with time zone"
)
RUN = f"cast(floor(c4_seq / {SEQ_PER_RUN}.0) as bigint)"
LOCATED = f"(select c.*, {RUN} as run from intermediate.int_sales__located_checks as c) as c"
ADDED_UP = "dataset, run, outlet_id, business_date, count(*), sum(content), sum(bill_total), min(c4_seq), max(c4_seq)"
TOLD = "dataset, run, outlet_id, business_date, checks, content, bill_total, first_delivery, last_delivery"


def sell(till: Till, run: int, check_id: str, day: str) -> None:
    seq = run * SEQ_PER_RUN + ord(check_id)
    till.sql(f"insert into raw_hand.receipts values ('till', {seq}, '{check_id}', '{day} 05:00:00+00', 100)")


def place(till: Till, day: str, outlet: str = "JKT-001") -> None:
    till.sql(
        f"insert into raw_hand.places values ('till', '1', '{outlet}', '{day}', false, '{day}', '{day} 00:00:00+00', "
        f"'{day} 23:00:00+00')"
    )


def build(till: Till, *arguments: str) -> set[int]:
    """Build, compare with what kept checks add up to, and tell the runs that were not added up again."""
    till.build(*arguments)
    with warehouse.connect(till.settings, read_only=False) as connection:

        def rows(query: str) -> list[str]:
            return sorted(map(str, connection.execute(query).fetchall()))

        assert rows(f"select {TOLD} from {PLACED}") == rows(f"select {ADDED_UP} from {LOCATED} group by 1, 2, 3, 4")
        dates = "select distinct dataset, run, source_outlet_id, source_business_date, {} from {}"
        told = dates.format("utc_date", TRADED)
        assert rows(told) == rows(dates.format("cast(opened_at at time zone 'UTC' as date)", LOCATED))
        kept = {}
        for table, mark in ((PLACED, "vendor"), (TRADED, "integration_id")):
            query = f"select run from {table} group by run having min({mark}) = 'kept' and max({mark}) = 'kept'"
            kept[table] = {run for (run,) in connection.execute(query).fetchall()}
            connection.execute(f"update {table} set {mark} = 'kept'")
        assert kept[PLACED] <= kept[TRADED]
        return kept[PLACED]


def test_runs_add_up_to_what_is_kept(tmp_path: Path, engine: str) -> None:
    """Catches: a run that a check came to, left or changed in and that stays as it was; one that is gone and stays; a
    check that finds its place later, or another one, and that stays where it was; versions of a ledger that was made
    anew taken for those of the old one; a build that adds up all of history.
    """
    till = Till(Settings.load(tmp_path), tmp_path)
    assert till.settings.is_duckdb == (engine == "duckdb")
    till.write_project()
    till.write_staging(source_outlet_id="'1'")
    folder = till.project / "models" / "intermediate"
    for model in MODELS:
        shutil.copy(PROJECT / "models" / "intermediate" / "sales" / f"{model}.sql", folder / "sales")
    (folder / "int_outlets__places.sql").write_text("select * from {{ source('raw_hand', 'places') }}\n")
    sources = till.project / "models" / "staging" / "_sources.yml"
    declared = yaml.safe_load(sources.read_text())
    declared["sources"][0]["tables"].append({"name": "places"})
    declared["sources"].append({"name": "raw_c4", "tables": [{"name": "integrations"}]})
    sources.write_text(yaml.safe_dump(declared))
    own = {name: f"integration_id varchar, c4_seq bigint, {columns}" for name, (_, columns) in RAW.items()}
    till.sql("create schema raw_hand", *(f"create table raw_hand.{name} ({columns})" for name, columns in own.items()))
    till.sql(f"create table raw_hand.places ({PLACES})", "create schema raw_c4")
    till.sql("create table raw_c4.integrations (integration_id varchar, vendor varchar, stands_in boolean)")
    till.sql("insert into raw_c4.integrations values ('till', 'hand', null)")
    place(till, "2026-04-04")
    place(till, "2026-04-05")

    for run, check_id, day in ((1, "a", "04"), (1, "b", "05"), (2, "c", "05"), (3, "d", "06")):
        sell(till, run, check_id, f"2026-04-{day}")
    assert build(till) == set()
    assert build(till) == {1, 2}, "but for a check without a place nothing is new"
    place(till, "2026-04-06")
    assert build(till) == {1, 2}
    assert build(till) == {1, 2, 3}

    till.take_back("b")
    assert build(till) == {2, 3}
    till.take_back("a")
    sell(till, 4, "a", "2026-04-04")
    assert build(till) == {2, 3}
    till.sql(f"insert into raw_hand.taxes values ('till', {2 * SEQ_PER_RUN + ord('c')}, 'c', 'PB1', 10)")
    assert build(till) == set(), "runs from the first with news on are read again"
    assert build(till) == {2, 3, 4}

    sell(till, 5, "e", "2026-04-06")
    till.build("--select", "int_sales__staged_checks")  # and killed
    sell(till, 6, "f", "2026-04-06")
    assert build(till) == {2, 3, 4}
    till.sql("update raw_hand.places set outlet_id = 'JKT-002' where business_date = '2026-04-05'")
    assert build(till) == set()
    assert build(till) == {2, 3, 4, 5, 6}
    till.build("--select", "int_sales__staged_checks", "--full-refresh")
    assert build(till) == set()
