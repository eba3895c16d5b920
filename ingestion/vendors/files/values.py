"""Cells to values: text, exact amounts, local times. A value that does not read raises FieldError."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from ingestion.vendors.files.formats import Cells
from ingestion.vendors.files.mapping import Field, Mapping, Moment, Numbers, Source

NOON = time(12)
EXCEL_EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001 - local, as a sheet's serial numbers are
CACHE = 1 << 16
LARGEST = Decimal(10) ** 14
MAX_DECIMALS = 4
YEARS = range(1970, 2200)
TRUE = frozenset({"true", "yes", "y", "1", "x", "void", "voided"})
FALSE = frozenset({"false", "no", "n", "0"})

Text = Callable[[Cells], str | None]
Number = Callable[[Cells], Decimal | None]
Local = Callable[[Cells], datetime | None]  # naive: wall-clock time of the outlet; aware: with its own offset


class FieldError(Exception):
    """A cell breaks a rule; `field` is the column as the file names it."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule


class Readers:
    """Turns the sources of a mapping into functions over a row's cells; `columns` are the cells it needs."""

    def __init__(self, mapping: Mapping, file_name: str) -> None:
        self.columns: list[str] = []
        self._nulls = frozenset(null.strip().lower() for null in mapping.nulls) | {""}
        self._file_name = file_name
        self._numbers = mapping.numbers
        self._parse = parser(mapping.numbers)

    def position(self, column: str) -> int:
        if column not in self.columns:
            self.columns.append(column)
        return self.columns.index(column)

    def text(self, source: Source | None, key: str, required: bool = False) -> Text:
        """The text at a source, trimmed; None for blanks and null texts."""
        if source is None:
            return _nothing
        if isinstance(source, str):
            source = Field(column=source)
        label = source.column or " + ".join(source.columns) or key
        must = required or source.required
        fixed = self._fixed(source, label)
        if fixed is not None:
            return lambda cells: fixed
        raw = self._raw(source, label)
        if not (source.replace or source.extract or source.values or source.default is not None or must):
            return raw
        extract = re.compile(source.extract) if source.extract else None
        values = {name.strip().lower(): value for name, value in source.values.items()}
        default = _scalar(source.default)

        def read(cells: Cells) -> str | None:
            found = raw(cells)
            if found is not None:
                for old, new in source.replace.items():
                    found = found.replace(old, new)
                if extract is not None:
                    match = extract.search(found)
                    found = match[1] if match else None
            if found is not None and values:
                found = _scalar(values.get(found.lower(), found))
            if found is None or found == "":
                found = default
            if found is None and must:
                raise FieldError(label, "required, but blank")
            return found

        return read

    def number(self, source: Source | None, key: str, *, required: bool = False, amount: bool = True) -> Number:
        """An exact number; amounts are scaled from minor units where the mapping says so."""
        if source is None:
            return _nothing
        if isinstance(source, str):
            source = Field(column=source)
        label = source.column or " + ".join(source.columns) or key
        fixed = _fixed_number(source.constant, label)
        if fixed is not None:
            return lambda cells: fixed
        default = _fixed_number(source.default, label)
        must = (required or source.required) and default is None
        text = self.text(msgspec.structs.replace(source, default=None, required=False), key, must)
        shift = self._numbers.minor_digits if amount else 0
        parse = self._parse
        plain = source.column is not None and not (source.replace or source.extract or source.values)
        at = self.position(source.column) if source.column is not None else 0

        def read(cells: Cells) -> Decimal | None:
            raw = cells[at] if plain else None
            if isinstance(raw, int | float | Decimal) and not isinstance(raw, bool):
                found = _exact(raw, label)
            else:
                words = text(cells)
                if words is None:
                    return default
                found = parse(words, label)
            return found.scaleb(-shift) if shift else found

        return read

    def flag(self, source: Source | None, key: str) -> Callable[[Cells], bool]:
        if source is None:
            return lambda cells: False
        text = self.text(source, key)
        label = source if isinstance(source, str) else source.column or key

        def read(cells: Cells) -> bool:
            found = (text(cells) or "false").lower()
            if found in TRUE or found in FALSE:
                return found in TRUE
            raise FieldError(label, f"{found[:40]!r} is neither true nor false")

        return read

    def moment(self, moment: Moment | None, key: str) -> Local:
        if moment is None:
            return _nothing
        if moment.date is not None:
            return self._two_parts(moment, key)
        source = Field(
            column=moment.column,
            columns=moment.columns,
            file=moment.file,
            extract=moment.extract,
            replace=moment.replace,
        )
        label = moment.column or " + ".join(moment.columns) or key
        text = self.text(source, key)
        at = self.position(moment.column) if moment.column is not None else -1
        parse = _moments(moment.formats)

        def read(cells: Cells) -> datetime | None:
            raw = cells[at] if at >= 0 else None
            if isinstance(raw, datetime):
                return _plausible(raw, label)
            if isinstance(raw, date):
                return _plausible(datetime.combine(raw, NOON), label)
            words = text(cells)
            return parse(words, label) if words is not None else None

        return read

    def _two_parts(self, moment: Moment, key: str) -> Local:
        day_of = self.moment(_part(moment.date), f"{key}.date")
        if moment.time is None:
            return day_of
        source = Field(column=moment.time) if isinstance(moment.time, str) else moment.time
        label = source.column or " + ".join(source.columns) or f"{key}.time"
        text = self.text(source, f"{key}.time")
        at = self.position(source.column) if source.column is not None else -1
        parse = _times(source.formats or ("iso",))

        def read(cells: Cells) -> datetime | None:
            day = day_of(cells)
            if day is None:
                return None
            raw = cells[at] if at >= 0 else None
            if isinstance(raw, timedelta | float):
                seconds = raw.total_seconds() if isinstance(raw, timedelta) else round((raw % 1) * 86400)
                clock = (EXCEL_EPOCH + timedelta(seconds=seconds)).time()
            elif isinstance(raw, time | datetime):
                clock = raw.time() if isinstance(raw, datetime) else raw
            else:
                words = text(cells)
                if words is None:
                    raise FieldError(label, "required, but blank")
                clock = parse(words, label)
            return datetime.combine(day.date(), clock, clock.tzinfo or day.tzinfo)

        return read

    def _fixed(self, source: Field, label: str) -> str | None:
        if source.constant is not None:
            return _scalar(source.constant)
        if source.file is None:
            return None
        match = re.search(source.file, self._file_name)
        if match is None:
            raise FieldError(label, f"the file's name does not match {source.file!r}")
        return match[1]

    def _raw(self, source: Field, label: str) -> Text:
        nulls = self._nulls
        if source.column is not None:
            at = self.position(source.column)

            def one(cells: Cells) -> str | None:
                found = cells[at]
                if found is None:
                    return None
                found = found.strip() if isinstance(found, str) else _as_text(found, label)
                return None if found.lower() in nulls else found

            return one
        positions = [self.position(column) for column in source.columns]

        def several(cells: Cells) -> str | None:
            parts = []
            for at in positions:
                found = cells[at]
                part = "" if found is None else found.strip() if isinstance(found, str) else _as_text(found, label)
                if part.lower() in nulls:
                    return None
                parts.append(part)
            return source.join.join(parts)

        return several


