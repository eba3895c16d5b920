"""What is kept of staging from build to build is what staging tells, whatever came, came again or went meanwhile."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
import yaml

from assets import dbt
from ingestion.core import warehouse
from ingestion.core.load import SEQ_PER_RUN, raw_schema
from ingestion.core.registry import connectors
from ingestion.core.settings import PROJECT_ROOT, Settings
from tests.unit.test_dbt_project import unified_columns

if TYPE_CHECKING:
    from tests.dbt_runner import Runner

pytestmark = pytest.mark.xdist_group("dbt")

PROJECT = PROJECT_ROOT / "dbt_project"
KEPT = "intermediate.int_sales__staged_checks"
MODELS = (
    "sales/int_sales__staged_checks", "unified/int_unified__check_lines", "unified/int_unified__check_payments",
    "unified/int_unified__check_taxes",
)  # fmt: skip
RAW = {  # a till's tables; lists are read plainly, the others as deliveries
    "receipts": ({"checks": "root"}, "check_id varchar, sold_at timestamp with time zone, amount decimal(18, 4)"),
    "items": ({"checks": "child"}, "check_id varchar, line_id varchar, product varchar, amount decimal(18, 4)"),
    "tenders": ({"checks": "child"}, "check_id varchar, payment_id varchar, tender varchar, amount decimal(18, 4)"),
    "taxes": ({"checks": "child"}, "check_id varchar, tax_id varchar, amount decimal(18, 4)"),
    "products": ({"checks_without": ["price"]}, "product varchar, category varchar, price decimal(18, 4)"),
}
SOURCE = {name: f"{{{{ source('raw_hand', '{name}') }}}}" for name in RAW}
DELIVERED = {
    name: f"{{{{ delivered(source('raw_hand', '{name}')) }}}}" for name, (meta, _) in RAW.items() if "checks" in meta
}
CHECK = {"integration_id": "r.integration_id", "check_id": "r.check_id"}
STAGING = {  # entity -> its columns, and what they are read from
    "checks": (
        CHECK | {"check_type": "'sale'", "opened_at": "r.sold_at", "bill_total": "r.amount", "c4_seq": "r.c4_seq"},
        f"{DELIVERED['receipts']} as r",
    ),
    "check_lines": (
        CHECK | {"line_id": "i.line_id", "net_sales": "i.amount", "source_category": "p.category"},
        f"{DELIVERED['items']} as i inner join {DELIVERED['receipts']} as r on r.c4_seq = i.c4_seq "
        f"left join {SOURCE['products']} as p on p.product = i.product",
    ),
    "check_payments": (
        CHECK | {"payment_id": "t.payment_id", "source_tender": "t.tender", "amount": "t.amount"},
        f"{DELIVERED['tenders']} as t inner join {DELIVERED['receipts']} as r on r.c4_seq = t.c4_seq",
    ),
    "check_taxes": (
        CHECK | {"tax_id": "t.tax_id", "amount": "t.amount"},
        f"{DELIVERED['taxes']} as t inner join {DELIVERED['receipts']} as r on r.c4_seq = t.c4_seq",
    ),
}


@dataclass
class Till:
    """One till in a warehouse, and a project of nothing but its checks."""

    settings: Settings
    folder: Path
    vendors: str = ""  # that the company uses, all without a word
    runner: Runner | None = None  # has the project as it was when it was parsed

    @property
    def project(self) -> Path:
        return self.folder / "project"

    def write_project(self) -> None:
        shutil.copytree(PROJECT, self.project, ignore=shutil.ignore_patterns("models", "tests", "target", "logs"))
        declared = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())
        declared["vars"] |= {"vendors": {"hand": list(STAGING)}, "deliveries_at_a_time": 2}
        (self.project / "dbt_project.yml").write_text(yaml.safe_dump(declared))
        for model in MODELS:
            path = self.project / "models" / "intermediate" / f"{model}.sql"
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / "models" / "intermediate" / f"{model}.sql", path)
        self.write_staging()
        tables = [{"name": name, "config": {"meta": meta}} for name, (meta, _) in RAW.items()]
        sources = yaml.safe_dump({"version": 2, "sources": [{"name": "raw_hand", "tables": tables}]})
        (self.project / "models" / "staging" / "_sources.yml").write_text(sources)

    def write_staging(self, **other: str) -> None:
        """`other` says what columns of checks are instead of what STAGING says."""
        self.runner = None
        for entity, (told, origin) in STAGING.items():
            kinds, values = unified_columns()[entity], told | (other if entity == "checks" else {})
            columns = ", ".join(f"cast({values.get(name, 'null')} as {kind}) as {name}" for name, kind in kinds.items())
            path = self.project / "models" / "staging" / f"stg_hand__{entity}.sql"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"select {columns} from {origin}\n")

    def sql(self, *statements: str) -> None:
        with warehouse.connect(self.settings, read_only=False) as connection:
            for statement in statements:
                connection.execute(statement)

    def sell(self, run: int, record: int, check_id: str, amount: int) -> None:
        """Deliver a check without what hangs on it."""
        seq = run * SEQ_PER_RUN + record
        self.sql(
            f"insert into raw_hand.receipts values ('till', {seq}, '{check_id}', '2026-04-05 05:00:00+00', {amount})"
        )

    def sell_parts(self, run: int, record: int, check_id: str, *amounts: int) -> None:
        """Deliver a check's only payment and, with one id, its lines."""
        seq = run * SEQ_PER_RUN + record
        line = f"'till', {seq}, '{check_id}', '{check_id}-1'"
        self.sql(
            f"insert into raw_hand.tenders values ({line}, 'cash', {sum(amounts)})",
            *(f"insert into raw_hand.items values ({line}, 'tea', {amount})" for amount in amounts),
        )

    def take_back(self, check_id: str) -> None:
        self.sql(*(f"delete from raw_hand.{name} where check_id = '{check_id}'" for name in DELIVERED))

    def build(self, *arguments: str) -> set[str]:
        """Build; the checks that were not read again, but kept as the last build left them."""
        if self.runner is None:
            from tests.dbt_runner import Runner  # a process that only collects the tests goes without dbt

            self.runner = Runner(self.folder, self.project)
        variables = {**dbt.environment(self.settings), "C4_VENDORS": self.vendors}
        self.runner.run(variables, "run", *arguments)
        with warehouse.connect(self.settings, read_only=False) as connection:
            rows = connection.execute(f"select check_id, staff_ref from {KEPT}").fetchall()
            connection.execute(f"update {KEPT} set staff_ref = 'kept'")
        return {check_id for check_id, mark in rows if mark == "kept"}

    def checks(self) -> dict[str, tuple[int, int]]:
        """The kept checks: their bills, and how many of their lines stand double."""
        return {row["check_id"]: (row["bill_total"], row["doubled_lines"]) for row in self.rows()}

    def rows(self) -> list[dict[str, Any]]:
        with warehouse.connect(self.settings) as connection:
            return warehouse.rows(connection, f"select * from {KEPT} order by check_id, bill_total")


