"""The receiver, the listener and the live loader as children of one process, so that a test can kill them cheaply.

python -m tests.live_parts AS_OF, with C4_DATA set. Each line on standard input is a command, `serve`, `listen` or
`load`, and maybe a failpoint. A receiver's URL, or the exit code of a loader or of a listener with a failpoint, comes
back as a line; one without says `listening` and goes on. The process has no threads of its own, so forking it is safe.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from datetime import datetime

import pandas as pd  # noqa: F401 - as connectors() below
import pyarrow.parquet  # noqa: F401

from ingestion.core.live import load_waiting
from ingestion.core.platform import Platform
from ingestion.core.registry import connectors
from ingestion.core.settings import Settings
from ingestion.receiver.app import create_app
from ingestion.receiver.listen import Listener
from ingestion.receiver.server import running


def work(command: str, settings: Settings, answer: int) -> None:
    platform = Platform.open(settings)
    if command == "load":
        inbox = platform.ops.inbox
        while inbox.count("received"):
            reports = load_waiting(platform, inbox)
            assert not [report.error for report in reports if report.error], reports
        return
    if command == "listen":
        Listener(platform, threading.Event()).run()
    with running(create_app(platform)) as url:
        os.write(answer, url.encode() + b"\n")
        signal.pause()


def main() -> None:
    settings = Settings.load(as_of=datetime.fromisoformat(sys.argv[1]))
    connectors()  # with what they import: each child would do it again
    receiver = listener = 0
    for line in sys.stdin:
        command, _, failpoint = line.strip().partition(" ")
        if command == "serve" and receiver and os.waitpid(receiver, os.WNOHANG)[0] == 0:
            os.kill(receiver, signal.SIGKILL)
            os.waitpid(receiver, 0)
        child = os.fork()
        if not child:
            os.environ["C4_FAILPOINT"] = failpoint
            work(command, settings, sys.stdout.fileno())
            os._exit(0)
        if command == "serve":
            receiver = child
        elif command == "listen" and not failpoint:
            listener = child
            print("listening", flush=True)
        else:
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    for child in filter(None, (receiver, listener)):
        os.kill(child, signal.SIGKILL)


if __name__ == "__main__":
    main()
