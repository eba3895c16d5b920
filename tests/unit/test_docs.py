"""Documents that are derived from code are what the code says today."""

from __future__ import annotations

import re

from ingestion.core import index
from ingestion.core.settings import PROJECT_ROOT


def test_the_connector_index_is_current() -> None:
    """Catches: a connector changed and its index did not. Mend: c4 connectors --markdown > docs/connectors.md"""
    assert (PROJECT_ROOT / "docs" / "connectors.md").read_text(encoding="utf-8").strip() == index.markdown().strip()


def test_every_link_between_documents_leads_somewhere() -> None:
    """Catches: a document that was renamed or never written."""
    for page in [PROJECT_ROOT / "README.md", *(PROJECT_ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} points to {target}"
