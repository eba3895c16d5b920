"""A night with the tills of every point-of-sale vendor in the registry: nothing here names one."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from ingestion.core.registry import connectors
from ingestion.core.spec import Category
from ingestion.sandbox.company import Company
from orchestration.cli.demo import differences
from orchestration.night import run_night
from tests.stand import FIRST_DAY, Stand

pytestmark = pytest.mark.e2e
TILLS = [name for name, connector in connectors().items() if connector.category is Category.POS]


@pytest.mark.parametrize("vendor", TILLS)
def test_the_marts_of_its_outlets_are_the_truth(vendor: str, tmp_path: Path) -> None:
    """Catches: staging that loses, doubles or moves an amount, codes of the vendor that nothing maps."""
    made = Company.build(outlets=3, days=2, start=FIRST_DAY, checks_per_day=25, pos=(vendor,))
    assert sum(outlet.pos == vendor for outlet in made.outlets) >= 2
    with Stand.open(tmp_path, made=made, days=2) as stand:
        for night in made.nights():
            stand.set_clock(night)
            result = run_night(stand.settings(), stand.now)
            assert result.success, result.errors
        with duckdb.connect(str(stand.settings().published_path), read_only=True) as marts:
            assert differences(marts, made.truth(stand.now)) == []
            assert marts.execute("select domain, source_code from marts.mapping_exceptions").fetchall() == []
            failed = "select rule, outlet_id, measure, difference from marts.reconciliations where status = 'fail'"
            assert marts.execute(failed).fetchall() == []
            unexplained = (
                "select count(*) from marts.fct_checks where not is_voided and difference_kind not in ('none', 'fx')"
            )
            assert marts.execute(unexplained).fetchall() == [(0,)]
            states = {state for (state,) in marts.execute("select distinct state from marts.outlet_days").fetchall()}
            assert states <= {"posted", "amended"}
