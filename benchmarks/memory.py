"""Peak memory of a tree of processes, as the kernel shares it out among them."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

EVERY = 0.25  # seconds between two looks


class TreeMemory:
    """Looks at a process and all that descend from it as long as the context lasts.

    `peak_mb` is the highest sum of their proportional set sizes: a page that several share counts once. What lives
    for less than a quarter of a second may be missed.
    """

    def __init__(self, pid: int) -> None:
        self.peak_mb = 0.0
        self._pid = pid
        self._over = threading.Event()

    def __enter__(self) -> TreeMemory:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.peak_mb = max(self.peak_mb, sum(map(_proportional_mb, _tree(self._pid))))
            if self._over.wait(EVERY):
                return


def _tree(pid: int) -> list[int]:
    """A process and its descendants; one that ends meanwhile is left out."""
    found = [pid]
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                found += _tree(int(child))
    return found


def _proportional_mb(pid: int) -> float:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0
