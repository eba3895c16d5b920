"""From rows to checks: money that adds up, refunds, broken rows, and files in dialects nobody planned for."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr
from zoneinfo import ZoneInfo

import msgspec
import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl.cell import WriteOnlyCell

from ingestion.vendors.files import reading as reading_module
from ingestion.vendors.files.checks import allocate
from ingestion.vendors.files.formats import FileError
from ingestion.vendors.files.mapping import Mapping
from ingestion.vendors.files.reading import Reading
from ingestion.vendors.files.records import Check

ZONES = {"A": ZoneInfo("Asia/Jakarta"), "B": ZoneInfo("Asia/Makassar")}
BASE: dict[str, Any] = {
    "name": "t",
    "format": "csv",
    "outlet": {"constant": "A"},
    "check": {
        "id": "bill",
        "opened_at": {"column": "at", "formats": ["%Y-%m-%d %H:%M"]},
        "channel": {"constant": "Dine In"},
        "tender": {"constant": "Cash"},
    },
    "line": {"product_code": "item", "quantity": "qty", "unit_price": "price"},
}
HEADER = "bill,at,item,qty,price"


def mapping(**changes: Any) -> Mapping:
    """BASE with changes; `check` and `line` are merged, a None takes a key away."""
    made = {**BASE, **changes}
    for part in ("check", "line"):
        merged = {**BASE[part], **changes.get(part, {})}
        made[part] = {key: value for key, value in merged.items() if value is not None}
    return msgspec.convert(made, Mapping, strict=False)


def read(tmp_path: Path, text: str, name: str = "sales.csv", **changes: Any) -> tuple[list[Check], Reading]:
    path = tmp_path / name
    path.write_text(text)
    made = Reading(path, name, "r", mapping(**changes), ZONES)
    return list(made.checks()), made


def rejected(made: Reading) -> list[tuple[int, str]]:
    return [(reject.row, reject.field) for reject in made.rejects]


def adds_up(check: Check) -> bool:
    """Every identity a check must hold, whatever file it came from."""
    sold = [line for line in check.lines if check.is_voided or not line.is_voided]
    return (
        all(line.net_sales == line.gross_sales - line.discounts - line.comps - line.returns for line in check.lines)
        and all(
            getattr(check, name) == sum(getattr(line, name) for line in sold)
            for name in ("gross_sales", "discounts", "comps", "returns", "net_sales")
        )
        and check.bill_total == check.net_sales + check.service_charge + check.tax + check.tip + check.rounding
        and sum(payment.amount + payment.tip for payment in check.payments) == check.bill_total
    )


def test_rows_of_a_check_need_not_stand_together(tmp_path: Path) -> None:
    text = f"{HEADER}\n1,2026-04-05 10:00,A,2,1.50\n2,2026-04-05 10:01,B,1,4\n1,2026-04-05 10:05,C,1,2\n"
    checks, made = read(tmp_path, text)
    assert [(c.check_id, len(c.lines), c.net_sales) for c in checks] == [
        ("1", 2, Decimal("5.00")),
        ("2", 1, Decimal(4)),
    ]
    assert checks[0].opened_at == datetime(2026, 4, 5, 3, tzinfo=UTC)
    assert checks[0].closed_at == datetime(2026, 4, 5, 3, 5, tzinfo=UTC)
    assert all(map(adds_up, checks))
    assert made.rejects == []


def test_a_large_file_is_parted_without_losing_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: checks torn apart between parts, values changed on their way through the disk."""
    rows = [f"{n % 97},2026-04-05 10:00,I{n},{n % 3 + 1},1.25" for n in range(1000)]
    text = "\n".join([HEADER, *rows])
    whole, _ = read(tmp_path, text)
    monkeypatch.setattr(reading_module, "PART_BYTES", 2000)
    parted, _ = read(tmp_path, text)
    assert sorted(parted, key=lambda c: c.check_id) == sorted(whole, key=lambda c: c.check_id)


# Money


