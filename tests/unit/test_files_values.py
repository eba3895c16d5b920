"""Cells to values: amounts as people write them, dates in several forms, hours that clocks repeat or skip."""

# ruff: noqa: DTZ001 - the wall-clock times of a file have no zone

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.core.config import ConfigError
from ingestion.vendors.files.mapping import Field, Mapping, Moment, Numbers, load_mapping
from ingestion.vendors.files.values import FieldError, Readers, parser, to_utc

SYDNEY = ZoneInfo("Australia/Sydney")


def number(text: str, **numbers: object) -> Decimal:
    return parser(Numbers(**numbers))(text, "price")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "amount", "numbers"),
    [
        ("2.39", "2.39", {}),
        ("$2.39 ", "2.39", {}),
        ("-$2.39", "-2.39", {}),
        ("$-2.39", "-2.39", {}),
        ("($2.39)", "-2.39", {}),
        ("2.39-", "-2.39", {}),
        ("\u22122.39", "-2.39", {}),
        ("USD 2.39", "2.39", {}),
        (".5", "0.5", {}),
        ("1,234,567.80", "1234567.80", {"thousands": ","}),
        ("1234567.80", "1234567.80", {"thousands": ","}),
        ("Rp 1.250.000", "1250000", {"decimal": ",", "thousands": "."}),
        ("1.250.000,50 IDR", "1250000.50", {"decimal": ",", "thousands": "."}),
        ("1\u00a0250,5 €", "1250.5", {"decimal": ",", "thousands": " "}),
        ("1'250.5", "1250.5", {"thousands": "'"}),
        ("12,34,567", "1234567", {"thousands": ","}),
    ],
)
def test_amounts_as_people_write_them(text: str, amount: str, numbers: dict[str, str]) -> None:
    assert number(text, **numbers) == Decimal(amount)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("abc", {}),
        ("", {}),
        ("$", {}),
        ("1,234", {}),
        ("12,5", {"thousands": ","}),
        ("1.25", {"decimal": ",", "thousands": "."}),
        ("1.2.3", {}),
        ("1e3", {}),
        ("NaN", {}),
        ("Infinity", {}),
        ("--5", {}),
        ("5 6", {}),
        ("0.12345", {}),
        ("999999999999999", {}),
    ],
)
def test_what_is_no_amount_is_refused(text: str, numbers: dict[str, str]) -> None:
    """Catches: a decimal comma read as thousands (1,5 = 15), text that becomes 0, digits beyond what is stored."""
    with pytest.raises(FieldError) as caught:
        number(text, **numbers)
    assert caught.value.field == "price"


@given(
    st.decimals(-(10**12), 10**12, places=2),
    st.sampled_from([(".", ","), (",", "."), (",", " "), (".", "'"), (".", "")]),
    st.sampled_from(["", "$", "Rp ", " EUR"]),
)
def test_a_written_amount_reads_back(amount: Decimal, marks: tuple[str, str], sign: str) -> None:
    decimal, thousands = marks
    text = f"{abs(amount):,.2f}".replace(",", "T").replace(".", decimal).replace("T", thousands)
    text = f"{text}{sign}" if sign.startswith(" ") else f"{sign}{text}"
    text = f"({text})" if amount < 0 else text
    assert number(text, decimal=decimal, thousands=thousands) == amount


def readers(**values: object) -> Readers:
    return Readers(_mapping(**values), "sales_SYD_20260405.csv")


def _mapping(**values: object) -> Mapping:
    return msgspec.convert(
        {
            "name": "t",
            "format": "csv",
            "outlet": {"constant": "A"},
            "check": {"opened_at": {"column": "at"}, "channel": {"constant": "x"}, "tender": "t"},
            "line": {"total": "total"},
            **values,
        },
        Mapping,
    )


