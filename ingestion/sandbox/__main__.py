"""The simulated company's vendors as a process of their own: `python -m ingestion.sandbox --data DIR`.

Writes the company's configuration to DIR/config and drops files below DIR/drop, prints one JSON line
{"vendors": {vendor: url}, "control": url} when ready, and serves until stdin closes or SIGTERM arrives.
What was posted to the vendors is in DIR/sandboxes.pickle between one process and the next.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from datetime import date
from pathlib import Path

from ingestion.sandbox.clock import Clock
from ingestion.sandbox.company import CHECKS_PER_DAY, START, Company
from ingestion.sandbox.control import Control
from ingestion.sandbox.server import serve


def main(arguments: list[str] | None = None) -> None:
    options = _options(arguments)
    company = Company.build(
        options.config,
        outlets=options.outlets,
        days=options.days,
        start=options.start,
        seed=options.seed,
        checks_per_day=options.checks_per_day,
    )
    finished = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: finished.set())
    signal.signal(signal.SIGINT, lambda *_: finished.set())
    with serve(company, Clock(company.nights()[0]), options.vendor, options.data / "drop") as running:
        company.write_config(options.data / "config", running)
        if (kept := options.data / "sandboxes.pickle").exists():
            running.recall(kept)
        control = Control(running)
        vendors = {vendor: running.url(vendor) for vendor in running.vendors}
        print(json.dumps({"vendors": vendors, "control": control.url}), flush=True)
        threading.Thread(target=_wait_for_stdin, args=(finished,), daemon=True).start()
        finished.wait()
        control.close()
        running.keep(kept)


def _wait_for_stdin(finished: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    finished.set()


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ingestion.sandbox", description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder for config/ and drop/")
    parser.add_argument("--config", type=Path, help="base configuration (default: the project's config/)")
    parser.add_argument("--outlets", type=int, default=30)
    parser.add_argument("--days", type=int, default=4)
    parser.add_argument("--start", type=date.fromisoformat, default=START)
    parser.add_argument("--checks-per-day", type=int, default=CHECKS_PER_DAY, help="average of one outlet")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--vendor", action="append", help="only this vendor; may be given several times")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
