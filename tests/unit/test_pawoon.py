"""Pawoon: the connector against its sandbox over a real socket, its staging over what it loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ingestion.sandbox.server import Request, Response, json_response
from tests.stand import Stand
from tests.tills import (
    answer_with,
    assert_nobody_is_stored,
    assert_own_totals_agree,
    assert_staging_is_true,
    assert_two_nights_are_true,
    staged,
    stand_of,
    sync_well,
)

pytestmark = pytest.mark.xdist_group("pawoon")  # one night for all that only look at it
CERTAIN = {"id", "receipt_code", "device_timestamp", "final_amount", "total_discount"}  # seen in client code


@pytest.fixture(scope="module")
def last_night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """Everything read once, at the last night, for tests that only look."""
    with stand_of(tmp_path_factory.mktemp("pawoon"), "pawoon") as made:
        sync_well(made)
        yield made


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    """Two outlets on the till system: enough where one night is disturbed."""
    with stand_of(tmp_path, "pawoon", outlets=2) as made:
        yield made


def test_two_nights_equal_the_company(tmp_path: Path) -> None:
    """Catches: late uploads and late voids missed, refunds with the wrong sign, local times in the wrong zone."""
    with stand_of(tmp_path, "pawoon") as stand:
        assert_two_nights_are_true(stand)


def test_pawoons_own_totals_agree_with_the_receipts(last_night: Stand) -> None:
    """Catches: a report of the wrong day or zone, totals with tax compared with totals without."""
    assert_own_totals_agree(last_night, "gross_sales discounts net_sales")


def test_windows_are_local_and_closed_days_come_first(tmp_path: Path) -> None:
    """Catches: bounds in UTC, which lose an outlet's morning; the running day, whose first hours count, unread."""
    asked: list[tuple[str, str, str]] = []

    def listen(request: Request, honest: Callable[[Request], Response]) -> Response:
        if request.path == "/transactions":
            bounds = ("outlet_id", "start_device_timestamp", "end_device_timestamp")
            asked.append(tuple(map(request.arg, bounds)))  # type: ignore[arg-type]
        return honest(request)

    with stand_of(tmp_path, "pawoon") as stand:
        answer_with(stand, listen)
        sync_well(stand)
        for outlet in stand.running.sandbox("pawoon").tills:
            windows = [(start, end) for key, start, end in asked if key == outlet]
            days = [f"2026-04-0{number}" for number in range(3, 8)]  # the night of the 6th is the morning of the 7th
            assert windows == [(f"{day}T00:00:00", f"{day}T23:59:59") for day in days]


def test_a_late_upload_while_paging_loses_nothing(stand: Stand) -> None:
    """Catches: receipts pushed over a page's border by one that a tablet delivers between two pages."""
    sandbox = stand.running.sandbox("pawoon")
    bills, day = sandbox.bills, stand.company.dates[1]
    late = {key: [bill for bill in bills(key) if bill.day == day][-1].uid for key in sandbox.tills}
    hidden = set(late.values())
    sandbox.bills = lambda key: [bill for bill in bills(key) if bill.uid not in hidden]

    def upload(request: Request, honest: Callable[[Request], Response]) -> Response:
        if request.path != "/transactions":
            return honest(request)
        request.query["per_page"] = ["7"]
        answer = honest(request)
        if (request.arg("page"), request.arg("start_device_timestamp")[:10]) == ("1", str(day)):
            hidden.discard(late[request.arg("outlet_id")])
        return answer

    answer_with(stand, upload)
    sync_well(stand)
    known = {bill.uid for key in sandbox.tills for bill in bills(key)}
    assert hidden == set()
    assert {row["check_id"] for row in staged(stand, "checks")} == known - set(late.values())
    sync_well(stand)
    assert_staging_is_true(stand)


def test_receipts_without_lines_are_read_one_by_one(stand: Stand) -> None:
    """Catches: lines that are missing because the list does not have them."""
    details: list[str] = []

    def thin(request: Request, honest: Callable[[Request], Response]) -> Response:
        answer = honest(request)
        if request.path.startswith("/transactions/"):
            details.append(request.path)
        if request.path == "/transactions":
            answer.body = without(answer.body, lambda name: name == "items")
        return answer

    answer_with(stand, thin)
    sync_well(stand)
    assert len(set(details)) == len(details) == len(staged(stand, "checks"))
    assert_staging_is_true(stand)


def test_receipts_are_complete_with_what_is_certain(stand: Stand) -> None:
    """Catches: a need for fields that no public client has ever seen."""

    def tell_less(request: Request, honest: Callable[[Request], Response]) -> Response:
        answer = honest(request)
        if request.path.startswith("/transactions"):
            answer.body = without(answer.body, lambda name: name not in CERTAIN)
        return answer

    answer_with(stand, tell_less)
    sync_well(stand)
    sandbox = stand.running.sandbox("pawoon")
    checks = {check["check_id"]: check for check in staged(stand, "checks")}
    for key in sandbox.tills:
        for bill in sandbox.bills(key):
            assert checks[bill.uid]["bill_total"] == checks[bill.uid]["net_sales"] == bill.money.total
    assert {row["source_tender"] for row in staged(stand, "check_payments")} == {"unknown"}


def without(body: bytes, is_left_out: Callable[[str], bool]) -> bytes:
    """An answer whose receipts lack some fields."""
    answer = msgspec.json.decode(body)
    if isinstance(answer["data"], list):
        answer["data"] = [_less(row, is_left_out) for row in answer["data"]]
    else:
        answer["data"] = _less(answer["data"], is_left_out)
    return msgspec.json.encode(answer)


def _less(row: dict[str, Any], is_left_out: Callable[[str], bool]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if not is_left_out(name)}


def test_a_refusal_inside_a_200_is_a_failure(stand: Stand) -> None:
    """Catches: an error in the outer envelope taken for a report."""

    def refuse(request: Request, honest: Callable[[Request], Response]) -> Response:
        if request.path == "/reports/summary":
            return json_response({"status": 503, "message": "Report is being prepared", "data": None})
        return honest(request)

    answer_with(stand, refuse)
    (report,) = stand.sync_all()
    failed = {result.stream: result.error for result in report.streams if result.status != "ok"}
    assert failed.keys() == {"summary"}
    assert "Report is being prepared" in failed["summary"]


def test_the_menu_has_prices_and_codes(last_night: Stand) -> None:
    """Catches: the useless price 0 of a product with variants, a variant without its product, lines without a SKU."""
    menu = last_night.company.menu(last_night.company.outlets[0])
    products = staged(last_night, "products")
    assert {row["product_code"] for row in products} == {product.sku for product in menu}
    assert all(row["list_price"] > 0 for row in products)
    assert len({row["source_product_id"] for row in products}) == len(products)
    assert {line["source_product_id"] for line in staged(last_night, "check_lines")} <= {
        row["source_product_id"] for row in products
    }


def test_nobodys_name_is_stored(last_night: Stand) -> None:
    assert_nobody_is_stored(last_night)
    assert None not in {check["staff_ref"] for check in staged(last_night, "checks")}
