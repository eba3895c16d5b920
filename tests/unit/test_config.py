"""The configuration folder: whatever is wrong is told with file, row and field, before anything is loaded."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from ingestion.core.config import OPEN_END, TABLES, Config, ConfigError, load_config
from ingestion.core.settings import PROJECT_ROOT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the example company's configuration."""
    return Path(shutil.copytree(PROJECT_ROOT / "config", tmp_path / "config"))


def rewrite(path: Path, change: Callable[[str], str]) -> None:
    before = path.read_text(encoding="utf-8")
    after = change(before)
    assert after != before, "the change did not bite"
    path.write_text(after, encoding="utf-8")


def replace(folder: Path, name: str, old: str, new: str) -> None:
    rewrite(folder / name, lambda text: text.replace(old, new, 1))


def append(folder: Path, name: str, line: str) -> int:
    """Add a row to a table; returns its line number."""
    path = folder / name
    text = path.read_text(encoding="utf-8").rstrip("\n")
    path.write_text(f"{text}\n{line}\n", encoding="utf-8")
    return text.count("\n") + 2


def told(folder: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(folder)
    return str(caught.value)


def test_the_example_company_loads_whole(folder: Path) -> None:
    """Catches: a table that is not read, amounts that become floats, blank cells that become text."""
    config = load_config(folder)
    assert set(config.tables) == set(TABLES)
    rate = config.tables["tax_rates"][0]
    assert (rate.rate, type(rate.rate), rate.inclusive) == (Decimal("0.10"), Decimal, False)
    assert rate.valid_to == OPEN_END
    assert config.entity("NKI").currency == "IDR"
    assert "JKT-001" in config.integration("moka-nki").outlets.values()
    versions = [config.outlet("DPS-001", on).cutoff for on in (date(2026, 4, 5), date(2026, 4, 6))]
    assert versions == ["04:00", "05:00"]


def test_what_is_not_there_is_told(folder: Path) -> None:
    config = load_config(folder)
    for ask in (
        lambda: config.entity("XXX"),
        lambda: config.integration("xxx"),
        lambda: config.outlet("JKT-001", date(1899, 1, 1)),
    ):
        with pytest.raises(ConfigError, match=r"XXX|xxx|JKT-001.*1899-01-01"):
            ask()


WRONG_CELLS = {
    "tax_rates.csv": {
        "ID-X,ten,0,true,false,,": "rate",
        'ID-X,"0,10",0,true,false,,': "rate",
        "ID-X,NaN,0,true,false,,": "rate",
        "ID-X,0.1,Infinity,true,false,,": "service_rate",
        "ID-X,,0,true,false,,": "rate",
        "ID-X,0.1,0,perhaps,false,,": "on_service",
        "ID-X,0.1,0,true,false,05/04/2026,": "valid_from",
        "ID-X,0.1,0,true,false,2026-02-30,": "valid_from",
    },
    "outlets.csv": {
        "X-1,NKI,X,id,X,Asia/Jakarte,04:00,IDR,ID-JKT,,,1,,,": "timezone",
        "X-1,NKI,X,id,X,../../etc/passwd,04:00,IDR,ID-JKT,,,1,,,": "timezone",
        "X-1,NKI,X,id,X,Asia/Jakarta,13:00,IDR,ID-JKT,,,1,,,": "cutoff",
        "X-1,NKI,X,id,X,Asia/Jakarta,4 am,IDR,ID-JKT,,,1,,,": "cutoff",
        "X-1,NKI,X,id,X,Asia/Jakarta,04:00,IDR,ID-JKT,,,many,,,": "seats",
        "X-1,NOPE,X,id,X,Asia/Jakarta,04:00,IDR,ID-JKT,,,1,,,": "entity_id",
        ",NKI,X,id,X,Asia/Jakarta,04:00,IDR,ID-JKT,,,1,,,": "outlet_id",
    },
    "accounts.csv": {"9999,X,Debit,BS,X": "normal_side", "9999,X,D,P&L,X": "statement"},
    "account_mapping.csv": {"*,sales,food,*,9999,,": "account_code", "NOPE,sales,food,*,4010,,": "entity_id"},
    "code_mapping.csv": {"payment,*,cash,cash,,": "domain"},
    "cash_counts.csv": {"NOPE-1,2026-04-04,1,0,": "outlet_id", "JKT-001,2026-04-04,1e,0,": "counted_cash"},
    "closed_days.csv": {"NOPE-1,2026-04-04,holiday": "outlet_id"},
    "budget_behaviour.csv": {"4010,1,weather": "driver", "9999,1,covers": "account_code"},
    "labor_rates.csv": {"NOPE,Cook,1,0.1,8,,": "entity_id"},
}


@pytest.mark.parametrize(
    ("name", "row", "field"),
    [(name, row, field) for name, rows in WRONG_CELLS.items() for row, field in rows.items()],
)
def test_a_wrong_cell_is_told_with_file_line_and_field(folder: Path, name: str, row: str, field: str) -> None:
    """Catches: a typing error that a finance person cannot find, or that only shows in the marts."""
    line = append(folder, name, row)
    message = told(folder)
    assert message.startswith(f"{name} line {line}: ")
    assert field in message


def test_a_blank_line_or_a_cell_of_two_lines_does_not_shift_the_count(folder: Path) -> None:
    replace(folder, "closed_days.csv", "\n", "\n\n")
    append(folder, "closed_days.csv", 'JKT-001,2026-04-07,"flood,\nsecond day"')
    line = append(folder, "closed_days.csv", "JKT-001,tomorrow,flood")
    assert told(folder).startswith(f"closed_days.csv line {line}: ")


def test_a_cell_too_many_is_told(folder: Path) -> None:
    """Catches: an unquoted comma that shifts an amount into the next column, or ends the run without a word."""
    line = append(folder, "closed_days.csv", "JKT-001,2026-04-07,flood, second day")
    assert told(folder).startswith(f"closed_days.csv line {line}: more cells than columns")


def test_quotes_that_are_never_closed_are_told(folder: Path) -> None:
    append(folder, "closed_days.csv", 'JKT-001,2026-04-07,"flood')
    assert told(folder).startswith("closed_days.csv line ")


def test_wrong_headings_are_told(folder: Path) -> None:
    """Catches: a column nobody reads because its name is misspelt or stands there twice."""
    replace(folder, "tax_rates.csv", "service_rate", "servicerate")
    assert told(folder) == "tax_rates.csv line 1: unknown column 'servicerate'"
    replace(folder, "tax_rates.csv", "servicerate", "rate")
    assert told(folder) == "tax_rates.csv line 1: more than one column 'rate'"


def test_a_table_saved_by_a_spreadsheet_is_read_or_told(folder: Path) -> None:
    """Catches: a byte order mark that hides the first column, another encoding that ends the run without a file."""
    path = folder / "closed_days.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert load_config(folder).tables["closed_days"]
    path.write_bytes(path.read_bytes() + "JKT-001,2026-04-07,Café\n".encode("cp1252"))
    assert told(folder) == "closed_days.csv: is not UTF-8; save it as CSV UTF-8"


def test_a_table_may_be_missing(folder: Path) -> None:
    (folder / "settlements.csv").unlink()
    assert load_config(folder).tables["settlements"] == ()


# company.yaml and integrations.yaml

WRONG_YAML = {
    "unknown target": ("company.yaml", "target: sap-nki", "target: sap-xxx", ["NKI", "target", "sap-xxx"]),
    "unknown policy": (
        "company.yaml",
        "correction_policy: delta",
        "correction_policy: undo",
        ["company.yaml", "entities[1].correction_policy"],
    ),
    "wrong zone": ("company.yaml", "timezone: Asia/", "timezone: Asien/", ["company.yaml", "timezone", "Asien/"]),
    "missing field": ("company.yaml", "group_currency: IDR", "", ["company.yaml", "group_currency"]),
    "no yaml": ("company.yaml", "\ngroup:", "\ngroup: [", ["company.yaml"]),
    "unknown outlet": (
        "integrations.yaml",
        ": JKT-001\n",
        ": JKT-999\n",
        ["integrations.yaml: moka-nki", "outlets.", "JKT-999"],
    ),
    "unknown entity": (
        "integrations.yaml",
        "entity_ids: [NKI]",
        "entity_ids: [NKX]",
        ["integrations.yaml: moka-nki", "entity_ids", "NKX"],
    ),
    "wrong date": (
        "integrations.yaml",
        "start_date: 2026-04-04",
        "start_date: someday",
        ["integrations.yaml", "integrations[0].start_date"],
    ),
    "poll without a pace": (
        "integrations.yaml",
        "integration_id: moka-nki",
        "poll: now and then\n    integration_id: moka-nki",
        ["integrations.yaml", "poll", "every 5 minutes"],
    ),
    "poll too often": (
        "integrations.yaml",
        "integration_id: moka-nki",
        "poll: every 5 seconds\n    integration_id: moka-nki",
        ["integrations.yaml", "poll", "10 seconds"],
    ),
    "twice": (
        "integrations.yaml",
        "integration_id: moka-nbt",
        "integration_id: moka-nki",
        ["integrations.yaml: moka-nki", "integration_id", "twice"],
    ),
}


@pytest.mark.parametrize("name", WRONG_YAML)
def test_a_wrong_setting_is_told_with_its_place(folder: Path, name: str) -> None:
    file, old, new, words = WRONG_YAML[name]
    replace(folder, file, old, new)
    message = told(folder)
    for word in words:
        assert word in message


@pytest.mark.parametrize("name", ["Moka-NKI", "moka_nki", "moka/nki", "../moka", "moka--nki", "", "moka*"])
def test_an_account_is_called_so_that_it_can_name_folders(folder: Path, name: str) -> None:
    """Catches: two accounts that share one working folder because their names differ in a dash, a path that escapes."""
    replace(folder, "integrations.yaml", "integration_id: moka-nki", f"integration_id: {name!r}")
    assert "integration_id" in told(folder)


@pytest.mark.parametrize("name", ["company.yaml", "integrations.yaml"])
def test_a_missing_file_is_told(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert name in told(folder)


def test_an_import_may_not_name_what_there_is_not(folder: Path) -> None:
    """Catches: a registration left behind by an import whose outlet is gone."""
    config = load_config(folder)
    registration = {
        "integration": msgspec.to_builtins(config.integrations[0]) | {"integration_id": "files-x", "vendor": "files"},
        "outlets": [msgspec.to_builtins(config.outlets[0]) | {"outlet_id": "NEW-1", "entity_id": "GONE"}],
    }
    (folder / "imports").mkdir()
    (folder / "imports" / "x.yaml").write_bytes(msgspec.yaml.encode(registration))
    message = told(folder)
    assert "entity_id" in message
    assert "GONE" in message


def test_rows_are_values(folder: Path) -> None:
    """Catches: configuration that one step changes under the feet of the next."""
    config: Config = load_config(folder)
    with pytest.raises(AttributeError):
        config.outlets[0].cutoff = "05:00"