@pytest.mark.parametrize(
    ("line", "row", "quantity", "unit_price", "net"),
    [
        ({"unit_price": "price"}, "3,1.333", "3", "1.333", "4.00"),
        ({"unit_price": None, "total": "price"}, "3,10", "3", "3.3333", "10"),
        ({"total": "price", "unit_price": {"constant": 9}}, "3,10", "3", "9", "10"),
        ({"quantity": {"constant": 1}}, "7,2.39", "1", "2.39", "2.39"),
    ],
)
def test_price_and_total_are_derived_from_each_other(
    tmp_path: Path, line: dict[str, Any], row: str, quantity: str, unit_price: str, net: str
) -> None:
    checks, _ = read(tmp_path, f"{HEADER}\n1,2026-04-05 10:00,A,{row}\n", line=line)
    got = checks[0].lines[0]
    assert (got.quantity, got.unit_price, got.net_sales) == (Decimal(quantity), Decimal(unit_price), Decimal(net))


def test_prices_with_tax_give_net_by_the_residual_rule(tmp_path: Path) -> None:
    """P = 115,500 at 10 %: tax 10,500, net 105,000; over three equal lines the parts still add up."""
    text = f"{HEADER}\n1,2026-04-05 10:00,A,1,115500\n" + "".join(
        f"2,2026-04-05 10:00,{item},1,3333\n" for item in "ABC"
    )
    checks, _ = read(tmp_path, text, prices="inclusive", tax_rate="0.10", numbers={"places": 0})
    assert (checks[0].tax, checks[0].net_sales) == (10500, 105000)
    assert (checks[1].tax, [line.net_sales for line in checks[1].lines]) == (909, [3030, 3030, 3030])
    assert all(map(adds_up, checks))


def test_discounts_in_prices_with_tax_lose_their_tax(tmp_path: Path) -> None:
    text = "bill,at,item,qty,price,disc,gst\n1,2026-04-05 10:00,A,2,11,2.2,1.8\n"
    checks, _ = read(tmp_path, text, prices="inclusive", tax_rate="0.10", line={"discount": "disc", "tax": "gst"})
    check = checks[0]
    assert (check.gross_sales, check.discounts, check.net_sales, check.tax) == (
        Decimal("20.00"), Decimal("2.00"), Decimal("18.0"), Decimal("1.8"),
    )  # fmt: skip
    assert adds_up(check)


def test_a_discount_of_the_check_is_shared_by_largest_remainder(tmp_path: Path) -> None:
    """10,000 over three equal lines: 3,334 / 3,333 / 3,333."""
    text = "bill,at,item,qty,price,disc,promo\n" + "".join(
        f"1,2026-04-05 10:00,{item},1,50000,{'10000' if item == 'A' else ''},Member\n" for item in "ABC"
    )
    checks, _ = read(tmp_path, text, numbers={"places": 0}, check={"discount": "disc", "discount_name": "promo"})
    assert [line.discounts for line in checks[0].lines] == [3334, 3333, 3333]
    assert {line.discount_name for line in checks[0].lines} == {"Member"}


def test_check_values_on_every_row_count_once(tmp_path: Path) -> None:
    """Catches: a tip or service charge multiplied by the lines of its check; what the bill leaves over is rounding."""
    text = "bill,at,item,qty,price,svc,tax,tip,total\n" + "1,2026-04-05 10:00,A,1,1001.5,100,110,50,2213.5\n" * 2
    heads = {"service_charge": "svc", "tax": "tax", "tip": "tip", "bill_total": "total"}
    checks, made = read(tmp_path, text, check=heads)
    check = checks[0]
    assert made.rejects == []
    assert (check.service_charge, check.tax, check.tip, check.rounding) == (100, 110, 50, Decimal("0.5"))
    assert adds_up(check)
    totals = {total.measure: total.amount for total in made.control_totals}
    assert (totals["tax"], totals["service_charge"], totals["net_sales"]) == (110, 100, Decimal("2003.00"))


def test_a_bill_that_does_not_add_up_is_rejected(tmp_path: Path) -> None:
    """Catches: a mapping that takes the wrong column for the discount."""
    text = "bill,at,item,qty,price,total\n1,2026-04-05 10:00,A,1,10,12\n2,2026-04-05 10:00,A,1,10,10.5\n"
    checks, made = read(tmp_path, text, check={"bill_total": "total"})
    assert rejected(made) == [(2, "check.bill_total")]
    assert [check.rounding for check in checks] == [Decimal("0.50")]


