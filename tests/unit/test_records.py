"""Wire types to Arrow: what would lose, bend or leak a value, and what one bad record may cost."""

from __future__ import annotations

import datetime as dt
import enum
import io
import string
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.core.records import (
    MONEY,
    TIMESTAMP,
    Convert,
    Decoded,
    Minor,
    PageDecoder,
    Pii,
    Record,
    Reject,
    columns_of,
    keyed_hasher,
    raw_schema,
)
from ingestion.core.spec import Stream, Table

HASHER = keyed_hasher(b"k" * 32)


class Size(enum.Enum):
    SMALL = 1
    LARGE = 2


class Modifier(Record):
    option: str


class Line(Record):
    line_id: int
    quantity: Decimal
    modifiers: list[Modifier] = []

    def __post_init__(self) -> None:
        if self.quantity < 0:
            raise ValueError("quantity: is negative")


class Check(Record, rename="camel"):
    check_id: str
    total: Decimal
    updated_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    lines: list[Line] = []


CHECKS = Stream(
    "checks",
    (
        Table("checks", Check, key=("check_id",), version="updated_at"),
        Table("lines", Line, key=("line_id",), path="lines"),
        Table(
            "modifiers",
            Modifier,
            key=(),
            path="lines.modifiers",
            inherit={"line_id": "lines.line_id", "check_total": "total"},
        ),
    ),
    records="data.checks",
)


def stream_of(record: type[Record], *key: str, **options: Any) -> Stream:
    return Stream("s", (Table("t", record, key=key or ("id",), version=options.pop("version", "")),), **options)


def decode(stream: Stream, content: bytes, **constants: str) -> Decoded:
    decoder = PageDecoder(stream, "account", HASHER)
    return decoder.decode(content, seq=1000, scope="o1", landing="batch#1", constants=constants)


def page(*records: bytes) -> bytes:
    return b'{"data":{"checks":[' + b",".join(records) + b"]}}"


def rows(decoded: Decoded, table: str = "t") -> list[dict[str, Any]]:
    return decoded.tables[table].to_pylist()


def told(rejects: list[Reject]) -> list[tuple[str, str, str]]:
    return [(reject.record_key, reject.field, reject.rule) for reject in rejects]


# Types


class Every(Record):
    id: int
    text: str
    amount: Decimal
    flag: bool
    share: float
    day: date
    at: dt.datetime
    word: Literal["open", "closed"]
    number: Literal[1, 2]
    size: Size
    code: int | str
    clock: dt.time
    uid: uuid.UUID
    bag: dict[str, Any]
    items: list[int]
    inner: Modifier
    anything: Any
    maybe: str | None = None
    unset: int | msgspec.UnsetType = msgspec.UNSET
    cents: Annotated[int, Minor(2)] = 0
    minor: Annotated[Decimal | None, Minor(2)] = None


EVERY = b"""{"id": 9007199254740993, "text": "es teh", "amount": 12500.0001, "flag": true, "share": 0.5,
"day": "2026-04-05", "at": "2026-04-05T01:30:00+07:00", "word": "open", "number": 2, "size": 2, "code": "A7",
"clock": "04:00:00", "uid": "6f1c1a3e-0000-4000-8000-000000000001", "bag": {"a": [1, "b"]}, "items": [1, 2],
"inner": {"option": "less ice"}, "anything": "x", "cents": 1050, "minor": 1999}"""


def test_every_type_lands_in_its_column_with_its_value() -> None:
    """Catches: a type that becomes text in quotes, a rounded id, a time that lost its offset, a wrong unit."""
    decoded = decode(stream_of(Every), EVERY)
    assert not decoded.rejects
    row = rows(decoded)[0]
    assert {name: row[name] for name in Every.__struct_fields__} == {
        "id": 9007199254740993,
        "text": "es teh",
        "amount": Decimal("12500.0001"),
        "flag": True,
        "share": 0.5,
        "day": date(2026, 4, 5),
        "at": datetime(2026, 4, 4, 18, 30, tzinfo=UTC),
        "word": "open",
        "number": 2,
        "size": "2",
        "code": "A7",
        "clock": "04:00:00",
        "uid": "6f1c1a3e-0000-4000-8000-000000000001",
        "bag": '{"a":[1,"b"]}',
        "items": "[1,2]",
        "inner": '{"option":"less ice"}',
        "anything": '"x"',
        "maybe": None,
        "unset": None,
        "cents": Decimal("10.5"),
        "minor": Decimal("19.99"),
    }
    types = {column.name: column.type for column in columns_of(Every)}
    assert types["amount"] == types["cents"] == types["minor"] == MONEY
    assert types["at"] == TIMESTAMP
    assert types["number"] == pa.int64()


