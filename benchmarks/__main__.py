"""`make bench`: measurements as ratios against a floor in the same run, JSON into benchmarks/out.

python -m benchmarks [load] [nightly] [receiver] [--checks N] [--outlets N,N] [--rates N,N]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from typing import Any

import duckdb

from benchmarks import load, nightly, receiver
from benchmarks.measured import OUT


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory),
        "python": platform.python_version(),
        "duckdb": duckdb.__version__,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("which", nargs="*", choices=["load", "nightly", "receiver", []], help="default: all")
    parser.add_argument("--checks", type=int, default=200_000, help="checks of the load benchmark")
    parser.add_argument("--outlets", default="100,1000", help="sizes of the nightly benchmark")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each side of the load benchmark")
    parser.add_argument("--seconds", type=float, default=20, help="of each part of the receiver benchmark")
    parser.add_argument("--rates", default="250,500,1000,1500", help="events per second of the receiver benchmark")
    options = parser.parse_args()
    which = options.which or ["load", "nightly", "receiver"]
    result: dict[str, Any] = {"machine": machine()}
    if "load" in which:
        result["load"] = load.measure(options.checks, options.repeat)
    if "nightly" in which:
        result["nightly"] = [nightly.measure(int(size)) for size in options.outlets.split(",")]
    if "receiver" in which:
        result["receiver"] = receiver.measure(options.seconds, [int(rate) for rate in options.rates.split(",")])
    OUT.mkdir(exist_ok=True)
    path = OUT / f"{'-'.join(which)}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
