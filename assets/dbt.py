"""How this platform runs dbt: the project, its environment, its manifest, and the process in which it runs.

A manifest is parsed when the project's files or the vendors in use change, into the data folder (or `C4_MANIFESTS`), so
that an installed package never writes beside its code.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path

from ingestion.core.config import load_config
from ingestion.core.registry import connectors, connectors_in_use
from ingestion.core.settings import PROJECT_ROOT, Settings
from ingestion.core.spec import Connector
from ingestion.core.warehouse import postgres

PROJECT_DIR = PROJECT_ROOT / "dbt_project"
CLOSE = "tag:close"  # models that depend on what was posted: built again after the export

NIGHTLY = ("--exclude-resource-type", "unit_test")  # unit tests prove the models, not the night's data
FLAGS = ("--no-version-check", "--log-level-file", "none")  # Dagster keeps what it printed
# Postgres takes the columns of a key for independent, so of joins over keys of three columns it expects one row, plans
# loops in loops, and 1,500 checks took minutes. Without loops every join of a build is a pass over its tables. Where a
# loop cannot be avoided, servers before 18 count it as endless work, for which they would compile every query.
PLANS = "-c enable_nestloop=off -c jit=off"
EXIT = b'{"c4_exit":'  # the line that ends a command's output
TAIL = 40  # lines of dbt's output that an error quotes


class DbtError(Exception):
    """dbt ended with an error; the message holds the end of its output."""


def environment(settings: Settings, used: Iterable[Connector] | None = None) -> dict[str, str]:
    """What the project reads, and dbt's own switches. `used` stands for the configured vendors."""
    used = connectors_in_use(load_config(settings.config)) if used is None else used
    return {
        **_target(settings),
        "C4_VENDORS": ",".join(sorted(connector.slug for connector in used)),
        "DBT_PROFILES_DIR": str(PROJECT_DIR),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DBT_TARGET_PATH": str(target_path(settings)),
        "DBT_LOG_PATH": str(target_path(settings)),
        "DBT_USE_COLORS": "false",
    }


def _target(settings: Settings) -> dict[str, str]:
    """The profile's output and what it needs. The password has the prefix that dbt scrubs from its logs."""
    if settings.is_duckdb:
        return {"C4_DBT_TARGET": "duckdb", "C4_DBT_DUCKDB_PATH": str(settings.warehouse_path)}
    url = postgres.parse(settings.warehouse)
    options = {name: str(value) for name, value in url.query.items()}
    return {
        "C4_DBT_TARGET": "postgres",
        "C4_PG_HOST": options.get("host") or url.host or "localhost",
        "C4_PG_PORT": options.get("port") or str(url.port or 5432),
        "C4_PG_USER": url.username or "",
        "DBT_ENV_SECRET_C4_PG_PASSWORD": str(url.password or ""),
        "C4_PG_DATABASE": url.database or "",
        "PGTZ": "UTC",
        "PGOPTIONS": f"{os.environ.get('PGOPTIONS', '')} {PLANS}".strip(),
        **{
            f"C4_PG_{name.upper()}": options[name]
            for name in ("sslmode", "sslrootcert", "sslcert", "sslkey", "connect_timeout")
            if name in options
        },
    }


def target_path(settings: Settings) -> Path:
    return settings.data / "dbt"


def unused(used: Iterable[Connector]) -> str:
    """dbt's selection of the staging models that no account needs: building them costs every night its time."""
    idle = {connector.slug for connector in connectors().values()} - {connector.slug for connector in used}
    return " ".join(f"fqn:c4.staging.{slug}" for slug in sorted(idle))


def manifest_path(settings: Settings, used: Iterable[Connector] | None = None) -> Path:
    """The current manifest, parsed anew if a file of the project or the vendors in use have changed."""
    variables = {**os.environ, **environment(settings, used)}
    manifest = _manifest(variables)
    if not manifest.exists():
        run(variables, [])
    return manifest


def run(variables: Mapping[str, str], arguments: Sequence[str]) -> str:
    """Run dbt in an environment and return what it printed. Raises DbtError with the last lines when it fails."""
    done = start(variables, arguments)
    lines = [line.decode().rstrip() for line in done.lines()]
    if done.wait() != 0:
        raise DbtError(f"dbt {' '.join(arguments[:1]) or 'parse'} failed:\n" + "\n".join(lines[-TAIL:]))
    return "\n".join(lines)


def start(variables: Mapping[str, str], arguments: Sequence[str]) -> Command:
    """Begin a dbt command (none: only parse) in this process's worker. It waits for the command before it."""
    return _worker().start({**os.environ, **variables}, arguments)


def warm() -> None:
    """Let the worker read the manifest of this process's environment, in the background.

    What fails there fails again, and is told, where the first command needs it.
    """
    threading.Thread(target=lambda: [*start({}, []).lines()], daemon=True).start()


