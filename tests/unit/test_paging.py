"""Listings in numbered pages, and the words of a refusal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import requests

from ingestion.core.errors import PageError, RetriableError
from ingestion.core.paging import LISTING_TRIES, read_listing
from ingestion.core.refusals import json_refusal


def pages_of(*readings: list[list[int]], total: int) -> tuple[Any, list[int]]:
    """A server that shows another state of its rows with each reading; and the pages it was asked for."""
    asked: list[int] = []
    states: Iterator[list[list[int]]] = iter(readings)
    state: list[list[int]] = []

    def page(number: int) -> bytes:
        nonlocal state
        asked.append(number)
        if number == 1:
            state = next(states)
        rows = [{"id": row} for row in state[number - 1]] if number <= len(state) else []
        return msgspec.json.encode({"data": rows, "meta": {"total": total}})

    return page, asked


def test_pages_are_read_to_the_total() -> None:
    """Catches: an end at the first short page; a page asked for beyond the last."""
    page, asked = pages_of([[1, 2], [3], [4, 5]], total=5)
    pages, ids = read_listing(page)
    assert (ids, asked, len(pages)) == ([1, 2, 3, 4, 5], [1, 2, 3], 3)


def test_a_row_lost_over_a_border_is_read_again() -> None:
    """Catches: a row pulled to a page that was read already."""
    page, asked = pages_of([[1, 2], [4, 5, 2]], [[2, 3], [4, 5, 6]], total=5)
    pages, ids = read_listing(page)
    assert (ids, asked) == ([2, 3, 4, 5, 6], [1, 2, 1, 2])
    assert len(pages) == 2


def test_a_listing_that_never_rests_is_given_up() -> None:
    """Catches: an endless loop, or half a listing taken for a whole one."""
    page, asked = pages_of(*[[[1, 2], [2]]] * 9, total=3)
    with pytest.raises(RetriableError, match="moved"):
        read_listing(page)
    assert asked.count(1) == LISTING_TRIES


def test_a_listing_without_a_total_has_one_page() -> None:
    pages, ids = read_listing(lambda number: b'{"data": [{"id": "a"}, {"id": "b"}]}')
    assert (len(pages), ids) == (1, ["a", "b"])


def test_the_total_may_stand_elsewhere_and_rows_without_an_id_count() -> None:
    """Catches: a broken row that makes its listing look incomplete, instead of being rejected by itself."""
    content = b'{"data": [{"id": 1}, {"name": "x"}], "pagination": {"total_result": 2}}'
    pages, ids = read_listing(lambda number: content, "pagination.total_result")
    assert (pages, ids) == ([content], [1])


def test_another_shape_is_no_listing() -> None:
    with pytest.raises(PageError):
        read_listing(lambda number: b'{"message": "maintenance"}')


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (404, b'{"error": {"status_code": 404, "message": "Data not found"}}', "Data not found"),
        (401, b'{"error": "invalid_client"}', "invalid_client"),
        (422, b'{"message": "wrong", "errors": {}}', "wrong"),
        (404, b"<html>not found</html>", None),
        (404, b"{}", None),
        (200, b'{"message": "OK", "data": []}', None),
        (200, b'{"code": 200, "message": "OK"}', None),
        (200, b'{"code": 500, "message": "broken"}', "broken"),
        (200, b'{"code": 429}', "code 429"),
        (200, b"[1, 2]", None),
    ],
)
def test_the_words_of_a_refusal(status: int, body: bytes, words: str | None) -> None:
    """Catches: a good answer taken for a refusal, an HTML page quoted as the vendor's words."""
    answer = requests.Response()
    answer.status_code, answer._content = status, body
    assert json_refusal("code")(answer) == words
