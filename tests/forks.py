"""A child of the test's own process."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from typing import Any


def forked(work: Callable[[], Any]) -> int:
    """The exit status of a forked child that does `work`: 0, or 1 after an exception, or -n when signal n killed it.

    Whatever happens in the child, it ends: a second process never runs on through the tests.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:  # noqa: BLE001 - the child of a test has nobody to raise it to
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
