"""Connections for parquet loads into Postgres, all of one ADBC database.

The driver reads every type of the catalog, those of tables among them, when a database is opened: 0.03 s of processor
in an empty one, 0.2 s with a thousand tables. dlt opens one for every file; a further connection of it takes 2 ms.
"""

from __future__ import annotations

import atexit
import threading
from typing import Any

from adbc_driver_manager import dbapi
from dlt.destinations.impl.postgres.postgres import PostgresParquetCopyJob, get_adbc_driver_location

_lock = threading.Lock()
_first: dict[str, dbapi.Connection] = {}  # of the one warehouse that this process loads; it is cloned and nothing else


def connect(url: str) -> dbapi.Connection:
    """A new connection, in a transaction. A restart of the server concerns those that are open, not the next ones."""
    with _lock:
        if url not in _first:
            _close()
            kwargs = {"uri": url}
            _first[url] = dbapi.connect(driver=get_adbc_driver_location(), db_kwargs=kwargs, autocommit=True)
        return _first[url].adbc_clone()


def share() -> None:
    """Make dlt's load jobs use `connect`."""
    PostgresParquetCopyJob._connect = _connect  # type: ignore[method-assign, assignment]


def _connect(job: PostgresParquetCopyJob) -> dbapi.Connection:
    credentials: Any = job._job_client.config.credentials
    return connect(credentials.to_native_representation())


@atexit.register
def _close() -> None:
    for connection in _first.values():
        connection.close()
    _first.clear()
