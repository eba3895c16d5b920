"""Run a command as a process of its own and account for it as the operating system does."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.memory import TreeMemory

OUT = Path(__file__).parent / "out"
# As an installed program runs: modules are compiled once, whatever the shell says, and kept out of the source tree.
COMPILED = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(OUT / "compiled")}


@dataclass(frozen=True, slots=True)
class Measured:
    """Wall and processor seconds, peak resident memory of the process, peak memory of it with all that it started, of a
    process beside it (0 without one) and of both in one moment, in MB, and what it printed.
    """

    seconds: float
    cpu_seconds: float
    peak_mb: float
    tree_peak_mb: float
    beside_peak_mb: float
    together_peak_mb: float
    output: str


def processor_seconds(pid: int) -> float:
    """What a process that runs has used so far, without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(
    module: str, *arguments: str, environment: Mapping[str, str] | None = None, beside: int | None = None
) -> Measured:
    """`python -m module arguments`. Raises CalledProcessError when it fails."""
    return run_command([sys.executable, "-m", module, *arguments], environment, beside=beside)


def run_command(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    stderr: int | None = None,
    beside: int | None = None,
) -> Measured:
    """Any program; `beside` is the process that serves it. Raises CalledProcessError when it fails, FileNotFoundError
    when it is not there.
    """
    start = time.monotonic()
    variables = {**os.environ, **COMPILED, **(environment or {})}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=variables)
    assert process.stdout is not None
    with TreeMemory(process.pid, *([beside] if beside else [])) as memory:
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        failed = subprocess.CalledProcessError(process.returncode, command, output)
        failed.add_note(output[-4000:])  # what it said of itself
        raise failed
    own, served = [*memory.peaks, 0.0][:2]
    cpu = usage.ru_utime + usage.ru_stime
    return Measured(seconds, cpu, usage.ru_maxrss / 1024, own, served, memory.together, output)
