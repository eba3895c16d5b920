"""The process in which dbt runs: its imports are done once, and a project that was parsed stays parsed.

Reads one request per line from standard input (see `assets.dbt.Worker`), runs it with dbt's own runner and lets dbt
write to standard output; a line `{"c4_exit": n}` ends the answer (0 success, 1 a node failed, 2 an error of dbt's).
Ends when standard input does, when nothing was asked for `IDLE` seconds, or when its owner is gone: the lock under
which it builds is its owner's.
"""

import gc
import json
import os
import select
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.adapters.factory import reset_adapters
from dbt.cli.main import dbtRunner, dbtRunnerResult
from dbt.contracts.graph.manifest import Manifest
from filelock import FileLock

IDLE = 600.0  # seconds
OWNER_LOOK = 1.0  # seconds
KEPT = 4  # parsed projects
YOUNG = 20_000  # new objects before the collector looks at them: dbt makes many and keeps most
UNPARSED = (["debug"],)  # commands that need no project


def main() -> None:
    """Serve requests until there are no more."""
    gc.set_threshold(YOUNG)
    owner = int(sys.argv[1]) if sys.argv[1:] else os.getppid()  # told, for it may be gone already
    threading.Thread(target=_end_with, args=(owner,), daemon=True).start()
    manifests: dict[str, Manifest] = {}
    requests = open(0, "rb", buffering=0)  # noqa: SIM115 - for the life of the process; unbuffered, as select sees it
    while select.select([requests], [], [], IDLE)[0]:
        line = requests.readline()
        if not line:
            return
        print(json.dumps({"c4_exit": _serve(json.loads(line), manifests)}), flush=True)


def _end_with(owner: int) -> None:
    """End this process, in the middle of a command too, soon after its owner was killed."""
    while os.getppid() == owner:
        time.sleep(OWNER_LOOK)
    os._exit(1)


def _serve(request: Mapping[str, Any], manifests: dict[str, Manifest]) -> int:
    kept, arguments = request["manifest"], request["arguments"]
    if arguments[:1] in UNPARSED:
        return _status(_run(request["environment"], arguments, None))
    if kept not in manifests or not Path(kept).exists():
        parsed = _parse(request)
        if not isinstance(parsed.result, Manifest):
            return _status(parsed)
        while len(manifests) >= KEPT:
            del manifests[next(iter(manifests))]
        manifests[kept] = parsed.result
        gc.collect()
        gc.freeze()  # a parsed project is large and stays: collections need not walk through it
    return _status(_run(request["environment"], arguments, manifests[kept])) if arguments else 0


def _parse(request: Mapping[str, Any]) -> dbtRunnerResult:
    """Parse the project and keep its manifest as a file. Processes that share the folder take turns."""
    path = Path(request["manifest"])
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name("parse.lock")):
        known = path.exists()
        environment = {**request["environment"], **request["parsing"], "DBT_TARGET_PATH": str(path.parent)}
        done = _run(environment, [*request["parse"], "--no-write-json" if known else "--write-json"], None)
        if done.success and not known:
            written = shutil.copy(path.with_name("manifest.json"), path.with_suffix(".part"))
            Path(written).replace(path)
    return done


def _run(environment: Mapping[str, str], arguments: list[str], manifest: Manifest | None) -> dbtRunnerResult:
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    try:
        return dbtRunner(manifest=manifest).invoke(arguments)
    finally:
        _disconnect()


def _disconnect() -> None:
    """Close the warehouse: a DuckDB file has one process at a time. dbt keeps it open for the life of its process."""
    reset_adapters()
    DuckDBConnectionManager.close_all_connections()
    gc.collect()


def _status(done: dbtRunnerResult) -> int:
    if done.exception is not None:
        print(f"{type(done.exception).__name__}: {done.exception}", flush=True)
        return 2
    return 0 if done.success else 1


if __name__ == "__main__":
    main()