def test_rows_that_contradict_their_check_are_rejected(tmp_path: Path) -> None:
    text = (
        "bill,at,item,qty,price,tip,id\n1,2026-04-05 10:00,A,1,10,5,a\n1,2026-04-05 10:00,B,1,10,6,b\n"
        "1,2026-04-05 10:00,C,1,10,,a\n1,2026-04-07 10:00,D,1,10,,d\n1,2026-04-05 10:00,E,1,10,,e\n"
    )
    checks, made = read(tmp_path, text, check={"tip": "tip"}, line={"id": "id"})
    assert rejected(made) == [(3, "check.tip"), (4, "line.id"), (5, "check.opened_at")]
    assert [line.product_code for line in checks[0].lines] == ["A", "E"]


def test_tenders_by_row_share_the_bill_and_listed_payments_stand(tmp_path: Path) -> None:
    text = (
        "bill,at,item,qty,price,pay,cash,card\n"
        "1,2026-04-05 10:00,A,1,30,Cash,10,35\n1,2026-04-05 10:00,B,1,15,Visa,10,35\n"
    )
    checks, _ = read(tmp_path, text, check={"tender": "pay"})
    assert [(p.tender, p.amount) for p in checks[0].payments] == [("Cash", 30), ("Visa", 15)]
    payments = [{"tender": {"constant": name}, "amount": name.lower()} for name in ("Cash", "Card")]
    checks, _ = read(tmp_path, text, check={"tender": None}, payments=payments)
    assert [(p.tender, p.amount) for p in checks[0].payments] == [("Cash", 10), ("Card", 35)]


def test_cancelled_lines_and_checks_keep_their_amounts_apart(tmp_path: Path) -> None:
    text = (
        "bill,at,item,qty,price,off,state\n1,2026-04-05 10:00,A,1,10,N,OK\n1,2026-04-05 10:00,B,1,7,Y,OK\n"
        "2,2026-04-05 10:00,A,1,5,N,VOID\n3,2026-04-05 10:00,A,1,4,Y,OK\n"
    )
    state = {"column": "state", "values": {"OK": False, "VOID": True}}
    checks, made = read(tmp_path, text, line={"voided": "off"}, check={"voided": state})
    assert [(c.check_id, c.is_voided, c.net_sales) for c in checks] == [
        ("1", False, 10),
        ("2", True, 5),
        ("3", True, 4),
    ]
    assert all(map(adds_up, checks))
    totals = {total.measure: total.amount for total in made.control_totals}
    assert (totals["checks"], totals["net_sales"]) == (1, 10)


@given(
    st.integers(-(10**9), 10**9),
    st.lists(st.integers(0, 10**7), min_size=1, max_size=9),
    st.sampled_from([0, 2]),
)
def test_shares_always_add_up_and_stay_within_one_unit(whole: int, weights: list[int], places: int) -> None:
    amount = Decimal(whole).scaleb(-places)
    parts = allocate(amount, [Decimal(weight) for weight in weights], places)
    assert sum(parts) == amount
    if sum(weights):
        for part, weight in zip(parts, weights, strict=True):
            assert abs(part - amount * weight / sum(weights)) < Decimal(1).scaleb(-places)


# Refunds


REFUND = f"{HEADER}\n1,2026-04-05 10:00,A,2,10\n1,2026-04-05 10:00,B,1,5\n1,2026-04-05 10:00,A,-1,10\n"


def test_negative_rows_are_rejected_unless_the_mapping_says_what_they_are(tmp_path: Path) -> None:
    checks, made = read(tmp_path, REFUND)
    assert rejected(made) == [(4, "price")]
    assert [check.net_sales for check in checks] == [25]


def test_negative_rows_as_a_refund_of_its_own(tmp_path: Path) -> None:
    sale, refund = read(tmp_path, REFUND, negative="refund", tax_rate="0.10")[0]
    assert (sale.check_type, sale.net_sales, sale.tax) == ("sale", 25, Decimal("2.50"))
    assert (refund.check_id, refund.check_type) == ("1-refund", "refund")
    assert (refund.gross_sales, refund.returns, refund.net_sales, refund.tax) == (0, 10, -10, Decimal("-1.00"))
    assert refund.lines[0].quantity == -1
    assert refund.payments[0].amount == -11
    assert adds_up(sale)
    assert adds_up(refund)


