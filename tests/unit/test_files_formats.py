"""Files to rows: what a sender may do to a file, and what must not be lost or invented by it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import msgspec
import openpyxl
import pytest

from ingestion.vendors.files import opening, trees
from ingestion.vendors.files.formats import Bad, FileError, read_rows
from ingestion.vendors.files.mapping import Layout, Mapping, Moment

WANTED = ("id", "name", "price")
ROWS = [("1", "Kopi Susu", "2.50"), ("2", "Crème brûlée €", "4.00"), ("3", 'a "b", c', "1")]


def mapping(kind: str, **layout: Any) -> Mapping:
    return msgspec.convert(
        {
            "name": "t",
            "format": kind,
            "layout": layout,
            "outlet": {"constant": "A"},
            "check": {"id": "id", "opened_at": {"column": "at"}, "channel": {"constant": "x"}, "tender": "t"},
            "line": {"unit_price": "price"},
        },
        Mapping,
    )


def rows(path: Path, kind: str, wanted: tuple[str, ...] = WANTED, **layout: Any) -> list[tuple[int, Any]]:
    return list(read_rows(path, mapping(kind, **layout), wanted))


def written(tmp_path: Path, content: str | bytes, name: str = "f.csv", encoding: str = "utf-8") -> Path:
    path = tmp_path / name
    data = content if isinstance(content, bytes) else content.encode(encoding)
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


CSV = 'id;name;price\r\n1;Kopi Susu;2.50\r\n2;Crème brûlée €;4.00\r\n3;"a ""b"", c";1\r\n'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("name", ["f.csv", "f.csv.gz"])
def test_encoding_is_found_from_the_bytes(tmp_path: Path, encoding: str, name: str) -> None:
    """Catches: mojibake in product names, a mark glued to the first column, a crash on Windows text."""
    found = rows(written(tmp_path, CSV, name, encoding), "csv", delimiter=";")
    assert found == [(2, ROWS[0]), (3, ROWS[1]), (4, ROWS[2])]


def test_a_declared_encoding_that_is_wrong_rejects_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="not utf-8"):
        rows(written(tmp_path, CSV, encoding="cp1252"), "csv", delimiter=";", encoding="utf-8")


def test_columns_are_found_by_name_in_any_order_and_case(tmp_path: Path) -> None:
    path = written(tmp_path, "Price , other,ID,Name\n1,x,7,Teh\n")
    assert rows(path, "csv") == [(2, ("7", "Teh", "1"))]


@pytest.mark.parametrize(("header", "rule"), [("id,name", "'price' is missing"), ("id,price,name,Price", "twice")])
def test_a_header_without_a_mapped_column_names_it(tmp_path: Path, header: str, rule: str) -> None:
    """Catches: a renamed column that silently becomes null."""
    wanted = ("id", "name", "price") if "missing" in rule else ("PRICE",)
    with pytest.raises(FileError, match=rule):
        rows(written(tmp_path, f"{header}\n1,2\n"), "csv", wanted)


def test_lines_around_the_table_are_left_out_and_counted(tmp_path: Path) -> None:
    """Catches: a total line that becomes a sale, a repeated header of concatenated files, wrong line numbers."""
    text = "Sales report\n\nid,name,price\n1,A,2\n\nid,name,price\n2,B,3\nTotal,,5\n"
    assert rows(written(tmp_path, text), "csv", skip_rows=1, footer=["^Total"]) == [
        (4, ("1", "A", "2")),
        (5, None),
        (6, None),
        (7, ("2", "B", "3")),
        (8, None),
    ]


def test_a_file_without_header_takes_names_from_the_mapping(tmp_path: Path) -> None:
    path = written(tmp_path, "1\t2\tA\n")
    assert rows(path, "tsv", header=False, columns=["id", "price", "name"]) == [(1, ("1", "A", "2"))]


def test_ragged_lines_are_bad_rows_of_their_own(tmp_path: Path) -> None:
    """Catches: cells that shift into the next column."""
    found = rows(written(tmp_path, "id,name,price\n1,A\n2,B,3,4\n3,C,5\n"), "csv")
    assert [(number, isinstance(cells, Bad)) for number, cells in found] == [(2, True), (3, True), (4, False)]


def test_a_quoted_cell_may_run_over_lines(tmp_path: Path) -> None:
    text = 'id,name,price\n1,"two\nlines",3\n2,B,4\n'
    assert rows(written(tmp_path, text), "csv") == [(2, ("1", "two\nlines", "3")), (4, ("2", "B", "4"))]


@pytest.mark.parametrize("after", [3, 200])
def test_an_unbalanced_quote_costs_one_line_not_the_rest(tmp_path: Path, after: int) -> None:
    """Catches: a stray quote that swallows the file until the next one."""
    lines = [f'{n},"good {n}",1' for n in range(after)]
    text = "\n".join(["id,name,price", '0,"bad,1', *lines, ""])
    found = rows(written(tmp_path, text), "csv")
    assert [number for number, cells in found if isinstance(cells, Bad)] == [2]
    assert [cells[1] for _, cells in found if not isinstance(cells, Bad)] == [f"good {n}" for n in range(after)]


def test_a_quote_that_ends_in_a_later_row_joins_nothing_that_is_no_row(tmp_path: Path) -> None:
    text = 'id,name,price\n0,"bad,1\n1,x",3,4\n2,B,3\n'
    found = rows(written(tmp_path, text), "csv")
    assert [(number, isinstance(cells, Bad)) for number, cells in found] == [(2, True), (3, True), (4, False)]


@pytest.mark.parametrize("kind", ["csv", "json", "xml", "ndjson"])
def test_a_truncated_gzip_rejects_the_file(tmp_path: Path, kind: str) -> None:
    """Catches: half a day that loads as if it were whole."""
    path = tmp_path / "f.gz"
    text = "<a>" + "<r/>" * 20_000 if kind == "xml" else "id,name,price\n" + "1,A,2\n" * 20_000
    path.write_bytes(gzip.compress(text.encode())[:-40])
    with pytest.raises(FileError, match="gzip"):
        rows(path, kind, records="a")


DOCUMENT = {
    "meta": {"pages": [1, 2, {"data": []}]},
    "data": {
        "orders": [
            {"id": 1, "customer": {"name": "Ayu"}, "items": [{"price": 2.5}, {"price": 3}], "pay": [{"by": "QRIS"}]},
            {"id": 2, "customer": {"name": "Budi"}, "items": [{"price": 19.99}], "pay": []},
        ]
    },
    "end": True,
}
TREE_COLUMNS = ("id", "customer.name", "items.price", "pay.0.by")


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
@pytest.mark.parametrize("name", ["f.json", "f.json.gz"])
def test_json_records_at_a_path_with_one_row_per_element(
    tmp_path: Path, name: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: amounts through binary fractions, records cut where the buffer ends, a same-named list elsewhere."""
    monkeypatch.setattr(trees, "BLOCK", block)
    monkeypatch.setattr(opening, "BLOCK", max(block, 4))  # a byte order mark is never cut
    path = written(tmp_path, json.dumps(DOCUMENT, indent=2), name)
    found = rows(path, "json", TREE_COLUMNS, records="data.orders", expand="items")
    assert [(number, tuple(map(str, cells))) for number, cells in found] == [
        (1, ("1", "Ayu", "2.5", "QRIS")),
        (1, ("1", "Ayu", "3", "QRIS")),
        (2, ("2", "Budi", "19.99", "None")),
    ]


