"""A whole night at a size: `c4 demo --json` as a process, split by phase."""

from __future__ import annotations

import json
import tempfile
from typing import Any

from benchmarks import measured


def measure(outlets: int, checks: int = 300) -> dict[str, Any]:
    """One business date of `outlets` outlets with `checks` checks each, from vendor calls to confirmed journals."""
    with tempfile.TemporaryDirectory(prefix="bench-night-") as temp:
        arguments = ["demo", "--json", "--outlets", str(outlets), "--days", "1", "--checks", str(checks)]
        run = measured.run("orchestration.cli", *arguments, environment={"C4_DATA": temp})
    told = json.loads(run.output.splitlines()[-1])
    seconds = told["seconds"]
    night = seconds["night"]
    return {
        "outlets": outlets,
        "checks": told["checks"],
        "sales_lines": told["sales_lines"],
        "journals_confirmed": told["journals_confirmed"],
        "seconds": seconds,
        "orchestration_share": round(seconds["orchestration"] / night, 3) if night else None,
        "peak_mb": round(run.peak_mb),
    }
