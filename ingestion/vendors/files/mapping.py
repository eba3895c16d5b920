"""The mapping: one YAML that says how to read a sales file. docs/file-mappings.md is its manual.

Everything is typed; a mistake is told with file, key and rule before any row is read.
"""

from __future__ import annotations

import codecs
import hashlib
import re
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from ingestion.core.config import CodeMapping, ConfigError, Entity, Outlet
from ingestion.core.settings import PROJECT_ROOT

Scalar = str | int | float | bool | None
NULLS = ("", "null", "n/a", "#n/a")  # compared in lower case
CURRENCY = ("US$", "A$", "S$", "$", "€", "£", "¥", "Rp", "IDR", "AUD", "USD", "EUR", "SGD", "MYR", "RM")


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of a mapping: unknown keys are mistakes."""


class Field(_Part, frozen=True, kw_only=True):
    """Where a value comes from: a column, several joined, a constant, or the file's name; and how its text is read.

    In order: take the cell, `replace` pieces of it, `extract` group 1, look it up in `values` (any case; what is not
    listed passes), else `default` when nothing is there.
    """

    column: str | None = None
    columns: tuple[str, ...] = ()
    join: str = " "
    constant: Scalar = None
    file: str | None = None  # pattern over the file's name; its group 1 is the value
    replace: dict[str, str] = {}
    extract: str | None = None
    values: dict[str, Scalar] = {}
    default: Scalar = None
    formats: tuple[str, ...] = ()  # of dates and times, tried in order
    required: bool = False

    def __post_init__(self) -> None:
        sources = [self.column is not None, bool(self.columns), self.constant is not None, self.file is not None]
        if sum(sources) != 1:
            raise ValueError("say exactly one of column, columns, constant, file")
        for pattern in filter(None, (self.file, self.extract)):
            _checked_pattern(pattern, groups=1)


class Moment(_Part, frozen=True, kw_only=True):
    """A local date and time: in one column, in several joined ones, or a date and a time apart.

    `formats` are strptime formats tried in order, or `iso`, `epoch`, `epoch_ms`, `excel`. A format without hours
    means noon. A value with its own UTC offset is taken at its word.
    """

    column: str | None = None
    columns: tuple[str, ...] = ()
    file: str | None = None
    extract: str | None = None
    replace: dict[str, str] = {}
    formats: tuple[str, ...] = ("iso",)
    date: Field | str | None = None
    time: Field | str | None = None

    def __post_init__(self) -> None:
        whole = self.column is not None or bool(self.columns) or self.file is not None
        if whole == (self.date is not None):
            raise ValueError("say either column (or columns, or file) with formats, or date and time")
        if self.time is not None and self.date is None:
            raise ValueError("time needs a date")


Source = Field | str  # a bare text is the name of a column


class Layout(_Part, frozen=True, kw_only=True):
    """How rows lie in the file."""

    encoding: str = "auto"  # auto: byte order mark, else UTF-8, else `fallback`
    fallback: str = "cp1252"
    delimiter: str = ""  # default: comma, for tsv a tab
    quote: str = '"'  # empty: no quoting
    header: bool = True
    columns: tuple[str, ...] = ()  # names for a file without a header
    skip_rows: int = 0  # lines before the header
    footer: tuple[str, ...] = ()  # patterns of lines that are no rows: totals, page breaks
    sheet: str | int = 0
    records: str = ""  # JSON: path to the list of records; XML: path of the repeating element
    expand: str = ""  # JSON, XML: a list inside each record that gives one row per element

    def __post_init__(self) -> None:
        for pattern in self.footer:
            _checked_pattern(pattern)
        if len(self.delimiter) > 1 or len(self.quote) > 1:
            raise ValueError("delimiter and quote are one character each")
        for encoding in {self.encoding, self.fallback} - {"auto"}:
            try:
                codecs.lookup(encoding)
            except LookupError as error:
                raise ValueError(f"encoding: {encoding!r} is not known") from error
        if self.header == bool(self.columns):
            raise ValueError("columns: a file has either a header or columns named here")


class Numbers(_Part, frozen=True, kw_only=True):
    """How amounts are written. `places` is what derived amounts are rounded to, half away from zero."""

    decimal: str = "."
    thousands: str = ""
    currency: tuple[str, ...] = CURRENCY
    minor_digits: int = 0  # 2: amounts are in cents
    places: int = 2

    def __post_init__(self) -> None:
        if len(self.decimal) != 1 or len(self.thousands) > 1 or self.decimal == self.thousands:
            raise ValueError("decimal and thousands must be two different characters")
        if not 0 <= self.places <= 4 or not 0 <= self.minor_digits <= 4:
            raise ValueError("places and minor_digits lie between 0 and 4")


class CheckFields(_Part, frozen=True, kw_only=True):
    """Values of a whole check. On a file of lines they may stand on every row, or only on the first of a check."""

    id: Source | tuple[str, ...] | None = None  # none: every row is a check, numbered by file and row
    number: Source | None = None
    refund_of: Source | None = None
    type: Source | None = None  # sale or refund; without it the sign decides
    opened_at: Moment
    closed_at: Moment | None = None
    business_date: Moment | None = None
    channel: Source
    tender: Source | None = None
    staff: Source | None = None
    covers: Source | None = None
    voided: Source | None = None
    currency: Source | None = None
    discount: Source | None = None  # shared over the lines, besides their own
    comp: Source | None = None
    discount_name: Source | None = None
    service_charge: Source | None = None
    tax: Source | None = None
    tip: Source | None = None
    rounding: Source | None = None
    bill_total: Source | None = None


class LineFields(_Part, frozen=True, kw_only=True):
    """Values of one line. Either `unit_price` or `total` (or both: then `total` counts)."""

    id: Source | None = None
    type: Source | None = None  # item, gift_card or deposit
    product_id: Source | None = None
    product_code: Source | None = None
    product_name: Source | None = None
    category: Source | None = None
    channel: Source | None = None
    quantity: Source = Field(constant=1)
    unit_price: Source | None = None
    total: Source | None = None
    discount: Source | None = None
    comp: Source | None = None
    discount_name: Source | None = None
    service_charge: Source | None = None
    tax: Source | None = None
    voided: Source | None = None


class PaymentFields(_Part, frozen=True, kw_only=True):
    """One means of payment with its own amount column (without tip and change); blank or zero: not used."""

    tender: Source
    amount: Source
    tip: Source | None = None


class OutletDefinition(_Part, frozen=True, kw_only=True):
    """An outlet that the company has not configured. `source` is how the file names it (default: outlet_id)."""

    outlet_id: str
    name: str
    timezone: str
    currency: str
    source: str = ""
    region: str = "import"
    city: str = ""
    cutoff: str = "04:00"
    tax_jurisdiction: str = ""
    seats: int = 0

    def configured(self, entity: Entity) -> Outlet:
        return Outlet(
            outlet_id=self.outlet_id,
            entity_id=entity.entity_id,
            name=self.name,
            region=self.region,
            city=self.city,
            timezone=self.timezone,
            cutoff=self.cutoff,
            currency=self.currency,
            tax_jurisdiction=self.tax_jurisdiction,
            seats=self.seats,
            opened_on=date(1900, 1, 1),
        )


class EntityDefinition(_Part, frozen=True, kw_only=True):
    """The legal entity of the outlets defined here."""

    entity_id: str
    name: str
    currency: str
    currency_exponent: int
    country: str

    def configured(self) -> Entity:
        return Entity(**msgspec.structs.asdict(self))


class Mapping(_Part, frozen=True, kw_only=True):
    """A whole mapping."""

    name: str
    description: str = ""
    format: Literal["csv", "tsv", "json", "ndjson", "xml", "xlsx"]
    layout: Layout = Layout()
    nulls: tuple[str, ...] = NULLS
    numbers: Numbers = Numbers()
    grain: Literal["line", "check"] = "line"
    prices: Literal["exclusive", "inclusive"] = "exclusive"  # of tax
    tax_rate: Decimal | None = None  # 0.10 = 10 %
    total_is: Literal["gross", "net"] = "gross"  # line.total before or after line.discount and line.comp
    negative: Literal["reject", "refund", "return"] = "reject"
    ambiguous: Literal["first", "second", "reject"] = "first"  # the hour that clocks repeat
    broken_check: Literal["load", "hold"] = "load"  # what becomes of the good lines of a check with a bad one
    bill_includes_tip: bool = False
    max_rounding: Decimal = Decimal(1)  # of bill_total against its parts
    max_rejects: int = 1000  # with more, the file as a whole is rejected
    control_totals: bool = True
    keep: dict[str, tuple[str, ...]] = {}  # column -> texts of rows to read; the others are left out
    outlet: Source
    outlets: tuple[OutletDefinition, ...] = ()
    entity: EntityDefinition | None = None
    codes: dict[Literal["tender", "channel", "category", "discount"], dict[str, str]] = {}
    check: CheckFields
    line: LineFields = LineFields()
    payments: tuple[PaymentFields, ...] = ()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", self.name):
            raise ValueError("name: lower case letters, digits and single dashes only")
        if bool(self.outlets) != (self.entity is not None):
            raise ValueError("outlets and entity are defined together or not at all")
        if self.line.unit_price is None and self.line.total is None:
            raise ValueError("line: needs unit_price or total")
        if (self.check.tender is None) == (not self.payments):
            raise ValueError("say either check.tender (a constant if the file has none) or payments")
        if self.prices == "inclusive" and self.tax_rate is None:
            raise ValueError("tax_rate: prices that include tax need the rate")
        if self.grain == "line" and self.check.id is None and self.line.id is not None:
            raise ValueError("check.id: rows without a check cannot have line.id")

    @property
    def entity_row(self) -> Entity | None:
        return self.entity.configured() if self.entity else None

    @property
    def outlet_rows(self) -> tuple[Outlet, ...]:
        entity = self.entity_row
        return tuple(outlet.configured(entity) for outlet in self.outlets) if entity else ()

    @property
    def code_rows(self) -> tuple[CodeMapping, ...]:
        return tuple(
            CodeMapping(domain=domain, vendor="files", source_code=source.strip().lower(), canonical=canonical)
            for domain, codes in self.codes.items()
            for source, canonical in codes.items()
        )

    @property
    def zones(self) -> dict[str, ZoneInfo]:
        """Time zones of the outlets defined here, by the file's name for them."""
        return {outlet.source or outlet.outlet_id: ZoneInfo(outlet.timezone) for outlet in self.outlets}

    @property
    def fingerprint(self) -> str:
        """Changes when anything does that could change a reading."""
        reading = msgspec.structs.replace(self, description="", codes={})
        return hashlib.sha256(msgspec.json.encode(reading, order="sorted")).hexdigest()


