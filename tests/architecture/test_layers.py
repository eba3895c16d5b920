"""The house rules that hold the layers apart, and what adding a vendor may touch."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ingestion.core.records import raw_schema
from ingestion.core.registry import connectors
from ingestion.core.scaffold import ScaffoldError, scaffold, with_vendor
from ingestion.core.settings import PROJECT_ROOT

STAGING = PROJECT_ROOT / "dbt_project" / "models" / "staging"
OWN_RULES = ("records", "journals", "transport")


def imports(path: Path, module: str) -> Iterator[str]:
    """Every module that a file names in an import, at any depth; `from a import b` gives a and a.b."""
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            target = ".".join([*base, *([node.module] if node.module else [])])
            yield target
            yield from (f"{target}.{alias.name}" for alias in node.names)


def violations(root: Path) -> list[str]:
    """Imports against core <- vendors <- assets <- orchestration, each as `module imports target`."""
    found = set()
    for layer in ("ingestion", "assets", "orchestration"):
        for path in (root / layer).rglob("*.py"):
            module = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
            for target in imports(path, module):
                if _is_wrong(module, target):
                    found.add(f"{module} imports {target}")
    return sorted(found)


def _is_wrong(module: str, target: str) -> bool:
    def within(name: str, *packages: str) -> bool:
        return any(name == package or name.startswith(f"{package}.") for package in packages)

    if within(module, "ingestion") and within(target, "dagster", "dagster_dbt", "dbt", "assets", "orchestration"):
        return True
    if within(module, "assets") and within(target, "orchestration"):
        return True
    if within(module, "ingestion.core") and target.startswith("ingestion.vendors."):
        return True
    own = module.split(".")[2] if module.startswith("ingestion.vendors.") else None
    if own and target.startswith("ingestion.vendors."):
        if not within(target, f"ingestion.vendors.{own}"):
            return True
        if module == f"ingestion.vendors.{own}.sandbox":
            return True  # an error in the wire types must not hide in the sandbox too
    may_simulate = within(module, "ingestion.sandbox", "orchestration.cli") or (
        own is not None and within(module, f"ingestion.vendors.{own}.sandbox")
    )
    return within(target, "ingestion.sandbox") and not may_simulate


def test_imports_run_one_way() -> None:
    assert violations(PROJECT_ROOT) == []


@pytest.mark.parametrize(
    ("module", "statement"),
    [
        ("ingestion/core/load.py", "import dagster"),
        ("ingestion/core/load.py", "from ingestion.vendors.moka import CONNECTOR"),
        ("ingestion/core/load.py", "from ingestion.sandbox.server import serve"),
        ("ingestion/vendors/a/__init__.py", "from ..b import records"),
        ("ingestion/vendors/a/__init__.py", "from ingestion.sandbox import model"),
        ("ingestion/vendors/a/sandbox.py", "from . import records"),
        (
            "ingestion/vendors/a/sandbox.py",
            "def late():\n    from ingestion.vendors.a.transport import decode",
        ),
        ("assets/exports/journals.py", "from orchestration.jobs import nightly_job"),
        ("assets/ingestion.py", "import ingestion.sandbox.server"),
    ],
)
def test_a_planted_import_is_caught(tmp_path: Path, module: str, statement: str) -> None:
    """Guards the checker itself: relative, nested and aliased imports must not slip through."""
    path = tmp_path / module
    path.parent.mkdir(parents=True)
    path.write_text(statement)
    assert violations(tmp_path)


@pytest.mark.parametrize(
    ("module", "statement"),
    [
        ("ingestion/core/registry.py", "from ingestion import vendors"),
        ("ingestion/vendors/a/__init__.py", "from ingestion.vendors.a.records import Location"),
        ("ingestion/vendors/a/sandbox.py", "from ingestion.sandbox.server import Sandbox"),
        ("orchestration/cli/sandboxes.py", "from ingestion.sandbox.server import serve"),
    ],
)
def test_a_rightful_import_passes(tmp_path: Path, module: str, statement: str) -> None:
    path = tmp_path / module
    path.parent.mkdir(parents=True)
    path.write_text(statement)
    assert violations(tmp_path) == []


def test_declarations_stay_small() -> None:
    """A connector is a table of declarations: logic belongs in transport.py, wiring in assets."""
    limits = dict.fromkeys((PROJECT_ROOT / "ingestion" / "vendors").glob("*/__init__.py"), 150)
    limits[PROJECT_ROOT / "orchestration" / "definitions.py"] = 60
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in limits}
    assert {str(path): lengths[path] for path in limits if lengths[path] >= limits[path]} == {}


def listed_vendors() -> dict[str, list[str]]:
    """What dbt_project.yml says each vendor supplies."""
    project = yaml.safe_load((PROJECT_ROOT / "dbt_project" / "dbt_project.yml").read_text(encoding="utf-8"))
    return project["vars"]["vendors"]


def test_registry_staging_and_dbt_name_the_same_vendors() -> None:
    """A vendor that one of the three forgets is loaded and never modelled, or modelled and never loaded."""
    registered = {connector.slug for connector in connectors().values()}
    assert {path.name for path in STAGING.iterdir() if path.is_dir()} == registered
    assert set(listed_vendors()) == registered


def test_every_entity_a_vendor_supplies_has_its_staging_model() -> None:
    expected = {f"stg_{slug}__{entity}" for slug, entities in listed_vendors().items() for entity in entities}
    assert expected - {path.stem for path in STAGING.rglob("*.sql")} == set()


@pytest.mark.parametrize("vendor", sorted(connectors()))
def test_dbt_sources_are_the_declared_raw_tables(vendor: str) -> None:
    """A source that nothing loads fails the build; a column renamed in one place only misleads."""
    connector = connectors()[vendor]
    schemas = {table.name: set(raw_schema(stream, table).names) for stream, table in connector.tables()}
    documented = {}
    for path in (STAGING / connector.slug).glob("*.yml"):
        for source in yaml.safe_load(path.read_text(encoding="utf-8")).get("sources", []):
            assert (source["name"], source.get("schema", source["name"])) == (
                connector.dataset,
                connector.dataset,
            )
            for table in source["tables"]:
                meta = table.get("meta") or table["config"]["meta"]
                assert meta["dagster"]["asset_key"] == [connector.dataset, table["name"]]
                documented[table["name"]] = {column["name"].strip('"') for column in table.get("columns", [])}
    assert set(documented) == set(schemas)
    assert {name: columns - schemas[name] for name, columns in documented.items() if columns - schemas[name]} == {}


# Scaffold

SAMPLE_LOAD = """
import sys
from datetime import UTC, datetime
from pathlib import Path