def test_negative_rows_as_goods_given_back_within_a_sale(tmp_path: Path) -> None:
    (check,) = read(tmp_path, REFUND, negative="return", prices="inclusive", tax_rate="0.10")[0]
    assert (check.check_type, check.bill_total, check.returns) == ("sale", 15, Decimal("9.09"))
    assert adds_up(check)


@pytest.mark.parametrize("sign", ["", "-"])
def test_refunds_told_by_type_with_either_sign(tmp_path: Path, sign: str) -> None:
    text = (
        "bill,at,item,qty,price,kind,of,tip,total\n1,2026-04-05 10:00,A,1,10,S,,0,10\n"
        f"2,2026-04-06 10:00,A,{sign}1,10,R,1,0,{sign}10\n"
    )
    kind = {"column": "kind", "values": {"S": "sale", "R": "refund"}}
    sale, refund = read(
        tmp_path, text, negative="refund", check={"type": kind, "refund_of": "of", "tip": "tip", "bill_total": "total"}
    )[0]
    assert (refund.refunded_check_id, refund.net_sales, refund.bill_total) == (sale.check_id, -10, -10)
    assert adds_up(refund)


# Ids, outlets, days


def test_the_same_number_at_two_outlets_is_two_checks(tmp_path: Path) -> None:
    text = "bill,at,item,qty,price,shop\n" + "".join(f"1,2026-04-05 10:00,A,1,10,{shop}\n" for shop in "ABC")
    checks, made = read(tmp_path, text, outlet="shop")
    assert [(c.check_id, c.check_number, c.opened_at.hour) for c in checks] == [("A-1", "A-1", 3), ("B-1", "B-1", 2)]
    assert rejected(made) == [(4, "shop")]


def test_numbers_that_start_again_each_day_take_the_date_into_the_id(tmp_path: Path) -> None:
    text = "bill,at,item,qty,price,day\n1,2026-04-05 10:00,A,1,10,5\n1,2026-04-06 10:00,A,1,10,6\n"
    checks, _ = read(tmp_path, text, check={"id": ["day", "bill"]})
    assert [check.check_id for check in checks] == ["5-1", "6-1"]


def test_rows_without_a_check_become_one_each(tmp_path: Path) -> None:
    text = f"{HEADER}\nx,2026-04-05 10:00,A,1,10\nx,2026-04-05 10:00,A,1,10\n"
    checks, _ = read(tmp_path, text, check={"id": None})
    assert [check.check_id for check in checks] == ["sales.csv#2", "sales.csv#3"]


def test_a_file_of_checks_has_each_check_once(tmp_path: Path) -> None:
    text = f"{HEADER}\n1,2026-04-05 10:00,A,1,10\n2,2026-04-05 10:00,A,1,10\n1,2026-04-05 11:00,A,1,10\n"
    checks, made = read(tmp_path, text, grain="check")
    assert len(checks) == 2
    assert rejected(made) == [(4, "check.id")]


OWN = {
    "outlets": [
        {
            "outlet_id": "X-1",
            "source": "A",
            "name": "X",
            "timezone": "Asia/Jakarta",
            "currency": "IDR",
            "cutoff": "04:00",
        }
    ],
    "entity": {"entity_id": "X", "name": "X", "currency": "IDR", "currency_exponent": 0, "country": "ID"},
}


def test_own_outlets_know_their_business_date(tmp_path: Path) -> None:
    text = f"{HEADER}\n1,2026-04-06 03:59,A,1,10\n2,2026-04-06 04:00,A,1,10\n"
    checks, made = read(tmp_path, text, **OWN)
    assert [check.business_date for check in checks] == [date(2026, 4, 5), date(2026, 4, 6)]
    assert {(total.control_date, total.basis) for total in made.control_totals} == {
        (date(2026, 4, 5), "business"),
        (date(2026, 4, 6), "business"),
    }
    checks, made = read(tmp_path, text)
    assert [check.business_date for check in checks] == [None, None]
    assert {total.basis for total in made.control_totals} == {"calendar"}