def load_mapping(path: Path) -> Mapping:
    """Read a mapping. Raises ConfigError naming file, key and rule."""
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such mapping")
    try:
        mapping = msgspec.yaml.decode(path.read_bytes(), type=Mapping, strict=False)
        mapping.outlet_rows  # noqa: B018 - validates time zones and cut-offs
    except (msgspec.ValidationError, msgspec.DecodeError, ValueError) as error:
        raise ConfigError(f"{path.name}: {error}") from error
    return mapping


def find_mapping(name: str, config_folder: Path) -> Mapping:
    """A mapping by path, or by name from `files/` of the company's configuration or of the project."""
    if name.endswith((".yaml", ".yml")):
        return load_mapping(Path(name))
    for folder in (config_folder, PROJECT_ROOT / "config"):
        path = folder / "files" / f"{name}.yaml"
        if path.is_file():
            return load_mapping(path)
    raise ConfigError(f"there is no mapping {name!r} in {config_folder.name}/files")


def _checked_pattern(pattern: str, groups: int = 0) -> None:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
    if groups and compiled.groups != groups:
        raise ValueError(f"{pattern!r} needs exactly one group in parentheses")


__all__ = ["Field", "Layout", "Mapping", "Moment", "Numbers", "Source", "find_mapping", "load_mapping"]
