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
from dbt.constants import MANIFEST_FILE_NAME, PARTIAL_PARSE_FILE_NAME
from dbt.contracts.graph.manifest import Manifest
from dbt.parser.manifest import extended_mashumuro_decoder
from dbt_common.behavior_flags import BehaviorFlagRendered
from dbt_common.events.base_types import BaseEvent, EventLevel
from dbt_common.events.event_manager import EventManager
from dbt_common.events.event_manager_client import ctx_set_event_manager
from filelock import FileLock

IDLE = 600.0  # seconds
OWNER_LOOK = 1.0  # seconds
KEPT = 4  # parsed projects
YOUNG = 20_000  # new objects before the collector looks at them: dbt makes many and keeps most
UNPARSED = (["debug"],)  # commands that need no project
UNREAD = {EventLevel.DEBUG, EventLevel.TEST}


class ReadEvents(EventManager):
    """Drops at once what nobody reads. dbt writes every event out as a line of each log before it looks at its level:
    a quarter of a build's time.
    """

    def fire_event(self, e: BaseEvent, level: EventLevel | None = None, *others: Any, **named: Any) -> None:
        if (level or e.level_tag()) not in UNREAD:
            super().fire_event(e, level, *others, **named)


def name_no_callers() -> None:
    """Spare dbt its call stack: each command looks up the modules of all its callers once per flag of the adapter, for
    the text of a warning. That was a third of a small command's time.
    """
    BehaviorFlagRendered._default_source = staticmethod(lambda: "dbt")  # type: ignore[method-assign]


def main() -> None:
    """Serve requests until there are no more."""
    gc.set_threshold(YOUNG)
    name_no_callers()
    ctx_set_event_manager(ReadEvents())
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
        manifest = _parsed(request)
        if isinstance(manifest, dbtRunnerResult):
            return _status(manifest)
        while len(manifests) >= KEPT:
            del manifests[next(iter(manifests))]
        manifests[kept] = manifest
        gc.collect()
        gc.freeze()  # a parsed project is large and stays: collections need not walk through it
    return _status(_run(request["environment"], arguments, manifests[kept])) if arguments else 0


def _parsed(request: Mapping[str, Any]) -> Manifest | dbtRunnerResult:
    """The parsed project, or how its parse failed. Parses once: processes that share the folder take turns."""
    path = Path(request["manifest"])
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name("parse.lock")):
        if path.exists():
            return _read(path)
        environment = {**request["environment"], **request["parsing"], "DBT_TARGET_PATH": str(path.parent)}
        done = _run(environment, [*request["parse"], "--write-json"], None)
        if not isinstance(done.result, Manifest):
            return done
        for written, kept in ((PARTIAL_PARSE_FILE_NAME, _parsed_file(path)), (MANIFEST_FILE_NAME, path)):
            part = shutil.copy(path.with_name(written), path.with_suffix(".part"))
            Path(part).replace(kept)
        return done.result


def _parsed_file(manifest: Path) -> Path:
    """What dbt keeps of a parse for the next one: unlike its JSON, all of it."""
    return manifest.with_suffix(".msgpack")


def _read(path: Path) -> Manifest:
    """A parsed project as dbt keeps it, in a tenth of the time of a parse in which nothing has changed."""
    manifest = Manifest.from_msgpack(_parsed_file(path).read_bytes(), decoder=extended_mashumuro_decoder)
    manifest.files = {}  # a third of its size; only a parse needs the sources
    manifest.build_flat_graph()
    return manifest


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
