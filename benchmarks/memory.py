"""Peak memory of trees of processes, as the kernel shares it out among them."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

EVERY = 0.25  # seconds between two looks


class TreeMemory:
    """Looks at processes and all that descend from them as long as the context lasts.

    `peaks` are the highest sums of proportional set sizes of each and its descendants, where a page that several share
    counts once; `together` is the highest sum of all in one moment. In MB. What lives for less than a quarter of a
    second may be missed.
    """

    def __init__(self, *pids: int) -> None:
        self.peaks = [0.0] * len(pids)
        self.together = 0.0
        self._pids = pids
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
            now = [sum(map(_proportional_mb, _tree(pid))) for pid in self._pids]
            self.peaks = list(map(max, self.peaks, now))
            self.together = max(self.together, sum(now))
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