def test_the_table_says_which_delivery_a_row_came_with() -> None:
    """Catches: a child that cannot be joined to its root, rows that cannot be found in landing."""
    content = page(
        b'{"checkId":"a","total":1,"lines":[{"line_id":1,"quantity":1}]}',
        b'{"checkId":"b","total":2,"updatedAt":"2026-04-05T00:00:00Z","lines":[{"line_id":1,"quantity":2}]}',
    )
    decoded = decode(CHECKS, content)
    roots, lines = rows(decoded, "checks"), rows(decoded, "lines")
    assert [(row["check_id"], row["c4_seq"]) for row in roots] == [("a", 1000), ("b", 1001)]
    assert [(row["root_check_id"], row["c4_seq"]) for row in lines] == [("a", 1000), ("b", 1001)]
    for row in roots + lines:
        assert (row["integration_id"], row["c4_scope"], row["c4_landing"]) == ("account", "o1", "batch#1")
    stamp = int(datetime(2026, 4, 5, tzinfo=UTC).timestamp()) * 1_000_000
    assert [row["c4_version"] for row in roots] == [0, stamp]  # without a stamp: the oldest


@settings(max_examples=300, deadline=None)
@given(st.decimals(min_value=-(10**14) + 1, max_value=10**14 - 1, places=4), st.booleans())
def test_decimals_survive_json_and_arrow_exactly(amount: Decimal, as_text: bool) -> None:
    """Catches: a float anywhere between the wire and the column."""
    wire = f'"{amount}"' if as_text else f"{amount}"
    decoded = decode(CHECKS, page(b'{"checkId":"a","total":%s}' % wire.encode()))
    assert rows(decoded, "checks")[0]["total"] == amount


@pytest.mark.parametrize("number", ["1.23456", "123456789012345", "1e400", '"NaN"', '"Infinity"', "1e-5"])
def test_an_amount_that_the_column_cannot_hold_is_rejected_not_rounded(number: str) -> None:
    """Catches: silent rounding, an overflow or a NaN that ends the run, a NaN that becomes an empty cell."""
    decoded = decode(CHECKS, page(b'{"checkId":"a","total":%s}' % number.encode(), b'{"checkId":"b","total":2.50000}'))
    assert [row["check_id"] for row in rows(decoded, "checks")] == ["b"]
    assert told(decoded.rejects) == [("a", "total", "does not fit decimal128(18, 4)")]


def test_an_integer_that_the_column_cannot_hold_is_rejected() -> None:
    decoded = decode(stream_of(Every), EVERY.replace(b"9007199254740993", b"9223372036854775808"))
    assert [(reject.field, reject.rule) for reject in decoded.rejects] == [("id", "does not fit int64")]
    assert not rows(decoded)


def test_a_time_without_zone_is_rejected() -> None:
    """Catches: a local time taken for UTC, hours away from its business date."""
    decoded = decode(stream_of(Every), EVERY.replace(b"+07:00", b""))
    assert [(reject.field, reject.rule) for reject in decoded.rejects] == [("at", "has no time zone")]


def test_an_empty_page_has_the_full_schema() -> None:
    """Catches: a table that loses columns when nothing came."""
    decoded = decode(CHECKS, page())
    for table in CHECKS.tables:
        assert decoded.tables[table.name].schema == raw_schema(CHECKS, table)
        assert decoded.tables[table.name].num_rows == 0
    assert not decoded.rejects


# Rejects