def test_an_empty_file_that_names_outlet_and_day_proves_a_day_without_sales(tmp_path: Path) -> None:
    day = {"file": r"(\d{8})", "formats": ["%Y%m%d"]}
    _, made = read(tmp_path, f"{HEADER}\n", "A_20260405.csv", outlet={"file": "^(.)_"}, check={"business_date": day})
    assert [(t.outlet, t.control_date, t.measure, t.amount) for t in made.control_totals] == [
        ("A", date(2026, 4, 5), "checks", 0)
    ]


# Broken rows


def test_ten_broken_rows_are_ten_rejects_and_the_rest_loads(tmp_path: Path) -> None:
    """Catches: a reject that takes its check, its day or its file along; one row told twice or not at all."""
    rows = [f"{n // 3},2026-04-05 {9 + n // 60:02}:{n % 60:02},I{n},1,2.50" for n in range(300)]
    breaks = {
        5: "1,2026-04-05 09:05,I5,1,abc",
        20: ",2026-04-05 09:20,I20,1,2.50",
        44: "14,2026-13-45 09:44,I44,1,2.50",
        71: "23,2026-04-05 10:11,,1,2.50",
        102: "34,2026-04-05 10:42,I102,1",
        133: "44,2026-04-05 11:13,I133,1,2.50,extra",
        150: "50,,I150,1,2.50",
        199: "66,2026-04-05 12:19,I199,many,2.50",
        222: "74,2026-04-05 12:42,I222,1,-2.50",
        299: '99,"2026-04-05 13:59,I299,1,2.50',
    }
    text = "\n".join([HEADER, *(breaks.get(n, row) for n, row in enumerate(rows))])
    checks, made = read(tmp_path, text)
    assert [reject.row for reject in made.rejects] == [n + 2 for n in breaks]
    assert [reject.field for reject in made.rejects] == [
        "price", "bill", "at", "item", "", "", "at", "qty", "price", "",
    ]  # fmt: skip
    assert all(reject.rule for reject in made.rejects)
    assert sum(len(check.lines) for check in checks) == 290
    assert sum(check.net_sales for check in checks) == 290 * Decimal("2.50")
    assert all(map(adds_up, checks))


def test_what_a_rejected_row_held_shows_in_the_control_totals(tmp_path: Path) -> None:
    """Catches: a total that is taken after the bad rows are gone and so always agrees."""
    text = f"{HEADER}\n1,2026-04-05 10:00,A,1,10\n1,2026-04-05 10:00,,1,7\n"
    checks, made = read(tmp_path, text)
    assert checks[0].net_sales == 10
    assert {total.measure: total.amount for total in made.control_totals}["net_sales"] == 17


def test_the_good_rows_of_a_broken_check_can_be_held_back(tmp_path: Path) -> None:
    text = f"{HEADER}\n1,2026-04-05 10:00,A,1,10\n1,2026-04-05 10:00,B,x,7\n2,2026-04-05 10:00,A,1,10\n"
    checks, made = read(tmp_path, text, broken_check="hold")
    assert [check.check_id for check in checks] == ["2"]
    assert rejected(made) == [(2, "check.id"), (3, "qty")]


@pytest.mark.parametrize(("clock", "sure"), [("10:00", None), ("12:00", date(2026, 4, 5))])
def test_a_reject_names_a_day_only_where_no_cutoff_can_change_it(tmp_path: Path, clock: str, sure: date | None) -> None:
    _, made = read(tmp_path, f"{HEADER}\n1,2026-04-05 {clock},A,x,7\n")
    assert made.rejects[0].business_date == sure


def test_a_wrong_mapping_rejects_the_file_instead_of_every_row(tmp_path: Path) -> None:
    text = "\n".join([HEADER, *("1,05/04/2026,A,1,1" for _ in range(50))])
    with pytest.raises(FileError, match="50 of 50 rows"):
        read(tmp_path, text, max_rejects=20)