def test_what_is_kept_is_what_staging_tells(tmp_path: Path, engine: str) -> None:
    """Catches: a check that came again with other lines and stays as it was, or stands beside its old self; one that
    the vendor took back and that stays; lines that came after their check (a load that was killed between them) and
    are never read; a list or a view that says something else of old checks; a build that reads all of history.
    """
    till = Till(Settings.load(tmp_path), tmp_path)
    assert till.settings.is_duckdb == (engine == "duckdb")
    till.write_project()
    own = {name: f"integration_id varchar, c4_seq bigint, {columns}" for name, (_, columns) in RAW.items()}
    till.sql("create schema raw_hand", *(f"create table raw_hand.{name} ({columns})" for name, columns in own.items()))
    till.sql("insert into raw_hand.products values ('till', 1, 'tea', 'drinks', 10)")
    for record, check_id in enumerate("abcd"):
        till.sell(1 + record // 2, record, check_id, 100)
        till.sell_parts(1 + record // 2, record, check_id, 100)
    assert till.build() == set()
    assert till.checks() == dict.fromkeys("abcd", (100, 0))
    assert till.build() == {*"abcd"}

    till.take_back("b")
    till.take_back("c")
    till.sell(3, 0, "c", 90)
    till.sell_parts(3, 0, "c", 45, 45)
    till.sell(3, 1, "e", 100)  # the load is killed before its lines and payments are there
    assert till.build() == {*"ad"}
    assert till.checks() == {"a": (100, 0), "c": (90, 1), "d": (100, 0), "e": (100, 0)}
    till.sell(4, 0, "f", 100)
    till.sell_parts(4, 0, "f", 100)
    assert till.build() == {*"acde"}
    without_parts = {row["check_id"]: row["content"] for row in till.rows()}["e"]
    till.sell_parts(3, 1, "e", 100)
    assert till.build() == {*"ad"}
    with_parts = {row["check_id"]: row for row in till.rows()}["e"]
    assert (with_parts["content"] != without_parts, with_parts["tax_lines"]) == (True, None)
    till.sql(f"insert into raw_hand.taxes values ('till', {3 * SEQ_PER_RUN + 1}, 'e', 'PB1', 10)")
    assert till.build() == {*"ad"}
    taxed = {row["check_id"]: row for row in till.rows()}["e"]
    assert (taxed["content"] != with_parts["content"], taxed["tax_lines"]) == (True, 10)

    till.sql("update raw_hand.products set c4_seq = 2, price = 12")  # delivered again, with another price
    assert till.build() == {*"acdef"}
    before = till.rows()
    till.sql("update raw_hand.products set category = 'tea'")
    assert till.build() == set()
    assert [row["content"] for row in till.rows()] != [row["content"] for row in before]
    till.write_staging(bill_total="r.amount * 2")
    assert till.build() == set()
    assert {bill for bill, _ in till.checks().values()} == {180, 200}
    assert till.build() == {*"acdef"}

    built = till.rows()
    assert till.build("--full-refresh") == set()
    assert till.rows() == built

    till.vendors = "none"  # a company without tills
    for _ in range(2):
        assert till.build() == set()
        assert till.rows() == []


def test_a_vendor_without_a_root_does_not_have_all_made_anew(tmp_path: Path, engine: str) -> None:
    """Catches: a vendor with many checks and without a root that has the checks of all made anew in every build."""
    till = Till(Settings.load(tmp_path), tmp_path)
    till.write_project()
    tables = [{"name": name} for name in RAW]
    sources = yaml.safe_dump({"version": 2, "sources": [{"name": "raw_hand", "tables": tables}]})
    (till.project / "models" / "staging" / "_sources.yml").write_text(sources)
    own = {name: f"integration_id varchar, c4_seq bigint, {columns}" for name, (_, columns) in RAW.items()}
    till.sql("create schema raw_hand", *(f"create table raw_hand.{name} ({columns})" for name, columns in own.items()))
    for record, check_id in enumerate("abcd"):  # twice as many as are made at a time
        till.sell(1, record, check_id, 100)
    assert till.build() == set()
    till.sql(f"comment on table {KEPT} is 'the first one'")
    assert till.build() == set(), "its checks are read again"
    told = {
        "duckdb": f"select comment from duckdb_tables() where schema_name || '.' || table_name = '{KEPT}'",
        "postgres": f"select obj_description('{KEPT}'::regclass)",
    }
    with warehouse.connect(till.settings) as connection:
        assert connection.execute(told[engine]).fetchall() == [("the first one",)]
    assert till.checks() == dict.fromkeys("abcd", (100, 0))


def test_deliveries_are_declared_as_staging_reads_them() -> None:
    """Catches: a raw table of checks that is taken for a list, or a list that says when it was read, so that all of a
    vendor's history is read every night; a list that is taken for deliveries, so that a change in it is not seen; runs
    cut elsewhere than the loader does.
    """
    macro = (PROJECT / "macros/materializations/by_delivery.sql").read_text()
    assert macro.count(f"deliveries_of_a_run() -%}} {SEQ_PER_RUN} ") == 1
    raw = {
        (declared.dataset, table.name): raw_schema(stream, table)
        for declared in connectors().values()
        for stream in declared.streams
        for table in stream.tables
    }
    delivered, lists = 0, 0
    for folder in sorted((PROJECT / "models" / "staging").iterdir()):
        models = {path.stem: path.read_text() for path in folder.glob("*.sql")}
        told = yaml.safe_load((folder / f"_{folder.name}__sources.yml").read_text())["sources"]
        metas = {
            (source["name"], table["name"]): table["config"]["meta"] for source in told for table in source["tables"]
        }
        text = "\n".join(models.values())
        read = {name for name in metas if "delivered(source('{}', '{}'))".format(*name) in text}
        assert {name for name, meta in metas.items() if "checks" in meta} == read, folder.name
        assert [meta.get("checks") for meta in metas.values()].count("root") == bool(read), folder.name
        delivered += len(read)
        for name in sources_of_checks(folder.name, models) - read if read else ():
            left_out = metas[name].get("checks_without", [])
            assert set(left_out) < set(raw[name].names), name
            times = [field.name for field in raw[name] if pa.types.is_timestamp(field.type)]
            assert [time for time in times if time not in left_out] == [], name
            lists += 1
    assert delivered > 20
    assert lists > 10


def sources_of_checks(slug: str, models: Mapping[str, str]) -> set[tuple[str, str]]:
    """The raw tables that a vendor's checks, lines and payments are made of."""
    left, found = [f"stg_{slug}__{entity}" for entity in STAGING], set()
    while left:
        text = models.get(left.pop(), "")
        left += re.findall(r"ref\('(\w+)'\)", text)
        found |= set(re.findall(r"source\('(\w+)', '(\w+)'\)", text))
    return found
