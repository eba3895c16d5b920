"""`make bench`: measurements as ratios against a floor in the same run, JSON into benchmarks/out.

python -m benchmarks scale [--outlets N N] [--engine duckdb|postgres] [--history DAYS] [--beside dlt ingestr sling]
python -m benchmarks live [--engine duckdb|postgres] [--sales N]
python -m benchmarks [load] [nightly] [receiver] [sockets] [decoding] [--checks N] [--outlets N,N] [--rates N,N]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from typing import Any

import duckdb

from benchmarks import live, load, nightly, others, receiver, scale, sockets
from benchmarks.measured import OUT
from benchmarks.places import ENGINES

PARTS = ["load", "nightly", "receiver", "sockets", "decoding"]
ALONE = ["scale", "live"]  # of one engine each, and named when they are wanted


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
    parser.add_argument("which", nargs="*", choices=[*PARTS, *ALONE, []], help="default: all but scale and live")
    parser.add_argument("--checks", type=int, default=200_000, help="checks of the load benchmark")
    parser.add_argument("--outlets", nargs="+", default=["100,1000"], help="sizes of the nightly and scale benchmarks")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each side of the load benchmark")
    parser.add_argument("--seconds", type=float, default=20, help="of each part of the receiver and live benchmarks")
    parser.add_argument("--rates", default="250,500,1000,1500", help="events per second of the receiver benchmark")
    parser.add_argument("--engine", choices=ENGINES, default="duckdb", help="warehouse of scale and live")
    parser.add_argument("--history", type=int, default=30, help="days under the measured night of the scale benchmark")
    parser.add_argument("--per-outlet", type=int, default=300, help="checks per outlet and day of the scale benchmark")
    parser.add_argument("--beside", nargs="*", choices=others.TOOLS, default=others.TOOLS, help="loaders beside it")
    parser.add_argument("--sales", type=float, default=20, help="sales per second of the live benchmark")
    parser.add_argument("--messages", type=int, default=20_000, help="messages of the socket benchmark, about")
    options = parser.parse_args()
    sizes = [int(size) for given in options.outlets for size in given.split(",")]
    which = options.which or PARTS
    result: dict[str, Any] = {"machine": machine()}
    if "load" in which:
        result["load"] = load.measure(options.checks, options.repeat)
    if "nightly" in which:
        result["nightly"] = [nightly.measure(size) for size in sizes]
    if "receiver" in which:
        result["receiver"] = receiver.measure(options.seconds, [int(rate) for rate in options.rates.split(",")])
    if "sockets" in which:
        result["sockets"] = sockets.measure(options.messages // 2)
    if "decoding" in which:
        result["decoding"] = sockets.decoding()
    if "live" in which:
        result["live"] = live.measure(options.engine, options.sales, options.seconds)
    OUT.mkdir(exist_ok=True)
    name = "-".join(which)
    if set(which) & set(ALONE):
        name += f"-{options.engine}"
    if "scale" in which:
        told = scale.measure(sizes, options.engine, options.history, options.per_outlet, options.beside)
        result["scale"] = told
        scale.plot(told, OUT / f"scale-{options.engine}.svg")
        scale.show(told)
    path = OUT / f"{name}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