def parser(numbers: Numbers) -> Callable[[str, str], Decimal]:
    """Reads an amount as people write it: `$2.39 `, `Rp 1.250.000,50`, `(2.39)`, `2,39-`."""
    mark, group = re.escape(numbers.decimal), re.escape(numbers.thousands)
    whole = rf"\d+|\d{{1,3}}(?:{group}\d{{2,3}})*{group}\d{{3}}" if group else r"\d+"
    shape = re.compile(rf"({whole})?(?:{mark}(\d*))?")
    signs = "|".join(re.escape(sign) for sign in sorted(numbers.currency, key=len, reverse=True))
    currency = re.compile(rf"^(?:{signs})\s*|\s*(?:{signs})$", re.IGNORECASE) if signs else None

    def parse(text: str, label: str) -> Decimal:
        body = text.replace("\u2212", "-").replace("\u00a0", " ").replace("\u202f", " ").strip()
        negative = signed = body.startswith("(") and body.endswith(")")
        body = body[1:-1].strip() if negative else body
        for _ in range(2):  # the sign may stand before or after the currency
            if not signed and body.startswith(("+", "-")):
                negative, signed, body = body[0] == "-", True, body[1:].strip()
            elif not signed and body.endswith("-"):
                negative, signed, body = True, True, body[:-1].strip()
            body = currency.sub("", body).strip() if currency else body
        match = shape.fullmatch(body)
        if match is None or not (match[1] or match[2]):
            raise FieldError(label, f"{text[:40]!r} is no number")
        digits = (match[1] or "0").replace(numbers.thousands, "") if numbers.thousands else match[1] or "0"
        found = _checked(Decimal(f"{digits}.{match[2]}" if match[2] else digits), label)
        return -found if negative else found

    return lru_cache(maxsize=CACHE)(parse)


