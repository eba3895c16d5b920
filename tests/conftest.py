"""Fixtures that several suites share."""

from collections.abc import Iterator

import pytest

from tests import postgres as pg


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


@pytest.fixture(params=["duckdb", "postgres"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The test runs on both engines; settings that are loaded from now on name an empty warehouse."""
    if request.param == "postgres":
        monkeypatch.setenv("C4_WAREHOUSE", request.getfixturevalue("postgres"))
    else:
        monkeypatch.delenv("C4_WAREHOUSE", raising=False)
    return str(request.param)
