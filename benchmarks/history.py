"""Days of history under a measured night: what the platform has loaded of one day, again on the days before it.

python -m benchmarks.history DATA AS_OF DAYS      loads, as a process of its own, then copies in the warehouse

The rows are the platform's own, with other dates and keys, from deliveries before all others, the earlier day first.
Receipts and shifts have a history, which is what a night reads most of; ledger, stock and the tills' own reports begin
with the first night.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime

import pyarrow as pa

from ingestion.core import warehouse
from ingestion.core.load import SEQ_PER_RUN, looked_up_by
from ingestion.core.platform import Platform
from ingestion.core.records import raw_schema
from ingestion.core.registry import connector
from ingestion.core.settings import Settings
from ingestion.core.spec import Stream, Table
from ingestion.core.sync import sync

ACCOUNTS = 8  # runs in a row whose deliveries stay apart

FACTS = {"moka": "transactions", "bamboohr": "timesheet_entries"}


def load(settings: Settings) -> None:
    """Every account of the company, once. Raises RuntimeError where one could not be read whole."""
    platform = Platform.open(settings)
    for integration in platform.config.integrations:
        if integration.enabled:
            report = sync(platform, integration.integration_id)
            if report.status != "ok":
                raise RuntimeError(f"{integration.integration_id}: {report.status}, {report.error}")


def spread(settings: Settings, days: int) -> None:
    """Copy every row of the facts to `days` days before its own.

    The very day before is left out: in the east the next day has begun when a night reads, and a copy of that would
    lie on the day that is held against the truth.
    """
    for vendor, name in FACTS.items():
        declared = connector(vendor)
        stream = declared.stream(name)
        warehouse.ensure_raw_tables(settings, [declared])  # also what no outlet has delivered yet
        with warehouse.write_lock(settings), warehouse.connect(settings, read_only=False) as connection:
            for table in stream.tables:
                connection.execute(_copy(connection, declared.dataset, stream, table, days))
        warehouse.analyze(settings, declared.dataset, looked_up_by(stream))


def _copy(connection: warehouse.Connection, dataset: str, stream: Stream, table: Table, days: int) -> str:
    """The statement for a table. Dates move, keys become others, all else stays."""
    a_day = SEQ_PER_RUN // 100 // (days + 2)  # deliveries; a stream of a run has a hundredth of it
    kinds = {field.name: field.type for field in raw_schema(stream, table)}
    keys = set(_keys(stream, table))
    present = connection.execute(
        "select column_name from information_schema.columns where table_schema = ? and table_name = ?",
        [dataset, table.name],
    ).fetchall()
    values = {}
    for (column,) in present:
        kind, value = kinds.get(column), f't."{column}"'
        if column == "c4_seq":
            # a run before the first; of a root and its children the same one
            account = f"cast(({value} % {ACCOUNTS * SEQ_PER_RUN} - {value} % {SEQ_PER_RUN}) / {SEQ_PER_RUN} as bigint)"
            value = f"{value} % {SEQ_PER_RUN} + ({days + 1} - k) * {a_day} + {account} * {a_day // ACCOUNTS}"
        elif column in keys:
            value = f"-({value} * 1000 + k)" if kind == pa.int64() else f"{value} || '~' || cast(k as varchar)"
        elif kind is not None and pa.types.is_date(kind):
            value = f"{value} - cast(k as integer)"
        elif kind is not None and pa.types.is_timestamp(kind):
            value = f"{value} - cast(k as integer) * interval '1 day'"
        values[column] = value
    names = ", ".join(f'"{column}"' for column in values)
    return (
        f"insert into {dataset}.{table.name} ({names}) select {', '.join(values.values())} "
        f"from {dataset}.{table.name} as t cross join generate_series(2, {days + 1}) as past (k)"
    )


def _keys(stream: Stream, table: Table) -> Iterator[str]:
    """Columns that tell a record from others, in its own table or in those that point to it."""
    yield from table.key
    if table is not stream.root:
        yield from (f"root_{name}" for name in stream.root.key)
    for name, path in table.inherit.items():
        parent, _, field = path.rpartition(".")
        if any(other.path == parent and field in other.key for other in stream.tables):
            yield name


if __name__ == "__main__":
    at = Settings.load(sys.argv[1], datetime.fromisoformat(sys.argv[2]))
    load(at)
    spread(at, int(sys.argv[3]))
