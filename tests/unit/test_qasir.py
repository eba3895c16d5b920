"""Qasir: the connector against its sandbox over a real socket, its staging over what it loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from ingestion.sandbox.server import Request, Response, json_response
from tests.stand import Stand
from tests.tills import (
    answer_with,
    assert_nobody_is_stored,
    assert_two_nights_are_true,
    staged,
    stand_of,
    sync_well,
)

pytestmark = pytest.mark.xdist_group("qasir")  # one night for all that only look at it


@pytest.fixture(scope="module")
def last_night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """Everything read once, at the last night, for tests that only look."""
    with stand_of(tmp_path_factory.mktemp("qasir"), "qasir") as made:
        sync_well(made)
        yield made


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    """Two outlets on the till system: enough where one night is disturbed."""
    with stand_of(tmp_path, "qasir", outlets=2) as made:
        yield made


def test_two_nights_equal_the_company(tmp_path: Path) -> None:
    """Catches: voids, refunds and late sales behind the cursor, refunds on the wrong day, change booked as sales."""
    with stand_of(tmp_path, "qasir") as stand:
        assert_two_nights_are_true(stand, tells_taxes=False)


def test_the_second_night_asks_for_changes_only(stand: Stand) -> None:
    """Catches: a cursor that never moves; an offset lost on the way (`+` unescaped is a blank)."""
    asked: list[str] = []

    def listen(request: Request, honest: Callable[[Request], Response]) -> Response:
        asked.extend(request.query.get("updated_since", []))
        return honest(request)

    answer_with(stand, listen)
    first, second = stand.company.nights()[-2:]
    for night in (first, second):
        stand.set_clock(night)
        sync_well(stand)
    assert set(asked) == {"2026-04-03T00:00:00+00:00", "2026-04-04T22:00:00+00:00"}


def test_a_sale_that_changes_while_we_page_hides_no_other(stand: Stand) -> None:
    """Catches: sales pulled over a page's border by one that moved behind them, and lost for good."""
    sandbox = stand.running.sandbox("qasir")
    changed, moved = sandbox._changed, set()
    sandbox._changed = lambda request, key: sorted(changed(request, key), key=lambda bill: bill.uid in moved)

    def change_one(request: Request, honest: Callable[[Request], Response]) -> Response:
        if request.path != "/v1/sales":
            return honest(request)
        request.query["count"] = ["10"]
        answer = honest(request)
        if not moved:
            moved.add(msgspec.json.decode(answer.body)["data"][0]["mobile_sales_id"])
        return answer

    answer_with(stand, change_one)
    sync_well(stand)
    known = sum(bill.refund is None for key in sandbox.tills for bill in sandbox.bills(key))
    assert sum(check["check_type"] == "sale" for check in staged(stand, "checks")) == known


def test_a_refusal_inside_a_200_is_a_failure(stand: Stand) -> None:
    """Catches: an error in the envelope taken for an empty page."""
    answer_with(stand, lambda request, honest: json_response({"code": 500, "message": "Terjadi kesalahan", "data": []}))
    (report,) = stand.sync_all()
    assert report.status == "failed"
    assert all("Terjadi kesalahan" in result.error for result in report.streams)
    assert not any(stand.raw("qasir").values())


def test_prices_with_tax_are_refused_and_told(stand: Stand) -> None:
    """Catches: tax booked as sales because a sale's prices include it."""

    def include(request: Request, honest: Callable[[Request], Response]) -> Response:
        answer = honest(request)
        if request.path == "/v1/sales":
            answer.body = answer.body.replace(b'"tax_inclusive":false', b'"tax_inclusive":true', 1)
        return answer

    answer_with(stand, include)
    stand.sync_all()
    rejects = stand.open_rejects()
    assert {(reject["field"], reject["stream"]) for reject in rejects} == {("tax_inclusive", "sales")}
    sandbox = stand.running.sandbox("qasir")
    known = sum(bill.refund is None for key in sandbox.tills for bill in sandbox.bills(key))
    sales = [check for check in staged(stand, "checks") if check["check_type"] == "sale"]
    assert len(sales) + len(rejects) == known


def test_change_is_no_revenue(last_night: Stand) -> None:
    """Catches: the tendered amount taken for what was paid."""
    paid: dict[str, Decimal] = {}
    for row in staged(last_night, "check_payments"):
        paid[row["check_id"]] = paid.get(row["check_id"], Decimal(0)) + row["amount"]
    assert paid == {check["check_id"]: check["bill_total"] for check in staged(last_night, "checks")}
    assert any(row["change"] > 0 for row in last_night.raw("qasir")["payments"])


def test_the_menu_has_every_variant(last_night: Stand) -> None:
    """Catches: variants that lose their product, one outlet's variants over another's."""
    products = {row["source_product_id"]: row for row in staged(last_night, "products")}
    menu = last_night.company.menu(last_night.company.outlets[0])
    assert {row["product_code"] for row in products.values()} == {product.sku for product in menu}
    assert len(products) == len(staged(last_night, "products")) > 5 * len(menu)
    for line in staged(last_night, "check_lines"):
        assert products[line["source_product_id"]]["product_name"] == line["product_name"]
        assert products[line["source_product_id"]]["source_category"] == line["source_category"]


def test_nobodys_name_is_stored(last_night: Stand) -> None:
    assert_nobody_is_stored(last_night)
    assert None not in {check["staff_ref"] for check in staged(last_night, "checks")}
