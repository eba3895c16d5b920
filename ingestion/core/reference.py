"""Configuration and operational state as tables: `raw_c4.*`, replaced before each build of the marts.

dbt sees the company's configuration and what the ops database knows (watermarks, rejects, outbox) only through these
tables, so a build depends on nothing but the warehouse.
"""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa

from ingestion.core import warehouse
from ingestion.core.config import TABLES, Config, Row
from ingestion.core.load import SEQ_PER_RUN
from ingestion.core.ops import store
from ingestion.core.registry import connectors
from ingestion.core.settings import Settings

DATASET = "raw_c4"
AMOUNT = pa.decimal128(18, 6)
TIMESTAMP = pa.timestamp("us", tz="UTC")

INTEGRATIONS = pa.schema(
    [
        ("integration_id", pa.string()),
        ("vendor", pa.string()),
        ("slug", pa.string()),
        ("category", pa.string()),
        ("enabled", pa.bool_()),
        ("start_date", pa.date32()),
        ("stands_in", pa.bool_()),
    ]
)
INTEGRATION_OUTLETS = pa.schema(
    [("integration_id", pa.string()), ("source_outlet_id", pa.string()), ("outlet_id", pa.string())]
)
INTEGRATION_ENTITIES = pa.schema([("integration_id", pa.string()), ("entity_id", pa.string())])
GROUP_SETTINGS = pa.schema(
    [("group_name", pa.string()), ("group_currency", pa.string()), ("as_of", TIMESTAMP), ("live_since", pa.int64())]
)
LIVE_SPAN = timedelta(days=5)  # the live marts show checks of the last four; a run may be long


def row_schema(row: type[Row]) -> pa.Schema:
    """The table of a configuration row type: Decimal -> decimal(18,6)."""
    hints = typing.get_type_hints(row)
    return pa.schema([(name, _type(hints[name])) for name in row.__struct_fields__])


def _type(hint: Any) -> pa.DataType:
    options = [option for option in typing.get_args(hint) if option is not type(None)]
    if typing.get_origin(hint) is typing.Literal:
        return pa.string()
    base = options[0] if options else hint
    known = {str: pa.string(), int: pa.int64(), bool: pa.bool_(), Decimal: AMOUNT, date: pa.date32()}
    return TIMESTAMP if base is datetime else known[base]


def reference_tables(settings: Settings, config: Config, ops: store.Ops) -> dict[str, pa.Table]:
    """Every `raw_c4` table."""
    tables = {
        name: _table(row_schema(row), [msgspec.structs.asdict(item) for item in config.tables.get(name, ())])
        for name, row in TABLES.items()
    }
    known = connectors()
    integrations = [item for item in config.integrations if item.vendor in known]
    tables["integrations"] = _table(
        INTEGRATIONS,
        [
            {
                "integration_id": item.integration_id,
                "vendor": item.vendor,
                "slug": known[item.vendor].slug,
                "category": str(known[item.vendor].category),
                "enabled": item.enabled,
                "start_date": item.start_date,
                "stands_in": item.stands_in,
            }
            for item in integrations
        ],
    )
    tables["integration_outlets"] = _table(
        INTEGRATION_OUTLETS,
        [
            {"integration_id": item.integration_id, "source_outlet_id": source, "outlet_id": outlet}
            for item in integrations
            for source, outlet in item.outlets.items()
        ],
    )
    tables["integration_entities"] = _table(
        INTEGRATION_ENTITIES,
        [
            {"integration_id": item.integration_id, "entity_id": entity}
            for item in integrations
            for entity in item.entity_ids
        ],
    )
    tables["group_settings"] = _table(
        GROUP_SETTINGS,
        [
            {
                "group_name": config.group,
                "group_currency": config.group_currency,
                "as_of": settings.as_of,
                # what happened since then was delivered since then
                "live_since": ops.first_run(settings.as_of - LIVE_SPAN) * SEQ_PER_RUN,
            }
        ],
    )
    for name, (schema, rows) in ops.snapshot().items():
        tables[name] = _table(schema, rows)
    return tables


def write(settings: Settings, tables: Mapping[str, pa.Table]) -> None:
    """Replace the tables of `raw_c4` in one transaction."""
    warehouse.replace(settings, DATASET, tables)


def _table(schema: pa.Schema, rows: Sequence[Mapping[str, Any]] | Iterable[Mapping[str, Any]]) -> pa.Table:
    items = list(rows)
    arrays = [pa.array([item[field.name] for item in items], field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)