@lru_cache(maxsize=CACHE)
def to_utc(local: datetime, zone: ZoneInfo, ambiguous: str, label: str) -> datetime:
    """The instant of a wall-clock time. A time that clocks skip in spring is taken with the offset before the change
    (02:30 becomes 03:30); of one that they show twice in autumn, `ambiguous` says which: first, second or reject.
    """
    if local.tzinfo is not None:
        return local.astimezone(UTC)
    first, second = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if second > first:  # shown twice; for a skipped time it is the other way round
        if ambiguous == "reject":
            raise FieldError(label, f"{local:%Y-%m-%d %H:%M} is ambiguous: clocks showed it twice")
        return second if ambiguous == "second" else first
    return first


def round_to(amount: Decimal, places: int) -> Decimal:
    """Half away from zero."""
    return amount.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)


def _part(source: Field | str | None) -> Moment:
    field = Field(column=source) if isinstance(source, str) else source
    assert field is not None
    return Moment(
        column=field.column,
        columns=field.columns,
        file=field.file,
        extract=field.extract,
        replace=field.replace,
        formats=field.formats or ("iso",),
    )


def _moments(formats: tuple[str, ...]) -> Callable[[str, str], datetime]:
    def parse(text: str, label: str) -> datetime:
        for form in formats:
            try:
                return _plausible(_moment(text, form), label)
            except (ValueError, OverflowError, ArithmeticError):
                continue
        raise FieldError(label, f"{text[:40]!r} is no date of the form {' or '.join(formats)}")

    return lru_cache(maxsize=CACHE)(parse)


def _moment(text: str, form: str) -> datetime:
    if form == "iso":
        found = datetime.fromisoformat(text)
        return found if len(text) > 10 else datetime.combine(found.date(), NOON)
    if form in ("epoch", "epoch_ms"):
        return datetime.fromtimestamp(float(text) / (1000 if form == "epoch_ms" else 1), UTC)
    if form == "excel":
        serial = Decimal(text)
        found = EXCEL_EPOCH + timedelta(seconds=int(round_to(serial * 86400, 0)))
        return found if serial % 1 else datetime.combine(found.date(), NOON)
    found = datetime.strptime(text, form)  # noqa: DTZ007 - the outlet's zone is applied later
    has_hours = any(code in form for code in ("%H", "%I", "%c", "%X", "%T"))
    return found if has_hours else datetime.combine(found.date(), NOON)


def _times(formats: tuple[str, ...]) -> Callable[[str, str], time]:
    def parse(text: str, label: str) -> time:
        for form in formats:
            try:
                if form == "iso" or (form == "%H:%M:%S" and len(text) == 8):
                    return time.fromisoformat(text)
                return datetime.strptime(text, form).time()  # noqa: DTZ007
            except ValueError:
                continue
        raise FieldError(label, f"{text[:40]!r} is no time of the form {' or '.join(formats)}")

    return lru_cache(maxsize=CACHE)(parse)


def _plausible(found: datetime, label: str) -> datetime:
    if found.year not in YEARS:
        raise FieldError(label, f"the year {found.year} is not plausible")
    return found


def _exact(raw: int | float | Decimal, label: str) -> Decimal:
    """A sheet stores binary fractions: they are taken to four decimals. Other numbers are exact already."""
    if isinstance(raw, float):
        try:
            return _checked(round_to(Decimal(repr(raw)), MAX_DECIMALS), label)
        except ArithmeticError as error:
            raise FieldError(label, f"{raw!r} is no number") from error
    return _checked(Decimal(raw), label)


def _checked(found: Decimal, label: str) -> Decimal:
    if abs(found) >= LARGEST:
        raise FieldError(label, "is too large")
    exponent = found.as_tuple().exponent
    if not isinstance(exponent, int):
        raise FieldError(label, f"{found} is no number")
    if exponent < -MAX_DECIMALS and found != round_to(found, MAX_DECIMALS):
        raise FieldError(label, f"has more than {MAX_DECIMALS} decimals")
    return found


def _as_text(raw: Any, label: str) -> str:
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, float):
        return str(int(raw)) if raw.is_integer() else repr(raw)
    if isinstance(raw, datetime | date | time):
        return raw.isoformat()
    if isinstance(raw, dict | list):
        raise FieldError(label, "is a list or an object, not a value")
    return str(raw)


def _nothing(cells: Cells) -> None:
    """What the mapping does not name."""


def _fixed_number(value: Any, label: str) -> Decimal | None:
    """A number that the mapping itself gives, in its own notation and in major units."""
    if value is None:
        return None
    try:
        return _checked(Decimal(str(value)), label)
    except ArithmeticError as error:
        raise FieldError(label, f"{value!r} in the mapping is no number") from error


def _scalar(value: Any) -> str | None:
    return None if value is None else _as_text(value, "")


__all__ = ["FieldError", "Local", "Number", "Readers", "Text", "parser", "round_to", "to_utc"]