BAD_RECORDS = {
    "missing": (b'{"checkId":"x"}', ("x", "total", "required, but missing")),
    "missing in a line": (
        b'{"checkId":"x","total":1,"lines":[{"line_id":1}]}',
        ("x", "lines[0].quantity", "required, but missing"),
    ),
    "wrong type": (b'{"checkId":"x","total":true}', ("x", "total", "Expected `decimal`, got `bool`")),
    "wrong type of the key": (b'{"checkId":7,"total":1}', ("7", "checkId", "Expected `str`, got `int`")),
    "null in the key": (b'{"checkId":null,"total":1}', ("?", "checkId", "Expected `str`, got `null`")),
    "no key": (b'{"total":1}', ("?", "checkId", "required, but missing")),
    "own rule": (
        b'{"checkId":"x","total":1,"lines":[{"line_id":1,"quantity":-1}]}',
        ("x", "lines[0].quantity", "is negative"),
    ),
    "own rule met by NaN": (
        b'{"checkId":"x","total":1,"lines":[{"line_id":1,"quantity":"NaN"}]}',
        ("x", "", "InvalidOperation"),
    ),
    "line that the column cannot hold": (
        b'{"checkId":"x","total":1,"lines":[{"line_id":1,"quantity":0.00001}]}',
        ("x", "quantity", "does not fit decimal128(18, 4)"),
    ),
    "no object": (b'"x"', ("", "", "Expected `object`, got `str`")),
    "null": (b"null", ("", "", "Expected `object`, got `null`")),
    "a list": (b"[]", ("", "", "Expected `object`, got `array`")),
}


@pytest.mark.parametrize("name", BAD_RECORDS)
def test_one_bad_record_costs_only_itself_and_is_named(name: str) -> None:
    """Catches: a record that takes its page along, a reject that does not say which record, field and rule."""
    bad, expected = BAD_RECORDS[name]
    good = [b'{"checkId":"g%d","total":1,"lines":[{"line_id":1,"quantity":1}]}' % n for n in range(50)]
    decoded = decode(CHECKS, page(*good[:20], bad, *good[20:]))
    assert told(decoded.rejects) == [expected]
    reject = decoded.rejects[0]
    assert (reject.kind, reject.row, reject.scope) == ("record", 21, "o1")
    assert reject.payload
    assert [row["check_id"] for row in rows(decoded, "checks")] == [f"g{n}" for n in range(50)]
    assert [row["c4_seq"] for row in rows(decoded, "checks")] == [*range(1000, 1020), *range(1021, 1051)]
    assert decoded.tables["lines"].num_rows == 50


def test_broken_utf8_costs_one_record() -> None:
    decoded = decode(CHECKS, page(b'{"checkId":"\xff","total":1}', b'{"checkId":"b","total":1}'))
    assert [row["check_id"] for row in rows(decoded, "checks")] == ["b"]
    assert [reject.record_key for reject in decoded.rejects] == ["?"]


BROKEN_PAGES = {
    "cut short": b'{"data":{"checks":[{"checkId":"a","tot',
    "empty": b"",
    "html": b"<html>maintenance</html>",
    "another envelope": b'{"error":"try later"}',
    "null for the list": b'{"data":null}',
    "trailing bytes": page(b'{"checkId":"a","total":1}') + b"]",
    "nested without end": b'{"data":{"checks":' + b"[" * 100_000,
}


@pytest.mark.parametrize("name", BROKEN_PAGES)
def test_a_broken_page_is_one_reject_with_its_bytes(name: str) -> None:
    """Catches: a page that disappears, or an exception that ends the run."""
    decoded = decode(CHECKS, BROKEN_PAGES[name])
    assert [(reject.kind, reject.payload) for reject in decoded.rejects] == [("page", BROKEN_PAGES[name])]
    assert decoded.rejects[0].rule
    assert decoded.rows == 0


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet='{}[]":,0123456789.eE-xdatchecks \\u', max_size=60).map(str.encode))
def test_no_bytes_end_the_run(content: bytes) -> None:
    """Catches: any input that raises out of decode instead of becoming a reject."""
    decoded = decode(CHECKS, content)
    assert decoded.rows or decoded.rejects or not rows(decoded, "checks")


