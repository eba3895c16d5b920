"""Price lists and schedules as people write them: CSV or YAML, one row per wish."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import msgspec

from ingestion.core.config import Config, ConfigError, Outlet, Row, read_rows
from ingestion.core.writes.change import WriteKind

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
SELECTORS = ("entity", "region", "city", "outlet")


class PriceRow(Row, frozen=True, kw_only=True):
    """A price for a SKU at a group of outlets: "*", an outlet id, or `entity:`, `region:` or `city:` and its value.

    `price` is in the major unit of `currency`, as the menu shows it. Without `valid_from` it holds at once, else from
    that local day on.
    """

    outlets: str
    sku: str
    price: Decimal
    currency: str
    valid_from: date | None = None


class ShiftRow(Row, frozen=True, kw_only=True):
    """One scheduled shift; `start` and `end` with their offset from UTC. `employee` is the till's own id or the staff
    number that it knows, `job` the till's job where an employee has several.
    """

    outlet: str
    employee: str
    start: Instant
    end: Instant
    job: str = ""


ROWS: dict[WriteKind, type[Row]] = {WriteKind.PRICES: PriceRow, WriteKind.SCHEDULES: ShiftRow}


def read_sheet(kind: WriteKind, path: Path) -> list[tuple[str, Row]]:
    """The rows of a sheet, each with its place in it. Raises ConfigError naming row, field and rule."""
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such file")
    if path.suffix in (".yaml", ".yml"):
        rows = list(_yaml_rows(path, ROWS[kind]))
    elif path.suffix == ".csv":
        rows = list(read_rows(path, ROWS[kind]))
    else:
        raise ConfigError(f"{path.name}: must be .csv, .yaml or .yml")
    if not rows:
        raise ConfigError(f"{path.name}: has no rows")
    return rows


def _yaml_rows(path: Path, row_type: type[Row]) -> Iterator[tuple[str, Row]]:
    try:
        listed = msgspec.yaml.decode(path.read_bytes())
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name}: {error}") from error
    if not isinstance(listed, list):
        raise ConfigError(f"{path.name}: must be a list of rows")
    for number, fields in enumerate(listed, start=1):
        place = f"{path.name} row {number}"
        if not isinstance(fields, dict):
            raise ConfigError(f"{place}: must be fields with values")
        if unknown := fields.keys() - set(row_type.__struct_fields__):
            raise ConfigError(f"{place}: unknown field {min(map(str, unknown))!r}")
        try:
            row = msgspec.convert({name: _text(value) for name, value in fields.items()}, row_type, strict=False)
        except (msgspec.ValidationError, ValueError) as error:
            raise ConfigError(f"{place}: {error}") from error
        yield place, row


def _text(value: object) -> object:
    """YAML reads 27500.50 as a float and 2026-04-06 as a date: as text both are what was written."""
    return value.isoformat() if isinstance(value, date) else str(value) if isinstance(value, int | float) else value


def outlets_of(config: Config, selector: str, on: date) -> list[Outlet]:
    """The outlets that a group names, in the versions valid on a day. Raises ValueError for none."""
    name, _, value = selector.rpartition(":")
    name = name or "outlet"
    valid = [outlet for outlet in config.outlets if outlet.valid_from <= on <= outlet.valid_to]
    if name not in SELECTORS:
        raise ValueError(f"outlets: {selector!r} is not *, an outlet, or entity:, region: or city: with a value")
    field = name if name in ("region", "city") else f"{name}_id"
    found = [outlet for outlet in valid if value == "*" or getattr(outlet, field).lower() == value.lower()]
    if not found:
        raise ValueError(f"outlets: {selector!r} names no outlet on {on}")
    return found
