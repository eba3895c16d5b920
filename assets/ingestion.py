"""One Dagster step per vendor: every declared table an asset, every account synced, a failure told and not spread."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    AssetSpec,
    MaterializeResult,
    MetadataValue,
    TableColumn,
    TableSchema,
    multi_asset,
)

from assets.outages import waits_out_outages
from assets.platform import LOADS, QUEUE_TAG, PlatformResource
from ingestion.core.records import raw_schema
from ingestion.core.spec import Connector, Stream, Table
from ingestion.core.sync import SyncReport, sync
from ingestion.core.warehouse import sql_type

OWNER = "team:data-platform"
ACCOUNTS_AT_ONCE = 2  # of a vendor: one is read while the other is loaded, or waits for its vendor


def vendor_key(connector: Connector) -> AssetKey:
    """The vendor's system itself, left of everything it feeds."""
    return AssetKey(["vendors", connector.slug])


def table_key(connector: Connector, table: Table) -> AssetKey:
    """The raw table; equals the key of the dbt source."""
    return AssetKey([connector.dataset, table.name])


def vendor_spec(connector: Connector) -> AssetSpec:
    """The external system, for a graph that reads from left to right."""
    return AssetSpec(
        vendor_key(connector),
        description=f"{connector.title}: the vendor's own system.",
        group_name=f"vendor_{connector.category}",
        kinds={str(connector.category)},
    )


def load_assets(connector: Connector) -> AssetsDefinition:
    """The step that syncs every account of a vendor. It ends well even when an account fails: the check tells."""
    root_key = table_key(connector, connector.streams[0].root)
    up = AssetCheckSpec(
        "accounts_synced",
        asset=root_key,
        description="Every account of the vendor was read to the end of its window.",
    )
    drift = AssetCheckSpec(
        "no_drift", asset=root_key, description="The vendor sends no field that the wire types do not know."
    )

    @multi_asset(
        name=f"load_{connector.slug}",
        specs=[_spec(connector, stream, table) for stream, table in connector.tables()],
        check_specs=[up, drift],
        pool=f"vendor_{connector.slug}",
        op_tags={"c4/vendor": connector.name, QUEUE_TAG: LOADS},
    )
    @waits_out_outages
    def load(
        context: AssetExecutionContext, platform: PlatformResource
    ) -> Iterator[MaterializeResult | AssetCheckResult]:
        import pandas as _  # noqa: F401 - pyarrow does in a thread, where dlt would meet half of it in another

        opened = platform.open(context)
        accounts = [integration.integration_id for integration in opened.integrations(connector.name)]
        reports = []
        with ThreadPoolExecutor(ACCOUNTS_AT_ONCE, thread_name_prefix="account") as pool:
            for report in pool.map(lambda account: sync(opened, account), accounts):
                reports.append(report)
                log = context.log.info if report.status == "ok" else context.log.error
                log(f"{report.integration_id}: {report.status}, {report.rows} rows, {report.rejects} rejects")
        yield from _results(connector, reports)

    return load


def _spec(connector: Connector, stream: Stream, table: Table) -> AssetSpec:
    schema = TableSchema(
        columns=[TableColumn(field.name, sql_type(field.type), constraints=None) for field in raw_schema(stream, table)]
    )
    return AssetSpec(
        table_key(connector, table),
        deps=[vendor_key(connector)],
        description=stream.description or f"{connector.title}: {table.name}, as the vendor sends it.",
        group_name=f"raw_{connector.category}",
        kinds={"dlt", str(connector.category)},
        owners=[OWNER],
        metadata={
            "dagster/column_schema": schema,
            "stream": stream.name,
            "key": ", ".join(("integration_id", *table.key)),
            "evidence": str(stream.evidence),
        },
    )


def _results(connector: Connector, reports: list[SyncReport]) -> Iterator[MaterializeResult | AssetCheckResult]:
    results = [(report, result) for report in reports for result in report.streams]
    for stream, table in connector.tables():
        mine = [(report, result) for report, result in results if result.stream == stream.name]
        # Also when nothing came: a step that yields nothing would make Dagster skip the marts of all other vendors.
        yield MaterializeResult(
            asset_key=table_key(connector, table),
            metadata={
                "dagster/row_count": MetadataValue.int(sum(result.rows.get(table.name, 0) for _, result in mine)),
                "pages": sum(result.pages for _, result in mine),
                "rejects": sum(len(result.rejects) for _, result in mine),
                "unchanged records": sum(result.unchanged for _, result in mine),
                "accounts": ", ".join(f"{report.integration_id}: {result.status}" for report, result in mine) or "none",
            },
        )
    root_key = table_key(connector, connector.streams[0].root)
    failures = {report.integration_id: report.error for report in reports if report.error}
    failures |= {
        f"{report.integration_id} {result.stream}": result.error for report, result in results if result.failed
    }
    yield AssetCheckResult(
        passed=not failures,
        asset_key=root_key,
        check_name="accounts_synced",
        severity=AssetCheckSeverity.ERROR,
        metadata=dict(failures) or {"accounts": len(reports)},
    )
    unknown = sorted({f"{result.stream}.{name}" for _, result in results for name in result.new_drift})
    yield AssetCheckResult(
        passed=not unknown,
        asset_key=root_key,
        check_name="no_drift",
        severity=AssetCheckSeverity.WARN,
        metadata={"new fields": MetadataValue.json(unknown)},
    )
