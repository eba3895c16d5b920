"""Olsera: the connector against its sandbox over a real socket, its staging over what it loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ingestion.core.errors import AccessError
from ingestion.sandbox.faults import Fault, FaultKind
from ingestion.sandbox.server import Request, Response
from ingestion.vendors.olsera.records import indonesian
from ingestion.vendors.olsera.transport import olsera_auth
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

ORDERS = "/api/open-api/v1/id/order"
pytestmark = pytest.mark.xdist_group("olsera")  # one night for all that only look at it
SILENT = {"tax_amount", "service_charge_amount", "rounding", "payments", "is_void", "return_of_order_id"}


@pytest.fixture(scope="module")
def last_night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """Everything read once, at the last night, for tests that only look."""
    with stand_of(tmp_path_factory.mktemp("olsera"), "olsera") as made:
        sync_well(made)
        yield made


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    """Two outlets on the till system: enough where one night is disturbed."""
    with stand_of(tmp_path, "olsera", outlets=2) as made:
        yield made


def test_two_nights_equal_the_company(tmp_path: Path) -> None:
    """Catches: unclosed orders lost, cancelled ones kept, add-ons counted twice, local times in the wrong zone."""
    with stand_of(tmp_path, "olsera") as stand:
        assert_two_nights_are_true(stand, tells_voids=False, tells_taxes=False)


def test_olseras_own_totals_agree_with_the_orders(last_night: Stand) -> None:
    """Catches: 173.000 read as 173, a report of the wrong day, returns on the wrong day."""
    assert_own_totals_agree(last_night, "net_sales")


def test_a_day_without_sales_is_told_as_one(stand: Stand) -> None:
    """Catches: 404 for "no data" taken for a failure, or for silence: an empty day needs its proof."""
    stand.running.sandbox("olsera").bills = lambda store: []
    sync_well(stand)
    totals = staged(stand, "pos_control_totals")
    assert {(row["measure"], row["amount"]) for row in totals} == {("net_sales", 0), ("gross_sales", 0)}
    assert len(totals) == 2 * 2 * 3  # measures, stores, days
    assert staged(stand, "checks") == []


def test_a_wrong_address_is_no_empty_day(stand: Stand) -> None:
    """Catches: every 404 taken for "no data", which would empty the books when the vendor moves an endpoint."""

    def moved(request: Request, honest: Callable[[Request], Response]) -> Response:
        if request.path.startswith(ORDERS):
            request.path = "/api/open-api/v2/orders"
        return honest(request)

    sync_well(stand)
    before = stand.raw("olsera")
    answer_with(stand, moved)
    (report,) = stand.sync_all()
    orders = next(result for result in report.streams if result.stream == "orders")
    assert orders.status == "failed"
    assert "404" in orders.error
    assert stand.raw("olsera") == before


def test_an_order_between_the_lists_is_read_once(stand: Stand) -> None:
    """Catches: an order lost or doubled because it was closed after the open ones were read, or before its details."""
    night = stand.now
    stand.set_clock(night - timedelta(hours=6))  # while stores are open
    still_open: list[Any] = []

    def time_flies(request: Request, honest: Callable[[Request], Response]) -> Response:
        answer = honest(request)
        if request.path == f"{ORDERS}/openorder" and answer.status == 200:
            still_open.extend(msgspec.json.decode(answer.body)["data"])
            stand.clock.set(night)
        return answer

    answer_with(stand, time_flies)
    sync_well(stand)
    assert stand.now == night
    assert still_open
    listed = {row["check_id"] for row in staged(stand, "checks")}
    assert len(listed) == len(staged(stand, "check_payments"))
    stand.sync_all()
    assert_staging_is_true(stand, tells_voids=False, tells_taxes=False)
    assert listed <= {row["check_id"] for row in staged(stand, "checks")}


def test_an_order_that_vanishes_while_it_is_read_leaves_no_gap(stand: Stand) -> None:
    """Catches: a row moved over a page's border by a cancelled one, and lost; an order without details kept."""
    sandbox = stand.running.sandbox("olsera")
    bills = sandbox.bills
    gone: set[int] = set()
    sandbox.bills = lambda store: [bill for bill in bills(store) if bill.number not in gone]

    def cancel_the_first(request: Request, honest: Callable[[Request], Response]) -> Response:
        if request.path.startswith(ORDERS) and "per_page" in request.query:
            request.query["per_page"] = ["10"]
        answer = honest(request)
        if request.path == f"{ORDERS}/closeorder" and answer.status == 200 and not gone:
            gone.add(msgspec.json.decode(answer.body)["data"][0]["id"])
        return answer

    answer_with(stand, cancel_the_first)
    sync_well(stand)
    assert gone
    expected = {
        f"{store}-{bill.number}" for store in sandbox.tills for bill in sandbox.bills(store) if not bill.is_voided
    }
    assert {row["check_id"] for row in staged(stand, "checks")} == expected


