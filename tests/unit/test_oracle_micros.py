"""Oracle MICROS Simphony: the connector against its sandbox over a real socket, its staging over what it loaded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests

from ingestion.core.errors import AccessError
from ingestion.core.http import ApiClient
from ingestion.sandbox.company import Company
from ingestion.sandbox.faults import Fault, FaultKind
from ingestion.sandbox.server import Request, Response, json_response
from ingestion.vendors.oracle_micros import CONNECTOR
from ingestion.vendors.oracle_micros.transport import LATE_DAYS
from tests.stand import FIRST_DAY, Stand
from tests.tills import (
    answer_with,
    assert_nobody_is_stored,
    assert_two_nights_are_true,
    staged,
    stand_of,
    sync_well,
)

pytestmark = pytest.mark.xdist_group("oracle-micros")  # one night for all that only look at it
VENDOR = "oracle-micros"
OIDC = "/oidc-provider/v1/oauth2"
DAY = "2026-04-04"
PLACE = "0001"


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    """Two locations: enough where one night is disturbed."""
    with stand_of(tmp_path, VENDOR, outlets=2) as made:
        yield made


@pytest.fixture(scope="module")
def last_night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """Everything read once, at the last night."""
    with stand_of(tmp_path_factory.mktemp("micros"), VENDOR) as made:
        sync_well(made)
        yield made


def watched(stand: Stand) -> list[tuple[Request, Response]]:
    """What the sandbox is asked and answers from now on."""
    seen: list[tuple[Request, Response]] = []

    def watch(request: Request, honest: Callable[[Request], Response]) -> Response:
        answer = honest(request)
        seen.append((request, answer))
        return answer

    answer_with(stand, watch)
    return seen


def client(stand: Stand, **credentials: str) -> ApiClient:
    sandbox = stand.running.sandbox(VENDOR)
    held = sandbox.credentials() | credentials
    return ApiClient(CONNECTOR, "till", sandbox.settings(stand.running.url(VENDOR)), held, sleep=lambda _: None)


# What lands and what staging makes of it


def test_two_nights_equal_the_company(tmp_path: Path) -> None:
    """Catches: late checks and voids behind the cursor, items taken back that are sold, discounts lost or doubled,
    transferred checks counted twice.
    """
    with stand_of(tmp_path, VENDOR) as stand:
        assert_two_nights_are_true(stand)
        lines = staged(stand, "current_lines")
        assert any(line["is_taken_back"] for line in lines), "no item was rung twice"
        assert any(row["xfer_to_chk_num"] for row in stand.raw(VENDOR)["guest_checks"]), "no check was moved"


def test_the_business_date_is_the_vendors(last_night: Stand) -> None:
    """Catches: sales after midnight on the calendar day; a refund on the day of its sale."""
    dates = last_night.running.sandbox(VENDOR)
    for check in staged(last_night, "checks"):
        outlet = last_night.company.outlet(dates.outlets()[check["source_outlet_id"]])
        assert check["source_business_date"] == last_night.company.business_date(outlet, check["opened_at"])


def test_simphonys_own_totals_agree_with_the_checks(last_night: Stand) -> None:
    """Catches: totals of one revenue centre only, a sign of discounts or returns, rounding that nothing explains."""
    measures = ("gross_sales", "discounts", "returns", "net_sales", "service_charge", "tax", "rounding")
    found: dict[tuple[str, date, str], Decimal] = defaultdict(Decimal)
    for check in staged(last_night, "checks"):
        for measure in () if check["is_voided"] else measures:
            found[check["source_outlet_id"], check["source_business_date"], measure] += check[measure]
    totals = {
        (row["source_outlet_id"], row["control_date"], row["measure"]): row["amount"]
        for row in staged(last_night, "pos_control_totals")
    }
    assert len(totals) == 5 * 3 * len(measures)  # locations, business dates
    assert {key: amount for key, amount in totals.items() if amount} == {
        key: amount for key, amount in found.items() if amount
    }


def test_a_date_that_the_location_has_not_reached_has_no_report(stand: Stand) -> None:
    """Catches: the empty report of a location that has not posted its day taken for a day without sales."""

    def not_yet(request: Request, honest: Callable[[Request], Response]) -> Response:
        if request.path.endswith("/getLatestBusDt") and request.json()["locRef"] == "0002":
            return json_response({"curUTC": "2026-04-06T22:00:00", "locRef": "0002", "latestBusDt": DAY})
        return honest(request)

    answer_with(stand, not_yet)
    sync_well(stand)
    reported = {(row["source_outlet_id"], row["control_date"]) for row in staged(stand, "pos_control_totals")}
    dates = [date(2026, 4, 4), date(2026, 4, 5), date(2026, 4, 6)]
    assert {day for place, day in reported if place == "0002"} == {dates[0]}
    assert {day for place, day in reported if place == PLACE} == set(dates)


def test_hours_and_jobs_are_the_companys(last_night: Stand) -> None:
    """Catches: overtime left out, a job code without a rate that has no hours, shifts of the wrong outlet or date."""
    outlets = last_night.running.sandbox(VENDOR).outlets()
    staff = {person["employee_id"]: person for person in staged(last_night, "employees")}
    hours: dict[tuple[str, date], Decimal] = defaultdict(Decimal)
    for punch in staged(last_night, "punches"):
        assert punch["is_approved"]
        hours[outlets[staff[punch["employee_id"]]["source_outlet_id"]], punch["work_date"]] += punch["hours"]
    shown = [last_night.company.outlet(outlet) for outlet in outlets.values()]
    truth = last_night.company.truth(last_night.now, shown)
    assert dict(hours) == {key: day.hours for key, day in truth.items() if day.hours}
    assert any(not row["reg_hrs"] for row in last_night.raw(VENDOR)["time_cards"])
    worked = {punch["employee_id"] for punch in staged(last_night, "punches")}
    jobs = {f"{key}-{p.number}": p.job_title for p in last_night.company.employees for key in outlets}
    assert worked
    assert all(staff[employee]["job_title"] == jobs[employee] for employee in worked)


def test_menu_and_modifiers(last_night: Stand) -> None:
    """Catches: lines without the code that costs go by, one location's numbers taken for another's, a happy hour's
    price for the menu's, condiments sold beside the item that has them.
    """
    known = {row["source_product_id"]: row for row in staged(last_night, "products")}
    menu = {(p.sku, p.name, p.category, p.price) for p in last_night.company.products}
    shown = [row for row in known.values() if row["list_price"] is not None]
    facts = [(r["product_code"], r["product_name"], r["source_category"], r["list_price"]) for r in shown]
    assert set(facts) == menu
    assert len(facts) == 5 * len(menu)
    assert not any(row["is_deleted"] for row in known.values())
    outlets = last_night.running.sandbox(VENDOR).outlets().values()
    checks = [c for outlet in outlets for c in last_night.company.checks(outlet) if c.known_at <= last_night.now]
    chosen = [(m.name, m.option, m.price * line.quantity) for c in checks for line in c.lines for m in line.modifiers]
    modifiers = staged(last_night, "check_modifiers")
    assert sorted((row["modifier_name"], row["option_name"], row["amount"]) for row in modifiers) == sorted(chosen)
    assert {row["line_id"] for row in modifiers} <= {row["line_id"] for row in staged(last_night, "check_lines")}


def test_nobody_is_stored(last_night: Stand) -> None:
    """Catches: names of guests, tables' guests or staff, e-mails and payroll numbers in a raw table."""
    assert_nobody_is_stored(last_night)
    stored = str(last_night.raw(VENDOR))
    assert not [p for p in last_night.company.employees if p.email in stored or f"'{p.last_name}'" in stored]
    assert None not in {check["staff_ref"] for check in staged(last_night, "checks")}


