"""A part of a night, or all of it, in a process of its own, so that a test can kill it.

python -m tests.e2e.phase sync|night AS_OF
"""

from __future__ import annotations

import sys
from datetime import datetime

from ingestion.core.platform import Platform
from ingestion.core.settings import Settings
from ingestion.core.sync import sync
from orchestration.night import run_night


def main(phase: str, as_of: str) -> None:
    settings = Settings.load(as_of=datetime.fromisoformat(as_of))
    if phase == "night":
        run_night(settings, settings.as_of)
        return
    platform = Platform.open(settings)
    for integration in platform.config.integrations:
        if integration.enabled:
            sync(platform, integration.integration_id)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