@cache
def _worker() -> Worker:
    worker = Worker()
    atexit.register(worker.stop)
    return worker


class Worker:
    """The process of `assets.dbt_worker`, started when it is needed; it serves one command after another.

    A start of dbt costs more than most builds here, and parsing the project as much again: one process does both once.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()

    def start(self, variables: Mapping[str, str], arguments: Sequence[str]) -> Command:
        """Send a command and return at once. The next one is sent when its output was read to the end."""
        common = [*FLAGS, "--project-dir", str(PROJECT_DIR)]
        request = {
            "environment": dict(variables),
            "arguments": [arguments[0], *common, "--no-write-json", *arguments[1:]] if arguments else [],
            "manifest": str(_manifest(variables)),
            "parse": ["parse", *common],
            "parsing": _parsing(variables),
        }
        self._turn.acquire()
        try:
            process = self._send(json.dumps(request).encode() + b"\n")
        except BaseException:
            self._turn.release()
            raise
        return Command(process, arguments, self._turn.release)

    def stop(self) -> None:
        """End the process; a command that is running is ended with it."""
        if self._process is not None:
            self._process.terminate()
            self._process.communicate()
            self._process = None

    def _send(self, line: bytes) -> subprocess.Popen[bytes]:
        for _ in range(2):  # the process may have ended for idleness just now
            if self._process is None or self._process.poll() is not None:
                self.stop()
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "assets.dbt_worker", str(os.getpid())],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    cwd=PROJECT_ROOT,
                )
            assert self._process.stdin is not None
            try:
                self._process.stdin.write(line)
                self._process.stdin.flush()
            except BrokenPipeError:
                self.stop()
                continue
            return self._process
        raise DbtError("dbt's process does not start; run `python -m assets.dbt_worker` to see why")


class Command:
    """A dbt command that runs in a worker, with the part of a `subprocess.Popen` that dagster-dbt uses."""

    def __init__(
        self, process: subprocess.Popen[bytes], arguments: Sequence[str], finished: Callable[[], None]
    ) -> None:
        self.args = ["dbt", *arguments]
        self.returncode: int | None = None
        self.stdout = Output(self)
        self._process = process
        self._finished = finished

    def lines(self) -> Iterator[bytes]:
        """What dbt prints, line by line, until the command has ended."""
        if self.returncode is not None:
            return
        assert self._process.stdout is not None
        try:
            for line in self._process.stdout:
                if line.startswith(EXIT):
                    self.returncode = int(json.loads(line)["c4_exit"])
                    return
                yield line
            self.returncode = self._process.wait() or 1  # it ended without a word
        finally:
            if self.returncode is None:  # nobody reads on: what it would still print must not reach the next command
                self._process.kill()
                self.returncode = self._process.wait()
            self._finished()

    def wait(self, timeout: float | None = None) -> int:
        """The exit status. After a signal, waits for the process to end (at most `timeout` seconds)."""
        if self.returncode is None:
            self.returncode = self._process.wait(timeout)
        return self.returncode

    def send_signal(self, number: int) -> None:
        self._process.send_signal(number)


class Output:
    """The standard output of a command: iterable once, closed by its `with`."""

    def __init__(self, command: Command) -> None:
        self._command = command
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        return self._command.lines()

    def __enter__(self) -> Output:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True


def _manifest(variables: Mapping[str, str]) -> Path:
    """Where the manifest of the project as it is now belongs. Its name tells all that it depends on."""
    names = (metadata.version("dbt-core"), variables["C4_DBT_TARGET"], variables["C4_VENDORS"], _database(variables))
    digest = hashlib.sha256("\n".join(names).encode())
    for path in sorted(PROJECT_DIR.rglob("*")):
        if path.suffix in {".sql", ".yml", ".yaml", ".csv"} and "target" not in path.parts:
            digest.update(str(path.relative_to(PROJECT_DIR)).encode())
            digest.update(path.read_bytes())
    folder = Path(variables.get("C4_MANIFESTS") or variables["DBT_TARGET_PATH"])
    return folder / f"manifest-{digest.hexdigest()[:16]}.json"


def _database(variables: Mapping[str, str]) -> str:
    if variables["C4_DBT_TARGET"] == "duckdb":
        return Path(variables["C4_DBT_DUCKDB_PATH"]).stem
    return variables["C4_PG_DATABASE"]


def _parsing(variables: Mapping[str, str]) -> dict[str, str]:
    """The connection while the project is parsed, which opens none: dbt parses anew for every other one."""
    if variables["C4_DBT_TARGET"] == "duckdb":
        return {"C4_DBT_DUCKDB_PATH": f"{_database(variables)}.duckdb"}
    return {"C4_PG_HOST": "localhost", "C4_PG_PORT": "5432", "C4_PG_USER": "c4", "DBT_ENV_SECRET_C4_PG_PASSWORD": ""}