# Requests


def test_changes_are_asked_for_date_by_date(stand: Stand) -> None:
    """Catches: a night that reads everything again; a change of an earlier date that nobody asks for."""
    first, second = stand.company.nights()[-2:]
    stand.set_clock(first)
    sync_well(stand)
    seen = watched(stand)
    stand.set_clock(second)
    sync_well(stand)
    bodies = [request.json() for request, _ in seen if request.path.endswith("/getGuestChecks")]
    asked = sorted(body["busDt"] for body in bodies if body["locRef"] == PLACE)
    today = (second + timedelta(hours=7)).date()  # in Jakarta
    days = [(first + timedelta(hours=7)).date() - timedelta(days=1 + LATE_DAYS)]
    while days[-1] < today:
        days.append(days[-1] + timedelta(days=1))
    assert asked == [day.isoformat() for day in days]
    assert {body["changedSinceUTC"] for body in bodies} == {f"{first - timedelta(days=1):%Y-%m-%dT%H:%M:%S}"}
    known = stand.raw(VENDOR)["guest_checks"]
    answers = [msgspec.json.decode(a.body) for r, a in seen if r.path.endswith("/getGuestChecks")]
    assert 0 < sum(len(answer["guestChecks"] or ()) for answer in answers) < len(known)
    assert any(answer["guestChecks"] is None for answer in answers)