def test_rows_that_keep_does_not_name_are_left_out_and_counted(tmp_path: Path) -> None:
    text = "bill,at,item,qty,price,kind\n1,2026-04-05 10:00,A,1,10,Item\n1,x,,,,Payment\n"
    checks, made = read(tmp_path, text, keep={"kind": ["item"]})
    assert (len(checks), made.rows, made.skipped, made.rejects) == (1, 1, 1, [])


# Dialects nobody planned for


@dataclass(frozen=True)
class Sold:
    bill: int
    minute: int
    item: str
    quantity: int
    cents: int
    tender: str


@dataclass(frozen=True)
class Dialect:
    kind: str
    delimiter: str
    marks: tuple[str, str]
    currency: str
    dates: tuple[str, ...]
    encoding: str
    zipped: bool
    blank: str
    by_total: bool
    split: bool  # date and time in two columns
    shift: int  # order of columns


START = datetime(2026, 4, 5, 0, 0)  # noqa: DTZ001 - wall clock of the outlet
words = st.text(
    st.characters(codec="cp1252", exclude_categories=("C", "Z"), exclude_characters="\x00"), min_size=1, max_size=12
).filter(lambda word: word.strip() == word and word.lower() not in ("null", "n/a", "#n/a"))
sold_rows = st.lists(
    st.builds(
        Sold,
        bill=st.integers(1, 5),
        minute=st.integers(0, 20 * 60),
        item=words,
        quantity=st.integers(1, 9),
        cents=st.integers(0, 10**8),
        tender=st.sampled_from(["Cash", "Visa", ""]),
    ),
    min_size=1,
    max_size=12,
)
dialects = st.builds(
    Dialect,
    kind=st.sampled_from(["csv", "csv", "tsv", "json", "ndjson", "xml", "xlsx"]),
    delimiter=st.sampled_from([",", ";", "|", "\t", "~"]),
    marks=st.sampled_from([(".", ","), (",", "."), (",", " "), (".", "")]),
    currency=st.sampled_from(["", "$", "Rp ", "€"]),
    dates=st.lists(
        st.sampled_from(["%Y-%m-%d", "%d.%m.%Y", "%d %b %Y", "%Y%m%d"]), min_size=1, max_size=3, unique=True
    ).map(tuple),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    zipped=st.booleans(),
    blank=st.sampled_from(["", "NULL", "n/a", " "]),
    by_total=st.booleans(),
    split=st.booleans(),
    shift=st.integers(0, 6),
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=sold_rows, dialect=dialects)
def test_any_dialect_reads_back_as_what_was_sold(tmp_path: Path, rows: list[Sold], dialect: Dialect) -> None:
    """Catches: an amount, a date, a text or a row that some combination of dialects changes or loses."""
    path = tmp_path / f"f.{dialect.kind}{'.gz' if dialect.zipped and dialect.kind != 'xlsx' else ''}"
    path.write_bytes(rendered(rows, dialect))
    made = Reading(path, path.name, "r", msgspec.convert(mapping_for(dialect), Mapping, strict=False), ZONES)
    checks = list(made.checks())
    assert made.rejects == []
    assert all(map(adds_up, checks))
    got = {
        check.check_id: (
            check.opened_at,
            sorted((line.product_code, line.quantity, line.net_sales) for line in check.lines),
            sum(payment.amount for payment in check.payments),
        )
        for check in checks
    }
    bills: dict[int, list[Sold]] = defaultdict(list)
    for row in rows:
        bills[row.bill].append(row)
    assert got == {
        str(bill): (
            (START + timedelta(minutes=min(row.minute for row in sold))).replace(tzinfo=ZONES["A"]).astimezone(UTC),
            sorted((row.item, Decimal(row.quantity), amount(row)) for row in sold),
            sum(amount(row) for row in sold),
        )
        for bill, sold in bills.items()
    }
    measured = [total.amount for total in made.control_totals if total.measure == "net_sales"]
    assert sum(measured) == sum(map(amount, rows))


def amount(row: Sold) -> Decimal:
    return (row.quantity * Decimal(row.cents) / 100).quantize(Decimal("0.01"), ROUND_HALF_UP)


