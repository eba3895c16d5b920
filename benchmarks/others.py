"""What a user would pick instead, on the same files: dlt with its defaults, ingestr and Sling, receipts to tables.

Each gets the receipts as one file of JSON lines, the form that all three read. None of them merges late edits, rejects
records, keeps the bytes or builds marts: they are measured beside our load, not beside our night. ingestr and Sling are
installed into environments of their own below benchmarks/out; one that does not install or run is told with its reason.

python -m benchmarks.others LINES DESTINATION      dlt's side, as a process of its own
"""

from __future__ import annotations

import contextlib
import functools
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import measured

TOOLS = ("dlt", "ingestr", "sling")
QUIET = {"RUNTIME__DLTHUB_TELEMETRY": "false", "DISABLE_TELEMETRY": "true", "SLING_DISABLE_TELEMETRY": "true"}
REASON = 300  # characters of a tool's last words


def measure(pages: Path, folder: Path, url: str, tools: Sequence[str]) -> dict[str, Any]:
    """Seconds and peak memory by tool, or why there are none. `url` names a Postgres database; empty for DuckDB."""
    lines = folder / "receipts.jsonl"
    if tools:
        _as_lines(pages, lines)
    sides: dict[str, Callable[[Path, str], measured.Measured]] = {"dlt": _dlt, "ingestr": _ingestr, "sling": _sling}
    found = {}
    for tool in tools:
        target = url or f"duckdb:///{folder / f'{tool}.duckdb'}"
        try:
            run = sides[tool](lines, target)
        except (subprocess.CalledProcessError, FileNotFoundError) as error:
            found[tool] = {"skipped": _reason(error)}
        else:
            found[tool] = {"seconds": round(run.seconds, 2), "peak_mb": round(run.tree_peak_mb)}
    return found


def _as_lines(pages: Path, target: Path) -> None:
    """Every receipt of the pages on a line of its own, its bytes as they were."""
    with target.open("wb") as output:
        for path in sorted(pages.glob("*.json")):
            page = msgspec.json.decode(path.read_bytes(), type=dict[str, msgspec.Raw])
            data = msgspec.json.decode(page["data"], type=dict[str, msgspec.Raw])
            for receipt in msgspec.json.decode(data["payments"], type=list[msgspec.Raw]):
                output.write(bytes(receipt).replace(b"\n", b" ") + b"\n")


def _dlt(lines: Path, target: str) -> measured.Measured:
    environment = {**QUIET, "DLT_DATA_DIR": str(lines.parent / "dlt-defaults")}
    command = [sys.executable, "-m", "benchmarks.others", str(lines), target]
    return measured.run_command(command, environment, subprocess.STDOUT)


def _ingestr(lines: Path, target: str) -> measured.Measured:
    program = _installed("ingestr")
    with _served(lines.parent) as base:
        command = [program, "ingest", "--yes", "--source-uri", f"{base}/{lines.name}", "--source-table", "receipts"]
        command += ["--dest-uri", target, "--dest-table", "ingestr_defaults.receipts"]
        return measured.run_command(command, QUIET, subprocess.STDOUT)


def _sling(lines: Path, target: str) -> measured.Measured:
    command = [_installed("sling"), "run", "--src-stream", f"file://{lines}", "--src-options", '{"flatten": true}']
    command += ["--tgt-conn", target, "--tgt-object", "sling_defaults.receipts", "--mode", "full-refresh"]
    return measured.run_command(command, QUIET, subprocess.STDOUT)


def _installed(tool: str) -> str:
    """The program of a tool, installed once. Raises CalledProcessError where it cannot be."""
    home = measured.OUT / "tools" / tool
    program = home / "bin" / tool
    if not program.exists():
        for command in (["-m", "venv", str(home)], None):
            line = [sys.executable, *command] if command else [str(home / "bin" / "pip"), "install", "--quiet", tool]
            subprocess.run(line, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return str(program)


@contextlib.contextmanager
def _served(folder: Path) -> Iterator[str]:
    """The folder over HTTP on loopback: ingestr reads no local files."""
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        lines = [line.strip() for line in (error.output or "").splitlines() if line.strip()]
        return (lines[-1] if lines else f"exit status {error.returncode}")[:REASON]
    return str(error)[:REASON]


def _load(lines: Path, target: str) -> None:
    import dlt

    from ingestion.core.warehouse import postgres  # an embedded server's URL in the form that dlt takes

    @dlt.resource(name="receipts")
    def receipts() -> Iterator[Any]:
        with lines.open("rb") as opened:
            for line in opened:
                yield msgspec.json.decode(line)

    local = target.startswith("duckdb:")
    kind = dlt.destinations.duckdb if local else dlt.destinations.postgres
    place = target.removeprefix("duckdb:///") if local else postgres.parse(target).render_as_string(hide_password=False)
    dlt.pipeline("bench_others", destination=kind(place), dataset_name="dlt_defaults").run(receipts())


if __name__ == "__main__":
    _load(Path(sys.argv[1]), sys.argv[2])