def test_the_sandbox_refuses_as_documented(stand: Stand) -> None:
    """Catches: a sandbox so kind that a request the vendor would refuse passes unnoticed."""
    calls = client(stand)
    url = f"{stand.running.url(VENDOR)}/bi/v1"
    org = calls.settings["org"]
    bearer = calls.request("POST", "getLocationDimensions", json={}).request.headers["Authorization"]
    access = bearer.replace("Bearer ", "Bearer access-")
    good = {"locRef": PLACE, "busDt": DAY}

    for method, path, token, body, status in (
        ("POST", f"{org}/getGuestChecks", bearer, good, 200),
        ("POST", f"{org}/getGuestChecks", access, good, 401),
        ("GET", f"{org}/getGuestChecks", bearer, good, 405),
        ("POST", "ELSE/getGuestChecks", bearer, good, 403),
        ("POST", f"{org}/getDailySalesSummary", bearer, good, 404),
        ("POST", f"{org}/getGuestChecks", bearer, {"busDt": DAY}, 400),
        ("POST", f"{org}/getGuestChecks", bearer, {"locRef": PLACE}, 400),
        ("POST", f"{org}/getGuestChecks", bearer, {**good, "opnBusDt": DAY}, 400),
        ("POST", f"{org}/getGuestChecks", bearer, {**good, "changedSinceUTC": f"{DAY}T00:00:00Z"}, 400),
        ("POST", f"{org}/getGuestChecks", bearer, {**good, "locRef": "9999"}, 403),
        ("POST", f"{org}/getOperationsDailyTotals", bearer, {**good, "changedSinceUTC": f"{DAY}T00:00:00"}, 400),
    ):
        answer = requests.request(method, f"{url}/{path}", headers={"Authorization": token}, json=body, timeout=10)
        assert answer.status_code == status, (path, body)
        assert status == 200 or answer.json()["detail"]


def test_a_run_signs_in_once_and_again_when_its_token_ends(stand: Stand) -> None:
    """Catches: a sign-in for each call or thread, an access token for a bearer, a night that ends with its token."""
    seen = watched(stand)
    sync_well(stand)
    steps = [request.path.removeprefix(OIDC) for request, _ in seen if request.path.startswith(OIDC)]
    assert steps == ["/authorize", "/signin", "/token"]
    challenges = [request.arg("code_challenge") for request, _ in seen if request.path == f"{OIDC}/authorize"]
    calls = client(stand)
    assert calls.request("POST", "getLocationDimensions", json={}).status_code == 200
    stand.running.sandbox(VENDOR).expire_tokens()
    assert calls.request("POST", "getLocationDimensions", json={}).status_code == 200
    later = [request.arg("code_challenge") for request, _ in seen if request.path == f"{OIDC}/authorize"]
    assert len(later) == 3
    assert len({*challenges, *later}) == 3, "a verifier was used twice"


