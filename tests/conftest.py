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