@pytest.mark.parametrize("cut", [5, 60, 150, 230, -12, -1])
def test_json_that_is_cut_short_is_no_file(tmp_path: Path, cut: int) -> None:
    text = json.dumps(DOCUMENT)
    path = written(tmp_path, text[:cut], "f.json")
    with pytest.raises(FileError, match="cut short"):
        rows(path, "json", TREE_COLUMNS, records="data.orders", expand="items")


@pytest.mark.parametrize("text", ["[1, {}]", '[{"id": 1} {"id": 2}]', '[{"id": 1}] x', '{"data": 1}'])
def test_json_of_another_shape_is_told(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text, "f.json")
    try:
        found = rows(path, "json", ("id",), records="orders" if "data" in text else "")
    except FileError:
        return
    assert any(isinstance(cells, Bad) for _, cells in found)


def test_one_broken_ndjson_line_is_one_bad_row(tmp_path: Path) -> None:
    text = '{"id":1,"name":"A","price":1}\n{"id":2,\n\n{"id":3,"name":"C","price":3}\n'
    found = rows(written(tmp_path, text, "f.ndjson"), "ndjson")
    assert [(number, isinstance(cells, Bad)) for number, cells in found] == [(1, False), (2, True), (4, False)]


XML = """<?xml version="1.0" encoding="UTF-8"?>
<s:Sales xmlns:s="urn:x"><s:Day date="2026-04-05">
  <s:Check no="1"><!-- note --><Line price="2.50"><name>Teh</name></Line><Line price="3"><name>Kopi</name></Line>
  </s:Check>
  <s:Check no="2"><Line price="4"><name>Nasi</name></Line></s:Check>
</s:Day></s:Sales>"""
XML_COLUMNS = ("Day.@date", "@no", "Line.@price", "Line.name")