# Shapes of pages


class Item(Record):
    id: str
    price: Decimal | None = None


def test_a_list_at_the_top_an_object_at_the_top_and_an_object_at_a_path() -> None:
    assert [row["id"] for row in rows(decode(stream_of(Item), b'[{"id":"a"},{"id":"b"}]'))] == ["a", "b"]
    assert [row["id"] for row in rows(decode(stream_of(Item), b'{"id":"a","price":1}'))] == ["a"]
    single = stream_of(Item, records="result.item")
    assert [row["id"] for row in rows(decode(single, b'{"result":{"item":{"id":"z"}}}'))] == ["z"]


def test_rows_of_an_odd_format_are_rejected_one_by_one() -> None:
    """Catches: one bad line of a file that takes the file along; lines counted from the wrong number."""

    def lines(content: bytes) -> Iterator[bytes]:
        for line in io.BytesIO(content):
            name, price = line.strip().split(b";")
            yield b'{"id":"%s","price":"%s"}' % (name, price)

    decoded = decode(stream_of(Item, rows=lines), b"a;1.5\nb;cheap\nc;2\n")
    assert [(row["id"], row["price"]) for row in rows(decoded)] == [("a", Decimal("1.5")), ("c", Decimal(2))]
    assert [(reject.record_key, reject.field, reject.row) for reject in decoded.rejects] == [("b", "price", 2)]
    broken = decode(stream_of(Item, rows=lines), b"a;1\nno separator\n")
    assert [reject.kind for reject in broken.rejects] == ["page"]


# Children


def test_children_of_children_find_their_root_and_inherit_from_their_ancestors() -> None:
    """Catches: a grandchild that is booked on another check, an inherited column from the wrong level."""
    content = page(
        b'{"checkId":"a","total":10.5,"lines":[{"line_id":1,"quantity":1},'
        b'{"line_id":2,"quantity":1,"modifiers":[{"option":"hot"},{"option":"large"}]}]}',
        b'{"checkId":"b","total":20,"lines":[]}',
        b'{"checkId":"c","total":30,"lines":[{"line_id":1,"quantity":1,"modifiers":[{"option":"ice"}]}]}',
    )
    decoded = decode(CHECKS, content)
    assert not decoded.rejects
    assert [
        (row["root_check_id"], row["line_id"], row["check_total"], row["option"]) for row in rows(decoded, "modifiers")
    ] == [
        ("a", 2, Decimal("10.5"), "hot"),
        ("a", 2, Decimal("10.5"), "large"),
        ("c", 1, Decimal(30), "ice"),
    ]
    assert "lines" not in decoded.tables["checks"].column_names
    assert "modifiers" not in decoded.tables["lines"].column_names


def test_a_list_that_is_no_table_stays_as_json() -> None:
    roots_only = Stream("checks", CHECKS.tables[:1])
    decoded = decode(roots_only, b'{"checkId":"a","total":1,"lines":[{"line_id":1,"quantity":1.50}]}')
    assert msgspec.json.decode(rows(decoded, "checks")[0]["lines"])[0]["quantity"] == "1.50"


class Part(Record):
    part_id: int | None


class Whole(Record):
    id: str
    parts: list[Part]


def test_a_null_in_a_childs_key_is_rejected_with_its_root() -> None:
    stream = Stream("s", (Table("t", Whole, ("id",)), Table("parts", Part, ("part_id",), path="parts")))
    decoded = decode(stream, b'[{"id":"a","parts":[{"part_id":null}]},{"id":"b","parts":[{"part_id":1}]}]')
    assert told(decoded.rejects) == [("a", "part_id", "is part of the key and is empty")]
    assert [row["root_id"] for row in rows(decoded, "parts")] == ["b"]


class Renamed(Record):
    id: str
    type_: str = ""


def test_a_name_that_the_load_would_change_is_refused() -> None:
    """Catches: a column that stays empty because its values went to another that dlt has named."""
    with pytest.raises(TypeError, match="'type_' would be called"):
        raw_schema(stream_of(Renamed), stream_of(Renamed).root)