def test_a_wrong_or_expired_password_needs_a_person(stand: Stand) -> None:
    """Catches: a password that is tried again and again until the account is locked; one that expired unsaid."""
    seen = watched(stand)
    with pytest.raises(AccessError):
        client(stand, password="else").request("POST", "getLocationDimensions", json={})
    assert len(seen) == 2

    def expired(request: Request, honest: Callable[[Request], Response]) -> Response:
        if request.path == f"{OIDC}/signin":
            return json_response({"success": False, "nextOp": "expired"})
        return honest(request)

    answer_with(stand, expired)
    with pytest.raises(AccessError, match=r"asks for 'expired'"):
        client(stand).request("POST", "getLocationDimensions", json={})


@pytest.mark.parametrize("step", ["authorize", "signin", "token"])
def test_a_sign_in_that_is_disturbed_is_made_anew(stand: Stand, step: str) -> None:
    """Catches: a passing fault of the sign-in that ends the night, or a code that is used after its session."""
    fault = Fault(kind=FaultKind.UNAVAILABLE, path=f"*/{step}", retry_after="0")
    stand.running.faults(VENDOR).add(fault)
    assert client(stand).request("POST", "getLocationDimensions", json={}).status_code == 200
    assert stand.running.faults(VENDOR).pending() == 0


def test_one_location_without_access_stops_no_other(stand: Stand) -> None:
    """Catches: an account that lost one location and with it the night of all."""

    def forbid(request: Request, honest: Callable[[Request], Response]) -> Response:
        if b'"0002"' in request.body:
            request.body = request.body.replace(b'"0002"', b'"0404"')
        return honest(request)

    answer_with(stand, forbid)
    (report,) = stand.sync_all()
    assert report.status == "partial"
    checks = next(result for result in report.streams if result.stream == "guest_checks")
    assert set(checks.failed) == {"0002"}
    assert "unauthorized location" in checks.error
    others = stand.running.sandbox(VENDOR).outlets().keys() - {"0002"}
    assert {check["source_outlet_id"] for check in staged(stand, "checks")} == others


# Checks as the simulated company never has them

STAMP = "2026-04-04T05:00:00"
LATER = "2026-04-04T06:00:00"
KINDS = {"menuItem", "discount", "serviceCharge", "tenderMedia"}
IN_TRUST = {"num": 9, "name": "Voucher sold", "revFlag": False, "chrgTipsFlag": False}


def line(number: int, total: float, quantity: float = 1, **more: Any) -> dict[str, Any]:
    told = {"guestCheckLineItemId": number, "dtlId": number, "aggTtl": total, "aggQty": quantity}
    return {**told, **({} if more.keys() & KINDS else {"menuItem": {"miNum": 2001}}), **more}


def discount(number: int, total: float, **more: Any) -> dict[str, Any]:
    return line(number, total, discount={"dscNum": 101}, **more)


def charge(number: int, total: float, kind: int) -> dict[str, Any]:
    return line(number, total, serviceCharge={"svcChgNum": kind})


def tender(number: int, total: float, kind: int = 1, **more: Any) -> dict[str, Any]:
    return line(number, total, **more, tenderMedia={"tmedNum": kind})


def check(*lines: dict[str, Any], total: float = 0, **more: Any) -> dict[str, Any]:
    told = {"opnBusDt": DAY, "opnUTC": STAMP, "clsdBusDt": DAY, "clsdUTC": STAMP, "lastUpdatedUTC": STAMP}
    return {**told, "clsdFlag": True, "chkTtl": total, "detailLines": list(lines), **more}


