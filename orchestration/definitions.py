"""The code location that `workspace.yaml` names: the platform of the folder in C4_DATA."""

from ingestion.core.settings import Settings
from orchestration.wiring import build

defs = build(Settings.load())