# Personal data


class Guest(Record):
    phone: Annotated[str, Pii.HASH]
    points: int


class Person(Record):
    id: str
    email: Annotated[str | None, Pii.HASH]
    name: Annotated[str | None, Pii.DROP] = None
    alias: Annotated[str, Pii.DROP] | None = None
    phone: Annotated[str, Pii.HASH] | None = None
    guests: list[Guest] = []


def test_no_raw_personal_value_is_anywhere_in_the_tables() -> None:
    """Catches: a marked value that is stored because of how its optional type is written, or where it stands."""
    stream = Stream(
        "s",
        (
            Table("t", Person, ("id",)),
            Table("guests", Guest, (), path="guests", inherit={"host": "email"}),
        ),
    )
    content = (
        b'[{"id":"1","email":"siti@example.id","name":"Siti Rahayu","alias":"Siti","phone":"+62811","guests":'
        b'[{"phone":"+62822","points":3}]},{"id":"2","email":null}]'
    )
    decoded = decode(stream, content)
    assert not decoded.rejects
    stored = "".join(str(table.to_pylist()) for table in decoded.tables.values())
    for secret in ("siti", "Siti", "+62811", "+62822"):
        assert secret not in stored
    first, second = rows(decoded)
    assert first["email"] == HASHER(" SITI@example.id ")  # the same person however the address is typed
    assert second["email"] is None
    assert rows(decoded, "guests")[0]["host"] == first["email"]
    assert {"name", "alias"}.isdisjoint(decoded.tables["t"].column_names)


def test_another_key_gives_another_hash() -> None:
    """Catches: hashes that anyone can reverse with a list of phone numbers."""
    assert keyed_hasher(b"a" * 32)("+62811") != keyed_hasher(b"b" * 32)("+62811")


def test_a_declaration_that_would_store_personal_data_is_refused() -> None:
    """Catches: personal data inside the JSON text of a list that is no table, or inherited though it is dropped."""
    with pytest.raises(TypeError, match=r"t\.guests: holds personal data"):
        decode(stream_of(Person), b"[]")
    inherits = Stream(
        "s", (Table("t", Person, ("id",)), Table("guests", Guest, (), path="guests", inherit={"host": "name"}))
    )
    with pytest.raises(TypeError, match="name is dropped"):
        decode(inherits, b"[]")


def test_a_reject_names_no_personal_value() -> None:
    """Catches: a hashed key that appears in clear in the list of rejects."""
    decoded = decode(
        stream_of(Guest, "phone"), b'[{"phone":"+62811","points":"many"},{"phone":62812,"points":1},{"points":1}]'
    )
    assert [reject.record_key for reject in decoded.rejects] == [HASHER("+62811"), "?", "?"]


# Conversions


def vendor_day(text: str) -> date:
    if not text.startswith("D"):
        raise ValueError("is not a vendor date")
    return date.fromisoformat(text[1:])


WORDS = {"S": "debit", "H": "credit"}


class Converted(Record):
    id: int
    day: Annotated[str, Convert(vendor_day, pa.date32())]
    side: Annotated[str | None, Convert(WORDS.__getitem__, pa.string())] = None
    optional: Annotated[str, Convert(vendor_day, pa.date32())] | None = None


def test_a_conversion_that_fails_rejects_its_record_only() -> None:
    """Catches: an unknown word (KeyError) that ends the run, None handed to a conversion."""
    decoded = decode(
        stream_of(Converted),
        b'[{"id":1,"day":"D2026-04-05","side":"S"},{"id":2,"day":"5.4."},{"id":3,"day":"D2026-04-05","side":"X"},'
        b'{"id":4,"day":"D2026-04-06","optional":"D2026-04-07"}]',
    )
    assert [(row["id"], row["day"], row["side"], row["optional"]) for row in rows(decoded)] == [
        (1, date(2026, 4, 5), "debit", None),
        (4, date(2026, 4, 6), None, date(2026, 4, 7)),
    ]
    assert told(decoded.rejects) == [("2", "day", "is not a vendor date"), ("3", "side", "KeyError")]


