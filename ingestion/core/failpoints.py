"""Places where a test may kill the process, as a power cut or an operator would.

`C4_FAILPOINT=name` kills at the first pass of `failpoint("name")`, `name:3` at the third. Without it they do nothing.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

_passed: Counter[str] = Counter()


def failpoint(name: str) -> None:
    """SIGKILL this process if the environment asks for it here: nothing is cleaned up, as in the real case."""
    wanted, _, nth = os.environ.get("C4_FAILPOINT", "").partition(":")
    if wanted != name:
        return
    _passed[name] += 1
    if _passed[name] >= int(nth or 1):
        os.kill(os.getpid(), signal.SIGKILL)
