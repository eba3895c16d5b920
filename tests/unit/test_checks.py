"""The checks that look across the night, run by Dagster over tables with the columns that dbt and raw_c4 promise."""

# ruff: noqa: TID251 - these are tests of the orchestration

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest
from dagster import AssetCheckEvaluation, AssetCheckSeverity, AssetSelection, materialize

from assets.checks import operations_checks
from assets.checks.operations import CHECKS, EVIDENCE_ROWS
from assets.platform import AS_OF_TAG, PlatformResource
from ingestion.core import reference
from ingestion.core.platform import Platform
from ingestion.core.settings import PROJECT_ROOT, Settings

NOW = datetime.fromisoformat("2026-04-20T22:00:00+00:00")
MARTS = ("outlet_days", "reconciliations", "mapping_exceptions", "sales_daily")


def contract(model: str) -> str:
    """The columns that dbt enforces on a mart."""
    for path in sorted((PROJECT_ROOT / "dbt_project" / "models" / "marts").rglob("*.yml")):
        for declared in msgspec.yaml.decode(path.read_bytes()).get("models", []):
            if declared["name"] == model:
                return ", ".join(f'"{column["name"]}" {column["data_type"]}' for column in declared["columns"])
    raise LookupError(f"no mart is called {model}")


class House:
    """A warehouse of one folder with empty tables."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.settings = Settings.load(data, NOW)
        platform = Platform.open(self.settings)
        self.account = platform.config.integrations[0].integration_id
        tables = reference.reference_tables(self.settings, platform.config, platform.ops)
        reference.write(self.settings, tables)
        with duckdb.connect(str(self.settings.warehouse_path)) as connection:
            connection.execute("create schema marts")
            for name in MARTS:
                connection.execute(f"create table marts.{name} ({contract(name)})")

    def add(self, table: str, *rows: dict[str, Any]) -> None:
        with duckdb.connect(str(self.settings.warehouse_path)) as connection:
            for row in rows:
                names = ", ".join(row)
                marks = ", ".join("?" for _ in row)
                connection.execute(f"insert into {table} ({names}) values ({marks})", list(row.values()))

    def run(self, name: str) -> AssetCheckEvaluation:
        """One check, as a step of a run."""
        chosen = [check for check in operations_checks() if {key.name for key in check.check_keys} == {name}]
        result = materialize(
            chosen,
            selection=AssetSelection.checks(*chosen),
            resources={"platform": PlatformResource(data=str(self.data))},
            tags={AS_OF_TAG: NOW.isoformat()},
        )
        (evaluation,) = result.get_asset_check_evaluations()
        return evaluation


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    for name in ("C4_CONFIG", "C4_OPS", "C4_KEY_FILE", "C4_WAREHOUSE", "C4_AS_OF"):
        monkeypatch.delenv(name, raising=False)
    return House(tmp_path)


def evidence(evaluation: AssetCheckEvaluation) -> list[dict[str, Any]]:
    assert not evaluation.passed
    table: Any = evaluation.metadata["evidence"]
    return [dict(record.data) for record in table.records]


def failures(evaluation: AssetCheckEvaluation) -> int:
    return int(evaluation.metadata["failures"].value)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [check.name for check in CHECKS])
def test_a_quiet_night_passes(house: House, name: str) -> None:
    """Catches: a query over columns that the marts or raw_c4 do not have, a check that fails on empty tables."""
    assert house.run(name).passed


def test_sales_that_stopped_are_named(house: House) -> None:
    """Catches: freshness of the run instead of the data, alarms for accounts that are off or streams that prove
    nothing.
    """
    stale, fresh = NOW - timedelta(hours=25), NOW - timedelta(hours=23)
    row = {"integration_id": house.account, "stream": "transactions", "marks_complete": True}
    house.add(
        "raw_c4.watermarks",
        {**row, "source_outlet_id": "late", "complete_until": stale},
        {**row, "source_outlet_id": "in time", "complete_until": fresh},
        {**row, "source_outlet_id": "menu", "complete_until": stale, "marks_complete": False},
        {**row, "source_outlet_id": "off", "complete_until": stale, "integration_id": "switched-off"},
    )
    house.add("raw_c4.integrations", {"integration_id": "switched-off", "enabled": False})
    evaluation = house.run("data_is_fresh")
    assert evaluation.severity is AssetCheckSeverity.ERROR
    assert [row["source_outlet_id"] for row in evidence(evaluation)] == ["late"]
    assert "2026-04-19 21:00" in evidence(evaluation)[0]["complete_until"]


def test_differences_are_shown_with_their_evidence(house: House) -> None:
    """Catches: pending comparisons that alarm, a failure that does not say what differs where."""
    row = {
        "rule": "R1",
        "outlet_id": "OUT-1",
        "business_date": date(2026, 4, 19),
        "measure": "net_sales",
        "expected": Decimal(100000),
        "actual": Decimal(99000),
        "difference": Decimal(-1000),
        "status": "fail",
        "evidence": "compare the POS report",
    }
    house.add(
        "marts.reconciliations",
        row,
        {**row, "outlet_id": "OUT-2", "status": "pass"},
        {**row, "outlet_id": "OUT-3", "status": "pending"},
        {**row, "rule": "R5", "outlet_id": None, "integration_id": "xero-nki", "business_date": date(2026, 4, 18)},
    )
    found = evidence(house.run("reconciled"))
    assert [(row["rule"], row["subject"], row["business_date"]) for row in found] == [
        ("R5", "xero-nki", "2026-04-18"),
        ("R1", "OUT-1", "2026-04-19"),
    ]
    assert Decimal(found[1]["expected"]) - Decimal(found[1]["actual"]) == 1000
    assert found[1]["evidence"] == "compare the POS report"


def test_only_open_rejects_count_and_all_are_counted(house: House) -> None:
    """Catches: settled rejects that alarm, evidence without a bound, a count that is the evidence's length."""
    row = {"integration_id": house.account, "stream": "checks", "field": "quantity", "rule": "is negative"}
    many = EVIDENCE_ROWS + 5
    house.add(
        "raw_c4.rejects",
        *({**row, "record_key": f"c{n}", "status": "open", "first_seen": NOW} for n in range(many)),
        {**row, "record_key": "settled", "status": "resolved", "first_seen": NOW},
    )
    evaluation = house.run("no_open_rejects")
    assert evaluation.severity is AssetCheckSeverity.WARN
    assert failures(evaluation) == many
    found = evidence(evaluation)
    assert len(found) == EVIDENCE_ROWS
    assert {(row["field"], row["rule"]) for row in found} == {("quantity", "is negative")}


