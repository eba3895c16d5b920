"""Reference tables, the dbt build, the close build after the export, and the published marts."""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, cast

from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    AssetSpec,
    ConfigurableResource,
    InitResourceContext,
    MaterializeResult,
    asset,
    multi_asset,
)
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtCliInvocation, dbt_assets
from dagster_dbt.asset_utils import (
    get_manifest_and_translator_from_dbt_assets,
    get_updated_cli_invocation_params_for_context,
)
from packaging.version import Version

from assets import dbt
from assets.outages import waits_out_outages
from assets.platform import FULL_REFRESH_TAG, PlatformResource
from ingestion.core import reference, warehouse
from ingestion.core.config import TABLES
from ingestion.core.registry import connectors_in_use
from ingestion.core.settings import Settings
from ingestion.core.spec import Connector

OPS_TABLES = ("watermarks", "sync_runs", "rejects", "schema_drift")
POSTING_TABLES = ("outbox", "outbox_lines")
SETTINGS_TABLES = ("integrations", "integration_outlets", "integration_entities", "group_settings")
GROUPS = {"staging": "staging", "intermediate": "intermediate"}


class DbtBuilder(ConfigurableResource):
    """dbt for the steps that build: dagster-dbt's events, from the worker that has dbt loaded already.

    dagster-dbt starts a process per command, and two more to ask for a version and to open an adapter of its own;
    together they take longer than what is built.
    """

    def setup_for_execution(self, context: InitResourceContext) -> None:
        """Let the worker read the manifest while the vendors are read."""
        dbt.warm()

    def build(self, context: AssetExecutionContext) -> Iterator[Any]:
        """Build what Dagster selected of this step, and yield its events. Raises when dbt fails."""
        definition = context.assets_def
        manifest, translator, _ = get_manifest_and_translator_from_dbt_assets([definition])
        chosen = get_updated_cli_invocation_params_for_context(context, manifest, translator)
        arguments = ["build", *dbt.NIGHTLY, *chosen.selection_args]
        if context.run.tags.get(FULL_REFRESH_TAG) == "true":
            arguments.append("--full-refresh")
        variables = {"DBT_LOG_FORMAT": "json"}
        if chosen.indirect_selection:
            variables["DBT_INDIRECT_SELECTION"] = chosen.indirect_selection
        invocation = DbtCliInvocation(
            process=cast("subprocess.Popen", dbt.start(variables, arguments)),
            manifest=manifest,
            dagster_dbt_translator=translator,
            project_dir=dbt.PROJECT_DIR,
            target_path=Path(os.environ["DBT_TARGET_PATH"]),
            raise_on_error=True,
            cli_version=Version(metadata.version("dbt-core")),
            context=context,
        )
        yield from invocation.stream()


class Translator(DagsterDbtTranslator):
    """dbt's names as they are: a source's asset key is that of the raw table, a mart's is its schema and name."""

    def __init__(self) -> None:
        super().__init__(
            settings=DagsterDbtTranslatorSettings(enable_asset_checks=True, enable_source_tests_as_checks=True)
        )

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> AssetKey:
        if dbt_resource_props["resource_type"] == "source":
            return AssetKey([dbt_resource_props["source_name"], dbt_resource_props["name"]])
        return AssetKey([_schema(dbt_resource_props), dbt_resource_props["name"]])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        layer, *rest = dbt_resource_props["fqn"][1:-1] or ["marts"]
        if layer in GROUPS:
            return GROUPS[layer]
        return f"marts_{rest[0]}" if rest else "marts"


def _schema(props: Mapping[str, Any]) -> str:
    return str(props.get("config", {}).get("schema") or props["fqn"][1])


