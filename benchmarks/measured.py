"""Run a command as a process of its own and account for it as the operating system does."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measured:
    """Wall and processor seconds, peak resident memory of the process in MB, and what it printed."""

    seconds: float
    cpu_seconds: float
    peak_mb: float
    output: str


def run(module: str, *arguments: str, environment: dict[str, str] | None = None) -> Measured:
    """`python -m module arguments`. Raises CalledProcessError when it fails."""
    command = [sys.executable, "-m", module, *arguments]
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})})
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command, output)
    return Measured(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, output)