def test_a_day_whose_details_cannot_be_had_counts_not_at_all(stand: Stand) -> None:
    """Catches: half a day loaded as a whole one, which would be posted."""

    def hide(request: Request, honest: Callable[[Request], Response]) -> Response:
        if request.path.endswith("/detail"):
            request.query["id"] = ["1"]
        return honest(request)

    answer_with(stand, hide)
    (report,) = stand.sync_all()
    orders = next(result for result in report.streams if result.stream == "orders")
    assert orders.status == "failed"
    assert "have no details" in orders.error
    assert staged(stand, "checks") == []


def test_orders_of_clients_that_tell_less_are_complete(stand: Stand) -> None:
    """Catches: a need for fields that no public client has ever seen. The tender is unknown then, the rest is tax."""

    def tell_less(request: Request, honest: Callable[[Request], Response]) -> Response:
        answer = honest(request)
        if request.path.endswith("/detail") and answer.status == 200:
            data = msgspec.json.decode(answer.body)
            data["data"] = {name: value for name, value in data["data"].items() if name not in SILENT}
            for item in data["data"]["orderitems"]:
                del item["discount_name"]
            answer.body = msgspec.json.encode(data)
        return answer

    answer_with(stand, tell_less)
    sync_well(stand)
    checks = staged(stand, "checks")
    assert {check["check_type"] for check in checks} == {"sale", "refund"}
    for check in checks:
        assert check["bill_total"] == check["net_sales"] + check["tax"]
        assert check["returns"] == (-check["net_sales"] if check["check_type"] == "refund" else 0)
    payments = {row["check_id"]: row for row in staged(stand, "check_payments")}
    assert {row["source_tender"] for row in payments.values()} == {"unknown"}
    assert {check["check_id"]: check["bill_total"] for check in checks} == {
        check_id: row["amount"] for check_id, row in payments.items()
    }


def test_the_menu_has_every_product_in_every_size(last_night: Stand) -> None:
    """Catches: variants that lose their product, lines whose product the menu does not know."""
    products = staged(last_night, "products")
    assert {row["product_code"] for row in products} == {p.sku for p in last_night.company.products if p.price > 1000}
    known = {row["source_product_id"]: row for row in products}
    lines = staged(last_night, "check_lines")
    assert {line["source_product_id"] for line in lines} <= known.keys()
    assert {known[line["source_product_id"]]["product_name"] for line in lines} == {
        line["product_name"] for line in lines
    }
    assert any(name.endswith(" Large") for name in {line["product_name"] for line in lines})


def test_one_store_without_access_stops_no_other(stand: Stand) -> None:
    """Catches: a revoked app of one store that takes the night of all stores."""
    platform = stand.platform()
    held = platform.ops.credentials("olsera-group")
    store = next(iter(stand.running.sandbox("olsera").tills))
    spoilt = held | {"secret_key": held["secret_key"].replace(f"{store}:", f"{store}:no-")}
    platform.ops.set_credentials("olsera-group", spoilt, who="test")
    (report,) = stand.sync_all()
    assert report.status == "partial"
    for result in report.streams:
        assert set(result.failed) == {store}
    assert {row["source_outlet_id"] for row in staged(stand, "checks")} == {
        key for key in stand.running.sandbox("olsera").tills if key != store
    }


def test_credentials_of_single_stores_reach_no_file(stand: Stand) -> None:
    """Catches: one store's key, a part of the stored credential, readable in a log or a store."""
    stand.running.faults("olsera").add(Fault(kind=FaultKind.ERROR, count=3, after=3))
    stand.sync_all()
    for path in [path for path in stand.root.rglob("*") if path.is_file()]:
        assert b"c4-sandbox-olsera-secret-6" not in path.read_bytes(), path.name


def test_nobodys_name_is_stored(last_night: Stand) -> None:
    assert_nobody_is_stored(last_night)
    assert None not in {check["staff_ref"] for check in staged(last_night, "checks")}


@pytest.mark.parametrize(
    ("text", "amount"), [("173.000", 173000), ("4.281,25", "4281.25"), ("-12.500", -12500), ("900", 900), ("0", 0)]
)
def test_indonesian_numbers(text: str, amount: Any) -> None:
    assert indonesian(text) == Decimal(amount)


@pytest.mark.parametrize("text", ["173.00", "1,234.5", "12a", "", "1.23.456"])
def test_numbers_of_another_kind_are_refused(text: str) -> None:
    """Catches: an English number read a thousand times too great."""
    with pytest.raises(ValueError, match="is not a number"):
        indonesian(text)


@pytest.mark.parametrize("app", ["just-one", "61001:a b", "61002:a", " "])
def test_credentials_name_their_store(app: str) -> None:
    """Catches: an app used for a store that is not its own, which would book one store's sales at another."""
    with pytest.raises(AccessError):
        olsera_auth({"app_id": app, "secret_key": "61001:x"}, {}, "http://localhost")