def reference_assets(raw_keys: list[AssetKey], engine: str) -> AssetsDefinition:
    """`raw_c4`: configuration and what the ops database knows, read after every vendor has been read."""

    @multi_asset(
        name="reference",
        specs=[
            AssetSpec(
                [reference.DATASET, name],
                deps=raw_keys if name in OPS_TABLES else [],
                group_name="reference",
                kinds={engine},
                description=f"The company's {name.replace('_', ' ')}, from configuration or the ops database.",
            )
            for name in (*TABLES, *SETTINGS_TABLES, *OPS_TABLES)
        ],
    )
    @waits_out_outages
    def build(context: AssetExecutionContext, platform: PlatformResource) -> Iterator[MaterializeResult]:
        opened = platform.open(context)
        tables = reference.reference_tables(opened.settings, opened.config, opened.ops)
        warehouse.ensure_raw_tables(opened.settings, connectors_in_use(opened.config))
        reference.write(opened.settings, tables)
        for name in (*TABLES, *SETTINGS_TABLES, *OPS_TABLES):
            yield MaterializeResult(
                asset_key=AssetKey([reference.DATASET, name]),
                metadata={"dagster/row_count": tables[name].num_rows},
            )

    return build


def posting_assets(export_keys: list[AssetKey], engine: str) -> AssetsDefinition:
    """`raw_c4.outbox*` after the export, so that the close models see what was posted tonight."""

    @multi_asset(
        name="postings",
        specs=[
            AssetSpec(
                [reference.DATASET, name],
                deps=export_keys,
                group_name="reference",
                kinds={engine},
                description="What the outbox has sent and what the targets confirmed.",
            )
            for name in POSTING_TABLES
        ],
    )
    @waits_out_outages
    def build(context: AssetExecutionContext, platform: PlatformResource) -> Iterator[MaterializeResult]:
        opened = platform.open(context)
        tables = reference.reference_tables(opened.settings, opened.config, opened.ops)
        reference.write(opened.settings, tables)
        for name in POSTING_TABLES:
            yield MaterializeResult(
                asset_key=AssetKey([reference.DATASET, name]),
                metadata={"dagster/row_count": tables[name].num_rows},
            )

    return build


def dbt_builds(settings: Settings, used: Sequence[Connector]) -> list[AssetsDefinition]:
    """The marts, and the models that depend on postings (`tag:close`); of the staging, what `used` needs."""
    manifest = dbt.manifest_path(settings, used)

    @dbt_assets(
        manifest=manifest,
        exclude=f"{dbt.CLOSE} {dbt.unused(used)}",
        name="transform",
        dagster_dbt_translator=Translator(),
        pool="warehouse",
    )
    @waits_out_outages
    def transform(context: AssetExecutionContext, platform: PlatformResource, builder: DbtBuilder) -> Iterator[Any]:
        yield from _build(context, platform, builder)

    @dbt_assets(
        manifest=manifest,
        select=dbt.CLOSE,
        name="close",
        dagster_dbt_translator=Translator(),
        pool="warehouse",
    )
    @waits_out_outages
    def close(context: AssetExecutionContext, platform: PlatformResource, builder: DbtBuilder) -> Iterator[Any]:
        yield from _build(context, platform, builder)

    return [transform, close]


def _build(context: AssetExecutionContext, platform: PlatformResource, builder: DbtBuilder) -> Iterator[Any]:
    settings = platform.settings(dict(context.run.tags))
    with warehouse.write_lock(settings):
        yield from builder.build(context)


def published_asset(mart_keys: list[AssetKey], engine: str) -> AssetsDefinition:
    """The published marts, after every model of the night."""

    @asset(
        key=["published", "marts"],
        deps=mart_keys,
        group_name="published",
        kinds={engine},
        description="The marts as analysts and BI tools read them: read-only, changed all at once.",
    )
    @waits_out_outages
    def published(context: AssetExecutionContext, platform: PlatformResource) -> MaterializeResult:
        settings = platform.settings(dict(context.run.tags))
        return MaterializeResult(
            metadata={"tables": warehouse.publish(settings), "place": warehouse.published_place(settings)}
        )

    return published