RETURNED = {"quantity": -1, "returnFlag": True}
TAXED = [
    line(1, 110, menuItem={"miNum": 2001, "inclTax": 10}),
    line(2, -11, parDtlId=1, discount={"dscNum": 101, "inclTax": -1}),
]
VAT = {"taxNum": 1, "taxCollTtl": 9, "txblSlsTtl": 90, "taxRate": 10, "type": 3}
BILLED = [line(1, 50), charge(2, 5, 1), charge(3, 7, 2), charge(4, 100, IN_TRUST["num"])]
CANCELLED = [line(1, 50), tender(2, 50), line(3, -50, -1, vdFlag=True), tender(4, -50, quantity=-1, vdFlag=True)]
CHECKS = {
    "plain": check(line(1, 50), total=50),
    "open": check(line(1, 50), total=50, clsdFlag=False, clsdBusDt=None, clsdUTC=None),
    "transferred": check(line(1, 50), total=50, xferStatus="T", xferToChkNum=7),
    "empty": check(detailLines=None, taxes=None),
    "reduced": check(
        *(line(1, 30), line(2, 30), line(3, 30), discount(4, -30, parDtlId=3), discount(5, -0.01), line(6, 40)),
        total=99.99,
    ),
    "part taken back": check(line(1, 90, 3), line(2, -30, -1, vdFlag=True), total=60),
    "exchange": check(line(1, 50), line(2, -20, **RETURNED), total=30),
    "refund": check(line(1, -20, **RETURNED), total=-20),
    "tax inside": check(*TAXED, total=99, taxCollTtl=9, taxes=[VAT]),
    "charged": check(*BILLED, tender(5, 12), tender(6, 150.5), total=162.5),
    "cancelled": check(*CANCELLED, cancelFlag=True),
    "unknown": check(line(1, 50), line(2, -5, discount={"dscNum": 777}), tender(3, 45, 888), total=45),
    "exact": check(line(1, 2734.821429), total=2734.821429),
}
IDS = {name: f"{PLACE}-{number}" for number, name in enumerate(CHECKS, start=1)}


def show(stand: Stand, checks: Sequence[dict[str, Any]]) -> None:
    """Read a night of these checks and of no others."""
    for number, told in enumerate(checks, start=1):
        told["guestCheckId"] = number
        for row in told["detailLines"] or ():
            row["guestCheckLineItemId"] = number * 100 + row["dtlId"]

    def tell(request: Request, honest: Callable[[Request], Response]) -> Response:
        answer = honest(request)
        told = msgspec.json.decode(answer.body) if answer.status == 200 and answer.body else {}
        if "guestChecks" in told:
            told["guestChecks"] = list(checks) if request.json()["busDt"] == DAY else None
        if "serviceCharges" in told:
            told["serviceCharges"].append(IN_TRUST)
        return json_response(told) if told else answer

    answer_with(stand, tell)
    sync_well(stand)


def stand_of_one(root: Path) -> Any:
    made = Company.build(outlets=1, days=1, start=FIRST_DAY, checks_per_day=1, pos=(VENDOR,))
    return Stand.open(root, [VENDOR], made=made, days=1)


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """A night of CHECKS."""
    with stand_of_one(tmp_path_factory.mktemp("by_hand")) as made:
        show(made, list(CHECKS.values()))
        yield made


def told(stand: Stand, name: str, entity: str) -> list[dict[str, Any]]:
    """What staging tells of one of CHECKS."""
    return [row for row in staged(stand, entity) if row["check_id"] == IDS[name]]


def figures(stand: Stand, name: str, names: str) -> list[Any]:
    (row,) = told(stand, name, "checks")
    return [row[column] for column in names.split()]


def test_what_is_no_sale_is_left_out(by_hand: Stand) -> None:
    """Catches: an open check sold before it is paid, a transferred one sold twice, absent lists that fail."""
    assert {row["check_id"] for row in staged(by_hand, "checks")} == {
        check_id for name, check_id in IDS.items() if name not in ("open", "transferred")
    }
    for entity in ("check_lines", "check_payments", "check_taxes"):
        ids = {row["check_id"] for row in staged(by_hand, entity)}
        assert not ids & {IDS["open"], IDS["transferred"], IDS["empty"]}
    assert figures(by_hand, "plain", "check_type net_sales bill_total") == ["sale", 50, 50]