def moment(cells: tuple[object, ...], spec: Moment) -> datetime | None:
    made = readers()
    read = made.moment(spec, "check.opened_at")
    assert len(made.columns) == len(cells)
    return read(cells)


MIXED = ("%d/%m/%Y %H:%M", "%Y-%m-%d %H:%M:%S", "%d %b %Y %I:%M %p", "iso")


@pytest.mark.parametrize(
    "text", ["05/04/2026 13:45", "2026-04-05 13:45:00", "05 Apr 2026 01:45 PM", "2026-04-05T13:45:00"]
)
def test_several_forms_in_one_column(text: str) -> None:
    assert moment((text,), Moment(column="at", formats=MIXED)) == datetime(2026, 4, 5, 13, 45)


def test_forms_are_tried_in_their_order() -> None:
    """Catches: 05/04 read as May because some other form fits too."""
    assert moment(("05/04/2026",), Moment(column="at", formats=("%d/%m/%Y", "%m/%d/%Y"))) == datetime(2026, 4, 5, 12)
    assert moment(("05/14/2026",), Moment(column="at", formats=("%d/%m/%Y", "%m/%d/%Y"))) == datetime(2026, 5, 14, 12)


def test_foreign_month_names_are_replaced() -> None:
    spec = Moment(column="at", formats=("%d %b %Y",), replace={"Mei": "May", "Agu": "Aug"})
    assert moment(("17 Agu 2026",), spec) == datetime(2026, 8, 17, 12)


def test_date_and_time_apart_each_with_their_forms() -> None:
    spec = Moment(
        date=Field(column="d", formats=("%d/%m/%Y", "%Y-%m-%d")),
        time=Field(column="t", formats=("%H:%M:%S", "%I:%M %p")),
    )
    assert moment(("2026-04-05", "1:45 PM"), spec) == datetime(2026, 4, 5, 13, 45)
    assert moment((date(2026, 4, 5), time(13, 45)), spec) == datetime(2026, 4, 5, 13, 45)
    with pytest.raises(FieldError, match="t: required"):
        moment(("2026-04-05", ""), spec)


@pytest.mark.parametrize(
    ("cell", "forms"),
    [(46117.5729166667, ("excel",)), ("46117.5729166667", ("excel",)), (datetime(2026, 4, 5, 13, 45), ("iso",))],
)
def test_times_of_a_sheet(cell: object, forms: tuple[str, ...]) -> None:
    assert moment((cell,), Moment(column="at", formats=forms)) == datetime(2026, 4, 5, 13, 45)


def test_instants_keep_their_own_offset() -> None:
    noon = datetime(2026, 4, 5, 12, tzinfo=UTC)
    for text, form in (("1775390400", "epoch"), ("1775390400000", "epoch_ms"), ("2026-04-05T19:00:00+07:00", "iso")):
        found = moment((text,), Moment(column="at", formats=(form,)))
        assert found is not None
        assert to_utc(found, SYDNEY, "first", "at") == noon


def test_date_from_the_name_of_the_file() -> None:
    spec = Moment(file=r"_(\d{8})\.csv$", formats=("%Y%m%d",))
    assert moment((), spec) == datetime(2026, 4, 5, 12)
    with pytest.raises(FieldError, match="name does not match"):
        moment((), Moment(file=r"_(\d{10})\.csv$", formats=("%Y%m%d",)))


@pytest.mark.parametrize("text", ["13/45/2026", "31/02/2026", "05/04/26", "05/04/0026", "soon", "05/04/2026 25:00"])
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(FieldError):
        moment((text,), Moment(column="at", formats=("%d/%m/%Y", "%d/%m/%Y %H:%M")))


