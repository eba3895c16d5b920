"""Write what a new vendor needs: its folder, its staging folder and its one line in dbt_project.yml.

The result works as it stands: its sample stream loads from its own sandbox. The author then replaces the
sample, stream by stream, by what the vendor's documentation says.
"""

from __future__ import annotations

import keyword
import re
from importlib.resources import files
from pathlib import Path
from string import Template

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
TEMPLATES = files("ingestion.core") / "templates"
SUFFIX = ".template"


class ScaffoldError(Exception):
    """The vendor cannot be written: its name is not usable, or something of it is there already."""


def scaffold(vendor: str, root: Path) -> list[Path]:
    """Write a vendor (public name, lower case with dashes) into the project at `root`.

    Returns the paths written, dbt_project.yml last. Raises ScaffoldError before anything is written.
    """
    if not NAME.fullmatch(vendor):
        raise ScaffoldError(f"{vendor!r} is no vendor name: lower case letters and digits, words joined by dashes")
    slug = vendor.replace("-", "_")
    if keyword.iskeyword(slug):
        raise ScaffoldError(f"{vendor!r} is a word of Python and cannot name a folder of code")
    words = vendor.split("-")
    values = {
        "vendor": vendor,
        "slug": slug,
        "title": " ".join(word.capitalize() for word in words),
        "class_name": "".join(word.capitalize() for word in words),
    }
    folders = {
        "vendor": root / "ingestion" / "vendors" / slug,
        "staging": root / "dbt_project" / "models" / "staging" / slug,
    }
    for folder in folders.values():
        if folder.exists():
            raise ScaffoldError(f"{folder.relative_to(root)} is there already")
    project = root / "dbt_project" / "dbt_project.yml"
    listed = with_vendor(project.read_text(encoding="utf-8"), slug)

    written = []
    for kind, folder in folders.items():
        folder.mkdir(parents=True)
        for template in sorted((TEMPLATES / kind).iterdir(), key=lambda item: item.name):
            if not template.name.endswith(SUFFIX):
                continue
            path = folder / template.name.removesuffix(SUFFIX).replace("SLUG", slug)
            path.write_text(Template(template.read_text(encoding="utf-8")).substitute(values), encoding="utf-8")
            written.append(path)
    project.write_text(listed, encoding="utf-8")
    return [*written, project]


def with_vendor(project: str, slug: str) -> str:
    """The text of dbt_project.yml with one more line at the end of the block `vendors:`.

    The new vendor supplies no unified entity yet. Raises ScaffoldError if the block is missing or lists the
    vendor already.
    """
    block = re.search(r"^( +)vendors:\n((?:\1 +\S.*\n)+)", project, re.MULTILINE)
    if block is None:
        raise ScaffoldError("dbt_project.yml has no block `vendors:` below `vars:`")
    if re.search(rf"^ +{slug}:", block[2], re.MULTILINE):
        raise ScaffoldError(f"dbt_project.yml lists {slug} already")
    return f"{project[: block.end()]}{block[1]}  {slug}: []\n{project[block.end() :]}"