def test_codes_without_a_mapping_come_dearest_first(house: House) -> None:
    """Catches: an unmapped tender that nobody sees, the small change listed before the big one."""
    row = {"domain": "tender", "vendor": "moka", "first_business_date": date(2026, 4, 19)}
    house.add(
        "marts.mapping_exceptions",
        {**row, "source_code": "Voucher", "amount": Decimal(5000)},
        {**row, "source_code": "NewPay", "amount": Decimal(900000)},
    )
    evaluation = house.run("codes_are_mapped")
    assert evaluation.severity is AssetCheckSeverity.WARN
    assert [row["source_code"] for row in evidence(evaluation)] == ["NewPay", "Voucher"]


def test_days_far_from_the_usual_are_named(house: House) -> None:
    """Catches: a half day and a double delivery that pass; alarms in an outlet's first week or for one good day."""
    first = date(2026, 4, 1)
    counts = {
        "HALF": [100] * 8 + [39],
        "DOUBLE": [100] * 8 + [251],
        "BUSY": [100] * 8 + [250],
        "NEW": [100] * 6 + [10],
    }
    house.add(
        "marts.sales_daily",
        *(
            {"outlet_id": outlet, "business_date": first + timedelta(days=n), "checks": checks}
            for outlet, days in counts.items()
            for n, checks in enumerate(days)
        ),
    )
    evaluation = house.run("volume_is_usual")
    assert evaluation.severity is AssetCheckSeverity.WARN
    assert [(row["outlet_id"], row["business_date"], row["usual_checks"]) for row in evidence(evaluation)] == [
        ("DOUBLE", "2026-04-09", "100.0"),
        ("HALF", "2026-04-09", "100.0"),
    ]
