"""The nightly job and what it is made of."""

from __future__ import annotations

from dagster import AssetSelection, define_asset_job
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

NIGHTLY = "nightly"


def nightly_job() -> UnresolvedAssetJobDefinition:
    """Everything, left to right: vendors, reference, marts, journals, close, published marts, incidents."""
    return define_asset_job(
        NIGHTLY,
        selection=AssetSelection.all(),
        description="Pull every vendor, build and reconcile the marts, post the journals, publish.",
    )
