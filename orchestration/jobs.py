"""The nightly job and what it is made of; the jobs beside it."""

from __future__ import annotations

from dagster import AssetSelection, JobDefinition, define_asset_job, job
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets.upkeep import forget_old, read_again

NIGHTLY = "nightly"


def nightly_job() -> UnresolvedAssetJobDefinition:
    """Everything, left to right: vendors, reference, marts, journals, close, published marts, incidents."""
    return define_asset_job(
        NIGHTLY,
        selection=AssetSelection.all(),
        description="Pull every vendor, build and reconcile the marts, post the journals, publish.",
    )


def backfill_job() -> JobDefinition:
    """What `c4 backfill` does, to be started from the Dagster UI with the fields of its configuration."""

    @job(description="Read a range of business dates of one account again, from its API or from the landing zone.")
    def backfill() -> None:
        read_again()

    return backfill


def retention_job() -> JobDefinition:
    """What `c4 retention --apply` does."""

    @job(description="Delete what the retention policy of company.yaml lets go.")
    def retention() -> None:
        forget_old()

    return retention
