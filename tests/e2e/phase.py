"""One phase of a night in a process of its own, so that a test can kill it cheaply.

python -m tests.e2e.phase sync|build|export AS_OF
"""

from __future__ import annotations

import sys
from datetime import datetime

from ingestion.core.platform import Platform
from ingestion.core.settings import Settings


def main(phase: str, as_of: str) -> None:
    platform = Platform.open(Settings.load(as_of=datetime.fromisoformat(as_of)))
    if phase == "sync":
        from ingestion.core.sync import sync

        for integration in platform.config.integrations:
            if integration.enabled:
                sync(platform, integration.integration_id)
    elif phase == "build":
        from assets.build import build_marts

        build_marts(platform)
    else:
        from assets.exports.journals import export_journals

        for target in sorted({entity.target for entity in platform.config.entities if entity.target}):
            export_journals(platform, target)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
