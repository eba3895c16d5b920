"""The step that loads a vendor: its accounts beside each other, in either warehouse."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from dagster import materialize  # noqa: TID251 - the step under test is Dagster's

from assets import ingestion
from assets.platform import AS_OF_TAG, PlatformResource
from ingestion.core.registry import connector
from ingestion.core.sync import SyncReport, sync
from tests.stand import Stand, company

WAIT = 30.0  # seconds until somebody who waits for the other account gives up


def test_an_account_that_waits_for_its_vendor_holds_up_no_other(
    tmp_path: Path, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: accounts of a vendor that are read one after the other; rows or cursors of one in the other's place when
    they are read and loaded by one process at the same time.
    """
    met = threading.Barrier(2, timeout=WAIT)

    def after_the_other(*arguments: Any, **options: Any) -> SyncReport:
        met.wait()
        return sync(*arguments, **options)

    monkeypatch.setattr(ingestion, "sync", after_the_other)
    with Stand.open(tmp_path, ["moka"], company(outlets=4, days=2), days=2) as stand:
        accounts = [integration.integration_id for integration in stand.platform().integrations("moka")]
        assert len(accounts) == 2
        for _ in range(2):
            result = materialize(
                [ingestion.load_assets(connector("moka"))],
                resources={"platform": PlatformResource(data=str(stand.root))},
                tags={AS_OF_TAG: stand.now.isoformat()},
            )
            assert all(evaluation.passed for evaluation in result.get_asset_check_evaluations())
        found = stand.query(
            "select integration_id, count(*) as checks from raw_moka.transactions group by integration_id"
        )
        assert {row["integration_id"] for row in found} == set(accounts)
        checks = sum(row["checks"] for row in found)
        ours = {outlet.outlet_id for outlet in stand.company.outlets if outlet.pos == "moka"}
        truth = {key: day for key, day in stand.company.truth(stand.now).items() if key[0] in ours}
        assert checks == sum(day.checks + day.voids for day in truth.values())
        (lines,) = stand.query(
            "select count(*) as found, count(distinct (c.root_id, c.uuid)) as lines from raw_moka.checkouts as c "
            "inner join raw_moka.transactions as t on t.c4_seq = c.c4_seq and t.id = c.root_id"
        )
        assert lines["found"] == lines["lines"] > checks