def mapping_for(dialect: Dialect) -> dict[str, Any]:
    opened: dict[str, Any] = {"column": "at", "formats": [f"{form} %H:%M" for form in dialect.dates]}
    if dialect.split:
        opened = {
            "date": {"column": "day", "formats": list(dialect.dates)},
            "time": {"column": "clock", "formats": ["%H:%M"]},
        }
    layout = {
        "csv": {"delimiter": dialect.delimiter},
        "json": {"records": "export.rows"},
        "xml": {"records": "Export.Row"},
    }.get(dialect.kind, {})
    if dialect.encoding == "cp1252":
        layout = {**layout, "encoding": "cp1252"}  # by chance its bytes may be valid UTF-8
    sign = "@" if dialect.kind == "xml" else ""

    def columns(name: str) -> str:
        return f"{sign}{name}"

    for part in opened.values() if dialect.split else [opened]:
        part["column"] = columns(part["column"])
    return {
        **BASE,
        "format": dialect.kind,
        "layout": layout,
        "numbers": {"decimal": dialect.marks[0], "thousands": dialect.marks[1]},
        "check": {
            **BASE["check"],
            "id": columns("bill"),
            "opened_at": opened,
            "tender": {"column": columns("pay"), "default": "Cash"},
        },
        "line": {
            "product_code": columns("item"),
            "quantity": columns("qty"),
            ("total" if dialect.by_total else "unit_price"): columns("price"),
        },
    }


def cells(row: Sold, number: int, dialect: Dialect) -> dict[str, Any]:
    at = START + timedelta(minutes=row.minute)
    form = dialect.dates[number % len(dialect.dates)]
    cents = Decimal(row.cents) / 100
    value = cents * row.quantity if dialect.by_total else cents
    text = f"{value:,.2f}".replace(",", "T").replace(".", dialect.marks[0]).replace("T", dialect.marks[1])
    whole = {
        "bill": str(row.bill),
        "item": row.item,
        "qty": row.quantity if dialect.kind in ("json", "xlsx") else str(row.quantity),
        "price": float(value) if dialect.kind == "xlsx" else f"{dialect.currency}{text} ",
        "pay": row.tender or dialect.blank,
        "spare": "x",
    }
    if dialect.split:
        whole |= {"day": at.strftime(form), "clock": at.strftime("%H:%M")}
    else:
        whole |= {"at": at.strftime(f"{form} %H:%M")}
    keys = list(whole)
    return {key: whole[key] for key in keys[dialect.shift :] + keys[: dialect.shift]}


def _cell(sheet: Any, value: Any) -> WriteOnlyCell:
    """A text stays a text, also one that begins as a formula does."""
    cell = WriteOnlyCell(sheet, value)
    if isinstance(value, str):
        cell.data_type = "s"
    return cell


def rendered(rows: list[Sold], dialect: Dialect) -> bytes:
    table = [cells(row, number, dialect) for number, row in enumerate(rows)]
    if dialect.kind == "xlsx":
        book = openpyxl.Workbook(write_only=True)
        sheet = book.create_sheet()
        for line in [list(table[0]), *(list(row.values()) for row in table)]:
            sheet.append([_cell(sheet, value) for value in line])
        stream = io.BytesIO()
        book.save(stream)
        return stream.getvalue()
    encoding = dialect.encoding
    if dialect.kind == "json":
        text = json.dumps({"note": [1, {"rows": 0}], "export": {"rows": table, "end": None}}, ensure_ascii=False)
    elif dialect.kind == "ndjson":
        text = "\n".join(json.dumps(row, ensure_ascii=False) for row in table)
    elif dialect.kind == "xml":
        encoding = "utf-8"
        body = "".join("<Row " + " ".join(f"{k}={quoteattr(str(v))}" for k, v in row.items()) + "/>" for row in table)
        text = f"<Export>{body}</Export>"
    else:
        stream_text = io.StringIO()
        writer = csv.writer(stream_text, delimiter="\t" if dialect.kind == "tsv" else dialect.delimiter)
        writer.writerow(table[0])
        writer.writerows(row.values() for row in table)
        text = stream_text.getvalue()
    data = text.encode(encoding)
    return gzip.compress(data) if dialect.zipped else data
