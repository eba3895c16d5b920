"""Half-loaded packages that a killed process left in dlt's folders."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import dlt
import pyarrow.compute as pc
import pyarrow.parquet as pq
from dlt.common.storages import ParsedLoadJobFileName

from ingestion.core import warehouse
from ingestion.core.settings import Settings
from ingestion.core.spec import Connector


def begin_anew(settings: Settings, pipeline: dlt.Pipeline, connector: Connector, integration_id: str) -> None:
    """Make half-loaded packages unloaded ones. The caller holds the warehouse.

    dlt would go on where it stopped and merge from staging tables that another account of the vendor has filled
    meanwhile, or load a file twice (written, and the process died before it was ticked off).
    """
    packages = pipeline._get_load_storage().normalized_packages
    for load_id in packages.list_packages():
        folder = Path(packages.storage.make_full_path(packages.get_package_path(load_id)))
        if not (folder / packages.APPLIED_SCHEMA_UPDATES_FILE_NAME).exists():
            continue
        jobs = [path for state in ("new_jobs", "started_jobs", "completed_jobs") for path in folder.glob(f"{state}/*")]
        _take_back(settings, connector, integration_id, [path for path in jobs if path.suffix == ".parquet"])
        for path in jobs:
            if path.suffix == ".sql":
                path.unlink()  # a merge: made again when its table has been loaded
            else:
                path.rename(folder / "new_jobs" / path.name)
        for marker in folder.glob(f"{packages.PENDING_TRANSITIONS_FOLDER}/*"):
            marker.unlink()
        (folder / packages.SCHEMA_UPDATES_FILE_NAME).write_text("{}")  # without it staging is not emptied first


def _take_back(settings: Settings, connector: Connector, integration_id: str, files: Iterable[Path]) -> None:
    """Delete what files of a package may have put into tables of children, which are appended to."""
    children = {table.name for stream, table in connector.tables() if table is not stream.root}
    with warehouse.connect(settings, read_only=False) as connection:
        for path in files:
            table = ParsedLoadJobFileName.parse(path.name).table_name
            if table in children:
                deliveries = pc.min_max(pq.read_table(path, columns=["c4_seq"])["c4_seq"])
                connection.execute(
                    f'delete from {connector.dataset}."{table}" '  # noqa: S608
                    "where integration_id = ? and c4_seq between ? and ?",
                    [integration_id, deliveries["min"].as_py(), deliveries["max"].as_py()],
                )