def test_xml_with_namespaces_attributes_and_repeated_children(tmp_path: Path) -> None:
    found = rows(written(tmp_path, XML, "f.xml"), "xml", XML_COLUMNS, records="Day/Check", expand="Line")
    assert found == [
        (1, ("2026-04-05", "1", "2.50", "Teh")),
        (1, ("2026-04-05", "1", "3", "Kopi")),
        (2, ("2026-04-05", "2", "4", "Nasi")),
    ]


def test_xml_cut_short_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="XML is broken"):
        rows(written(tmp_path, XML[:-30], "f.xml"), "xml", XML_COLUMNS, records="Check", expand="Line")


def test_xml_entities_reach_no_file_and_do_not_grow(tmp_path: Path) -> None:
    """Catches: a sender who reads our disk, or fills our memory."""
    secret = written(tmp_path, "secret", "secret.txt")
    text = (
        f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{secret}"><!ENTITY b "{"y" * 1000}">]>'
        "<a><r><id>&x;</id><name>&b;</name><price>1</price></r></a>"
    )
    assert rows(written(tmp_path, text, "f.xml"), "xml", records="r") == [(1, ("", "", "1"))]


@pytest.mark.parametrize("sheet", [1, "Detail"])
def test_a_sheet_with_titles_above_keeps_its_row_numbers(tmp_path: Path, sheet: int | str) -> None:
    book = openpyxl.Workbook()
    table = book.create_sheet("Detail")
    table["B2"] = "Report"
    for row, cells in enumerate([("id", "name", "price"), ("007", "Teh", 2.5), (), (8, "Kopi", 3)], start=4):
        for column, value in enumerate(cells, start=2):
            table.cell(row, column, value)
    book.save(tmp_path / "f.xlsx")
    found = rows(tmp_path / "f.xlsx", "xlsx", sheet=sheet, skip_rows=3)
    assert found == [(5, ("007", "Teh", 2.5)), (6, None), (7, (8.0, "Kopi", 3.0))]


def test_a_damaged_workbook_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="workbook"):
        rows(written(tmp_path, b"PK\x03\x04 nothing", "f.xlsx"), "xlsx")


@pytest.mark.parametrize("kind", ["csv", "tsv", "xlsx"])
def test_a_table_without_header_is_no_file(tmp_path: Path, kind: str) -> None:
    if kind == "xlsx":
        openpyxl.Workbook().save(tmp_path / "f")
    else:
        (tmp_path / "f").write_text("\n\n")
    with pytest.raises(FileError, match="no header"):
        rows(tmp_path / "f", kind)


def test_layout_rules_are_checked() -> None:
    """Catches: a mapping whose mistake shows only in the numbers."""
    wrongs: list[dict[str, Any]] = [
        {"header": True, "columns": ("a",)},
        {"header": False},
        {"footer": ("(",)},
        {"delimiter": "||"},
        {"encoding": "latin-99"},
    ]
    for wrong in wrongs:
        with pytest.raises(ValueError):
            Layout(**wrong)
    with pytest.raises(ValueError):
        Moment()