import duckdb
from ingestion.core.fetch import fetch, plan
from ingestion.core.http import ApiClient
from ingestion.core.load import Loader
from ingestion.core.records import keyed_hasher
from ingestion.core.registry import connector
from ingestion.core.settings import Settings
from ingestion.sandbox.clock import Clock
from ingestion.sandbox.company import Company
from ingestion.sandbox.server import serve

vendor, data = sys.argv[1], Path(sys.argv[2])
now = datetime(2026, 4, 5, 22, tzinfo=UTC)
company = Company.build(outlets=3, days=1)
declared = connector(vendor)
with serve(company, Clock(now), [vendor]) as running:
    sandbox = running.sandbox(vendor)
    settings = sandbox.settings(running.url(vendor))
    client = ApiClient(declared, "new", settings, sandbox.credentials())
    loader = Loader(Settings.load(data, now), declared, "new", keyed_hasher(b"k" * 32))
    results = loader.run(
        declared.streams,
        lambda stream, cursors: fetch(
            client,
            plan(stream, outlets={}, settings=settings, start_date=now.date(), as_of=now, cursors=cursors),
        ),
        None,
        run_id=1,
        until=now,
    )
assert [(result.status, result.rejects) for result in results] == [("ok", [])], results
with duckdb.connect(str(data / "warehouse.duckdb")) as connection:
    rows = connection.execute(f"select id from {declared.dataset}.locations").fetchall()
assert {row[0] for row in rows} == set(sandbox.outlets()), rows
"""


@pytest.fixture
def project_copy(tmp_path: Path) -> Path:
    """The parts of the project that a vendor lives in."""
    root = tmp_path / "project"
    for part in ("ingestion", "dbt_project", "config"):
        shutil.copytree(
            PROJECT_ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__", "target", "logs")
        )
    return root


def files_of(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_new_vendor_touches_two_folders_and_one_line_and_loads(project_copy: Path, tmp_path: Path) -> None:
    """Adding a vendor must need no edit elsewhere, and what the scaffold writes must work as it stands."""
    before = files_of(project_copy)
    scaffold("kasir-pintar", project_copy)
    after = files_of(project_copy)

    changed = {name for name in before if after.get(name) != before[name]}
    assert changed == {"dbt_project/dbt_project.yml"}
    old, new = (state["dbt_project/dbt_project.yml"].decode().splitlines() for state in (before, after))
    assert [line for line in new if line not in old] == ["    kasir_pintar: []"]
    assert len(new) == len(old) + 1
    assert "kasir_pintar" in yaml.safe_load("\n".join(new))["vars"]["vendors"]
    added = {str(Path(name).parent) for name in after.keys() - before.keys()}
    assert added == {"ingestion/vendors/kasir_pintar", "dbt_project/models/staging/kasir_pintar"}
    assert violations(project_copy) == []

    environment = {name: value for name, value in os.environ.items() if not name.startswith("C4_")}
    loaded = subprocess.run(
        [sys.executable, "-c", SAMPLE_LOAD, "kasir-pintar", str(tmp_path / "data")],
        env=environment | {"PYTHONPATH": str(project_copy)},
        cwd=project_copy,
        capture_output=True,
        text=True,
        check=False,
    )
    assert loaded.returncode == 0, loaded.stderr


@pytest.mark.parametrize("vendor", ["Moka", "9lives", "two--dashes", "under_score", "../up", "class", "bamboohr"])
def test_a_vendor_that_cannot_be_written_leaves_no_trace(project_copy: Path, vendor: str) -> None:
    """A bad or taken name must fail before the first file, never half way or over existing work."""
    before = files_of(project_copy)
    with pytest.raises(ScaffoldError):
        scaffold(vendor, project_copy)
    assert files_of(project_copy) == before


BLOCK = "vars:\n  # why\n  vendors:\n    moka: [checks]\n"


@pytest.mark.parametrize("rest", ["", "\nmodels:\n  c4: {}\n", "  hours: 8\n"])
def test_the_line_ends_the_vendor_block(rest: str) -> None:
    """The line must land inside the block whatever follows it; all else keeps its bytes."""
    assert with_vendor(BLOCK + rest, "xero") == BLOCK + "    xero: []\n" + rest


@pytest.mark.parametrize("project", ["vars:\n  hours: 8\n", "vars:\n  vendors:\n    xero: []\n"])
def test_a_line_that_has_no_place_is_refused(project: str) -> None:
    with pytest.raises(ScaffoldError):
        with_vendor(project, "xero")