def test_the_repeated_hour() -> None:
    """Clocks in Sydney go back from 03:00 to 02:00 on 2026-04-05."""
    local = datetime(2026, 4, 5, 2, 30)
    assert to_utc(local, SYDNEY, "first", "at") == datetime(2026, 4, 4, 15, 30, tzinfo=UTC)
    assert to_utc(local, SYDNEY, "second", "at") == datetime(2026, 4, 4, 16, 30, tzinfo=UTC)
    with pytest.raises(FieldError, match="ambiguous"):
        to_utc(local, SYDNEY, "reject", "at")
    assert to_utc(datetime(2026, 4, 5, 3, 0), SYDNEY, "reject", "at") == datetime(2026, 4, 4, 17, tzinfo=UTC)


@pytest.mark.parametrize("ambiguous", ["first", "second", "reject"])
def test_the_skipped_hour_moves_forward(ambiguous: str) -> None:
    """Clocks in Sydney go forward from 02:00 to 03:00 on 2026-10-04: 02:30 is taken as 03:30."""
    found = to_utc(datetime(2026, 10, 4, 2, 30), SYDNEY, ambiguous, "at")
    assert found.astimezone(SYDNEY).replace(tzinfo=None) == datetime(2026, 10, 4, 3, 30)


@pytest.mark.parametrize("blank", ["", "  ", "NULL", "n/a", "N/A ", None])
def test_null_texts_take_the_default(blank: str | None) -> None:
    made = readers()
    text = made.text(Field(column="t", default="Cash"), "check.tender")
    amount = made.number(Field(column="t", default=0), "check.tip")
    assert text((blank,)) == "Cash"
    assert amount((blank,)) == 0


def test_values_are_looked_up_in_any_case_and_others_pass() -> None:
    text = readers().text(Field(column="t", values={"cc": "Credit Card", "gone": None}, default="?"), "check.tender")
    assert [text((cell,)) for cell in ("CC", "Visa", "gone")] == ["Credit Card", "Visa", "?"]


def test_amounts_in_minor_units() -> None:
    """Catches: cents booked as dollars; a constant or default of the mapping scaled too; quantities scaled."""
    made = readers(numbers={"minor_digits": 2})
    assert made.number("price", "line.unit_price")(("1299",)) == Decimal("12.99")
    assert made.number("price", "line.quantity", amount=False)(("3",)) == 3
    assert made.number(Field(constant=1.5), "line.total")(("x",)) == Decimal("1.5")
    assert made.number(Field(column="price", default=2), "line.total")(("",)) == 2


@pytest.mark.parametrize(("cell", "amount"), [(4.4799999999999995, "4.48"), (3, "3"), (2.39, "2.39"), ("2.39", "2.39")])
def test_binary_fractions_of_a_sheet_become_exact(cell: object, amount: str) -> None:
    assert readers().number("price", "line.total")((cell,)) == Decimal(amount)


@pytest.mark.parametrize("name", ["pizzaplace", "sydney", "example"])
def test_shipped_mappings_load(name: str) -> None:
    path = Path(__file__).parents[2] / "config" / "files" / f"{name}.yaml"
    assert load_mapping(path).name == name


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("unit_price:", "unit_prize:"), "unit_prize"),
        (("format: csv", "format: pdf"), "format"),
        (("name: pizzaplace", "name: Pizza Place"), "lower case"),
        (("timezone: America/New_York", "timezone: Amerika"), "IANA"),
        (("{constant: Cash}", "{constant: Cash, column: x}"), "exactly one"),
        (("  tender: {constant: Cash}\n", ""), "check.tender"),
        (("outlet: {constant: PIZZA-001}", "outlet: ["), "yaml"),
    ],
)
def test_a_wrong_mapping_names_file_and_rule(tmp_path: Path, change: tuple[str, str], told: str) -> None:
    good = (Path(__file__).parents[2] / "config" / "files" / "pizzaplace.yaml").read_text()
    assert change[0] in good
    path = tmp_path / "wrong.yaml"
    path.write_text(good.replace(*change))
    with pytest.raises(ConfigError, match=told) as caught:
        load_mapping(path)
    assert "wrong.yaml" in str(caught.value)
