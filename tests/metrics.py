"""MetricFlow over the project's semantic manifest: the SQL of a metric, as `mf query --explain` would show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metricflow.engine.metricflow_engine import MetricFlowEngine, MetricFlowQueryRequest
from metricflow.protocols.sql_client import SqlEngine
from metricflow.sql.render.duckdb_renderer import DuckDbSqlPlanRenderer
from metricflow.sql.render.postgres import PostgresSQLSqlPlanRenderer
from metricflow_semantic_interfaces.implementations.semantic_manifest import PydanticSemanticManifest
from metricflow_semantics.model.dbt_manifest_parser import parse_manifest_from_dbt_generated_manifest
from metricflow_semantics.model.semantic_manifest_lookup import SemanticManifestLookup


@dataclass(frozen=True)
class Dialect:
    """The part of MetricFlow's SQL client that it needs to write SQL."""

    sql_engine_type: SqlEngine
    sql_plan_renderer: Any


DIALECTS = {
    "duckdb": Dialect(SqlEngine.DUCKDB, DuckDbSqlPlanRenderer()),
    "postgres": Dialect(SqlEngine.POSTGRES, PostgresSQLSqlPlanRenderer()),
}


class Metrics:
    """The metrics of a semantic manifest that dbt has written."""

    def __init__(self, manifest: Path, dialect: str) -> None:
        self.manifest: PydanticSemanticManifest = parse_manifest_from_dbt_generated_manifest(manifest.read_text())
        client: Any = DIALECTS[dialect]
        self._engine = MetricFlowEngine(SemanticManifestLookup(self.manifest), client)

    @property
    def names(self) -> list[str]:
        return sorted(metric.name for metric in self.manifest.metrics)

    def dimensions(self, metric: str) -> list[str]:
        """What a metric can be grouped by, as a query names it (`outlet__region`), over one join at most."""
        found = (item.granularity_free_dunder_name for item in self._engine.simple_dimensions_for_metrics([metric]))
        return sorted(name for name in found if name.count("__") < 2)

    def sql(self, metrics: Sequence[str], by: Sequence[str]) -> str:
        """A statement with a column per group-by and one per metric. Raises what MetricFlow raises."""
        request = MetricFlowQueryRequest.create(metric_names=list(metrics), group_by_names=list(by))
        return self._engine.explain(request).sql_statement.sql
