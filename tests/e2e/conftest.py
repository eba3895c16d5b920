"""The nights that several tests look at, run once per session (they are one xdist group)."""

from collections.abc import Iterator

import pytest

from ingestion.core.registry import connectors
from ingestion.sandbox.company import Company
from tests import postgres as pg
from tests.e2e.nights import Nights, two_nights
from tests.stand import FIRST_DAY, Stand, tills

READER_ROLE = "c4_test_reader"


@pytest.fixture(scope="session")
def group_company() -> Company:
    """Eight outlets with the tills of every vendor in turn, two days, late edits on the last."""
    return Company.build(outlets=8, days=2, start=FIRST_DAY, checks_per_day=15, pos=tills(list(connectors())))


@pytest.fixture(scope="session")
def group_nights(tmp_path_factory: pytest.TempPathFactory, group_company: Company) -> Iterator[tuple[Stand, Nights]]:
    """The company on DuckDB, after its last night."""
    with Stand.open(tmp_path_factory.mktemp("group"), made=group_company, days=group_company.days) as stand:
        yield stand, two_nights(stand)


@pytest.fixture
def group(group_nights: tuple[Stand, Nights]) -> Stand:
    return group_nights[0]


@pytest.fixture
def nights_on_duckdb(group_nights: tuple[Stand, Nights]) -> Nights:
    return group_nights[1]


@pytest.fixture(scope="session")
def postgres_nights(
    tmp_path_factory: pytest.TempPathFactory, group_company: Company, postgres_server: str
) -> Iterator[tuple[str, Nights]]:
    """The URL of a Postgres database that is warehouse and ops database of the same company, after its last night."""
    with pg.database(postgres_server) as url, pg.role(url, READER_ROLE):
        root = tmp_path_factory.mktemp("group_postgres")
        with pytest.MonkeyPatch.context() as patched:
            for name, value in {"C4_WAREHOUSE": url, "C4_OPS": url, "C4_READER_ROLE": READER_ROLE}.items():
                patched.setenv(name, value)
            with Stand.open(root, made=group_company, days=group_company.days) as stand:
                nights = two_nights(stand)
        yield url, nights


@pytest.fixture
def nights_on_postgres(postgres_nights: tuple[str, Nights]) -> Nights:
    return postgres_nights[1]
