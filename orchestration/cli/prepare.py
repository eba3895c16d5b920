"""`c4 prepare`: what the services find when they start, made or brought up to date. Safe to repeat."""

from __future__ import annotations

import os

from dagster import DagsterInstance

from assets import dbt
from ingestion.core.platform import Platform
from ingestion.core.settings import Settings
from orchestration.cli.app import console
from orchestration.instance import dagster_home


def run_prepare(settings: Settings) -> None:
    """Dagster's folder and storage, the ops database, the manifest. Raises ConfigError, KeyringError, SqlError."""
    home = dagster_home(settings)
    Platform.open(settings)
    console.print("ops database  migrated")
    os.environ["DAGSTER_HOME"] = str(home)
    with DagsterInstance.get() as instance:
        instance.upgrade()
    console.print(f"dagster       DAGSTER_HOME={home}", soft_wrap=True)
    console.print(f"models        {dbt.manifest_path(settings)}", soft_wrap=True)
