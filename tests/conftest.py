"""Fixtures that several suites share."""

import atexit
import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests import migrated
from tests import postgres as pg

settings.register_profile("same", derandomize=True)  # who searches for more says --hypothesis-profile=default
settings.load_profile("same")


@pytest.fixture(scope="session", autouse=True)
def few_collections() -> Iterator[None]:
    """Keep the garbage collector off what is imported and stays: it was a tenth of the suite's time."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, *before[1:])
    yield
    gc.set_threshold(*before)
    atexit.register(gc.unfreeze)  # not before: pytest ends with ten collections


@pytest.fixture(scope="session", autouse=True)
def shared_manifests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One folder of parsed dbt manifests for all stands and all test processes: a parse takes longer than a build."""
    base = tmp_path_factory.getbasetemp()
    with pytest.MonkeyPatch.context() as patched:
        root = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
        patched.setenv("C4_MANIFESTS", str(root / "manifests"))
        yield


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a Postgres server's administrator, one server per session and worker."""
    with pg.server() as url:
        yield url


@pytest.fixture
def postgres(postgres_server: str) -> Iterator[str]:
    """The URL of an empty Postgres database."""
    with pg.database(postgres_server) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def new_ops_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The test runs on both kinds of ops database: the URL of one that is not there yet, or empty."""
    return f"sqlite:///{tmp_path / 'ops.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres")


@pytest.fixture(scope="session")
def ops_template(postgres_server: str) -> Iterator[str]:
    with migrated.template(postgres_server) as name:
        yield name


@pytest.fixture(params=["sqlite", "postgres"])
def ops_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The test runs on both kinds of ops database: the URL of one at the newest revision, without a row."""
    if request.param == "sqlite":
        yield migrated.sqlite(tmp_path / "ops.db")
        return
    server, template = request.getfixturevalue("postgres_server"), request.getfixturevalue("ops_template")
    with pg.database(server, template=template) as url:
        yield url


@pytest.fixture(params=["duckdb", "postgres"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The test runs on both engines; settings that are loaded from now on name an empty warehouse."""
    if request.param == "postgres":
        monkeypatch.setenv("C4_WAREHOUSE", request.getfixturevalue("postgres"))
    else:
        monkeypatch.delenv("C4_WAREHOUSE", raising=False)
    return str(request.param)