class DatedWhole(Record):
    id: int
    day: Annotated[str, Convert(vendor_day, pa.date32())]
    parts: list[Part]


def test_an_inherited_column_is_converted_like_its_own() -> None:
    tables = Table("t", DatedWhole, ("id",)), Table("parts", Part, (), path="parts", inherit={"day": "day"})
    decoded = decode(Stream("s", tables), b'[{"id":1,"day":"D2026-04-05","parts":[{"part_id":1}]}]')
    assert rows(decoded, "parts")[0]["day"] == date(2026, 4, 5)


# Versions and keys


class Textual(Record):
    id: str
    day: str


class Dated(Record):
    id: str
    day: date | None = None
    revision: int = 0


def test_a_version_that_is_no_order_is_refused_at_declaration() -> None:
    """Catches: every record of a stream rejected because its version cannot be compared."""
    with pytest.raises(TypeError, match="version 'day'"):
        decode(stream_of(Textual, version="day"), b"[]")


def test_dates_and_numbers_order_versions() -> None:
    by_day = decode(stream_of(Dated, version="day"), b'[{"id":"a","day":"2026-04-05"},{"id":"a","day":"2026-04-06"}]')
    first, second = (row["c4_version"] for row in rows(by_day))
    assert first < second
    by_number = decode(stream_of(Dated, version="revision"), b'[{"id":"a","revision":7}]')
    assert rows(by_number)[0]["c4_version"] == 7


class Totals(Record):
    code: int
    day: Annotated[str, Convert(vendor_day, pa.date32())]
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    amount: Decimal


def test_a_rejects_key_equals_the_key_of_the_row_once_it_loads() -> None:
    """Catches: a reject that stays open for ever because its record loads under another spelling of its key."""
    stream = stream_of(Totals, "outlet", "code", "day", "at", constants={"outlet": "{outlet}"})
    record = b'{"code":7,"day":"D2026-04-05","at":"2026-04-05T07:00:00+07:00","amount":%s}'
    bad = decode(stream, record % b'"?"', outlet="o1").rejects[0]
    late = decode(stream, record % b"1.23456", outlet="o1").rejects[0]
    row = rows(decode(stream, record % b"1", outlet="o1"))[0]
    key = "/".join(str(row[name]) for name in stream.root.key)
    assert bad.record_key == late.record_key == key == "o1/7/2026-04-05/2026-04-05 00:00:00+00:00"


def test_pages_landed_before_a_constant_was_declared_can_be_replayed() -> None:
    """Catches: a replay that dies on old pages. Only where the constant is part of the key are they rejected."""
    plain = stream_of(Item, constants={"outlet": "{outlet}"})
    assert rows(decode(plain, b'[{"id":"a"}]'))[0]["outlet"] is None
    keyed = stream_of(Item, "outlet", "id", constants={"outlet": "{outlet}"})
    assert told(decode(keyed, b'[{"id":"a"}]').rejects) == [("?/a", "outlet", "is part of the key and is empty")]


# Drift


def test_fields_that_no_wire_type_knows_are_drift() -> None:
    """Catches: a vendor's new field that nobody hears of; a known field that is reported again and again."""
    content = page(b'{"checkId":"a","total":1,"loyalty":5,"lines":[{"line_id":1,"quantity":1,"course":2}]}')
    assert decode(CHECKS, content).drift == {"loyalty", "lines.course"}
    assert decode(CHECKS, page(b'{"checkId":"a","total":1,"lines":[]}')).drift == set()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.text(string.ascii_letters, min_size=1, max_size=8), st.booleans()), max_size=30))
def test_every_record_is_either_a_row_or_a_reject(made: list[tuple[str, bool]]) -> None:
    """Catches: a record that is dropped silently, or counted twice."""
    records = [msgspec.json.encode({"checkId": key, "total": 1 if fits else "x"}) for key, fits in made]
    decoded = decode(CHECKS, page(*records))
    assert [row["check_id"] for row in rows(decoded, "checks")] == [key for key, fits in made if fits]
    assert [reject.record_key for reject in decoded.rejects] == [key for key, fits in made if not fits]
