"""NCR Aloha: dated folders of DBF files and the socket of a site's agent, against the simulated company."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stand import Stand
from tests.tills import assert_two_nights_are_true, stand_of


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    with stand_of(tmp_path, "ncr-aloha") as made:
        yield made


def test_two_nights_equal_the_company(stand: Stand) -> None:
    """Catches: voids, refunds and late checks of days that were ground again, modifiers counted twice or not at all."""
    assert_two_nights_are_true(stand, tells_running=False)
