"""What dlt is told, and nothing else: its settings are the platform's, not those of whoever's environment it runs in.

dlt asks some three hundred times per load for settings, each time under many names in the environment and in two files:
a tenth of a small load. It also takes whatever `.dlt/secrets.toml` the working folder happens to hold.
"""

from __future__ import annotations

from typing import Any

from dlt.common.configuration.container import Container
from dlt.common.configuration.providers.provider import ConfigProvider
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext

VALUES = {
    "dlthub_telemetry": False,
    "delete_completed_jobs": True,  # landing keeps what came; dlt need not
}


class Fixed(ConfigProvider):
    """Answers by a setting's name alone."""

    name = "C4"
    supports_secrets = False
    supports_sections = False

    def get_value(self, key: str, hint: type[Any], pipeline_name: str | None, *sections: str) -> tuple[Any, str]:
        return VALUES.get(key), key


def fix() -> None:
    """Make `VALUES` the only settings of dlt in this process."""
    Container()[PluggableRunContext].providers.providers[:] = [Fixed()]