def test_a_discount_of_the_check_is_spread_to_the_last_unit(by_hand: Stand) -> None:
    """Catches: a share lost in rounding, a discount of the whole check on an item that was given away."""
    found = {row["line_id"][-1]: row["discounts"] for row in told(by_hand, "reduced", "check_lines")}
    assert found == {"1": Decimal("0.003"), "2": Decimal("0.003"), "3": 30, "6": Decimal("0.004")}
    stated = figures(by_hand, "reduced", "gross_sales discounts net_sales rounding")
    assert stated == [130, Decimal("30.01"), Decimal("99.99"), 0]


def test_a_part_that_is_taken_back_stays_a_negative_line(by_hand: Stand) -> None:
    """Catches: a void of one of three that finds no pair and leaves the bill as it was."""
    assert sorted(row["net_sales"] for row in told(by_hand, "part taken back", "check_lines")) == [-30, 90]
    assert figures(by_hand, "part taken back", "check_type net_sales rounding") == ["sale", 60, 0]


def test_an_exchange_is_a_sale_with_returns(by_hand: Stand) -> None:
    """Catches: an item that came back counted as a void, or the whole check as a refund."""
    names = "check_type gross_sales returns net_sales rounding"
    assert figures(by_hand, "exchange", names) == ["sale", 50, 20, 30, 0]
    assert figures(by_hand, "refund", names) == ["refund", 0, 20, -20, 0]


def test_tax_inside_the_prices_is_no_revenue(by_hand: Stand) -> None:
    """Catches: prices with tax booked as sales."""
    stated = figures(by_hand, "tax inside", "gross_sales discounts net_sales tax rounding bill_total")
    assert stated == [100, 10, 90, 9, 0, 99]
    assert [(row["rate"], row["amount"]) for row in told(by_hand, "tax inside", "check_taxes")] == [(Decimal("0.1"), 9)]


def test_tips_and_money_in_trust_are_no_revenue(by_hand: Stand) -> None:
    """Catches: tips and deposits inside service charge or rounding; a tip taken from the smaller tender."""
    stated = figures(by_hand, "charged", "net_sales service_charge tip rounding bill_total")
    assert stated == [50, 5, 7, Decimal("0.5"), Decimal("62.5")]
    lines = {(r["line_type"], r["product_name"], r["net_sales"]) for r in told(by_hand, "charged", "check_lines")}
    assert lines == {("item", "Espresso", 50), ("deposit", "Voucher sold", 100)}
    payments = {(row["amount"], row["tip"]) for row in told(by_hand, "charged", "check_payments")}
    assert payments == {(12, 0), (Decimal("143.5"), 7)}


def test_a_cancelled_check_keeps_what_was_cancelled(by_hand: Stand) -> None:
    """Catches: a cancelled check that is sold, or whose amount is lost with its voids."""
    assert figures(by_hand, "cancelled", "is_voided gross_sales") == [True, 50]
    (sold,) = told(by_hand, "cancelled", "check_lines")
    assert (sold["is_voided"], sold["net_sales"]) == (True, 50)


def test_a_number_that_no_definition_knows_stays_in_sight(by_hand: Stand) -> None:
    """Catches: money of an unknown tender or discount that vanishes, or that is guessed to be something."""
    assert [row["source_tender"] for row in told(by_hand, "unknown", "check_payments")] == ["tender 888"]
    assert [row["discount_name"] for row in told(by_hand, "unknown", "check_lines")] == ["discount 777"]


def test_amounts_have_four_decimals(by_hand: Stand) -> None:
    """Catches: a check rejected because a till works its amounts out to more decimals."""
    assert figures(by_hand, "exact", "net_sales rounding") == [Decimal("2734.8214"), 0]


def test_the_last_state_of_a_check_counts(tmp_path: Path) -> None:
    """Catches: lines that left a check and stay with us; an older state that replaces a newer one."""
    older, newer = check(line(1, 50), line(2, 20), total=70), check(line(1, 50), total=50, lastUpdatedUTC=LATER)
    with stand_of_one(tmp_path) as stand:
        for state, lines in ((older, [20, 50]), (newer, [50]), (older, [50])):
            show(stand, [state])
            assert sorted(row["net_sales"] for row in staged(stand, "check_lines")) == lines
            (row,) = staged(stand, "checks")
            assert row["net_sales"] == sum(lines)
