"""Wire types to Arrow: the typed, exact and fast path from a vendor's bytes to columns.

A page is decoded by msgspec straight into `Record` types. A record that does not fit becomes a `Reject` and the
page goes on. Amounts stay Decimal (decimal(18,4) columns), times become UTC timestamps, personal data is dropped or
hashed here, before any table.
"""

from __future__ import annotations

import hashlib
import types
import typing
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache, partial
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from dlt.common.normalizers.naming.snake_case import NamingConvention

from ingestion.core.spec import Stream, Table

MONEY = pa.decimal128(18, 4)
TIMESTAMP = pa.timestamp("us", tz="UTC")
NAMING = NamingConvention()
META_COLUMNS = ("integration_id", "c4_scope", "c4_seq", "c4_version", "c4_landing")
CONTENT = "c4_content"  # of a root: a number that stands for the record as it came

# What data that does not fit can raise, in decoding, in a record's own rules and in conversions.
DATA_ERRORS = (
    msgspec.DecodeError,
    pa.ArrowException,
    ValueError,
    TypeError,
    ArithmeticError,
    LookupError,
    AttributeError,
    RecursionError,
)

Hasher = Callable[[str], str]


class _RecordMeta(msgspec.StructMeta):
    """Keyword-only for every subclass, so that required fields may follow optional ones."""

    def __new__(mcs, name: str, bases: Any, namespace: Any, **options: Any) -> Any:
        return super().__new__(mcs, name, bases, namespace, **{"kw_only": True, "gc": False, **options})


class Record(msgspec.Struct, metaclass=_RecordMeta):
    """Base of wire types. The raw column is named like the Python field; the wire name is the encoded name."""


class Pii(Enum):
    """How a field with personal data lands: never, or as a keyed hash."""

    DROP = "drop"
    HASH = "hash"


@dataclass(frozen=True, slots=True)
class Convert:
    """Turn a wire value into the column's value. A ValueError from `function` rejects the record."""

    function: Callable[[Any], Any]
    type: pa.DataType


def _wall_time(text: str) -> str:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        raise ValueError("has an offset where a local time is expected")
    return moment.isoformat(sep=" ")


# A vendor's local time without offset, as text: staging places it in the outlet's zone.
WallTime = typing.Annotated[str, Convert(_wall_time, pa.string())]


@dataclass(frozen=True, slots=True)
class Minor:
    """The wire amount is in units of 10**-exponent of the major unit (cents, sen: 2)."""

    exponent: int


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: pa.DataType
    read: Callable[[Any], Any]  # record -> value as msgspec decoded it
    convert: Callable[[Any], Any] | None  # None: usable as it is
    pii: Pii | None = None


@dataclass(slots=True)
class Reject:
    """A record, page or row that did not fit: which one, which field, which rule. The bytes stay in landing."""

    record_key: str
    field: str
    rule: str
    kind: str = "record"
    row: int = 0
    payload: bytes = b""
    scope: str = ""
    business_date: date | None = None


@dataclass(slots=True)
class Decoded:
    """One page as Arrow tables (by raw table name), its rejects, and fields that no wire type knows."""

    tables: dict[str, pa.Table]
    rejects: list[Reject] = field(default_factory=list)
    drift: set[str] = field(default_factory=set)
    rows: int = 0
    read: int = 0  # records that the page has, whether they fit or not
    unchanged: int = 0  # of these, records that were known as they are and left out


def keyed_hasher(key: bytes) -> Hasher:
    """A hash that cannot be reversed by guessing without the platform's key: 32 hex digits."""

    def digest(value: str) -> str:
        return hashlib.blake2b(value.strip().lower().encode(), key=key[:64], digest_size=16).hexdigest()

    return digest


@cache
def columns_of(record: type[msgspec.Struct]) -> tuple[Column, ...]:
    """The raw columns of a wire type, in declaration order."""
    hints = typing.get_type_hints(record, include_extras=True)
    return tuple(
        _column(name, hints[name])
        for name in record.__struct_fields__
        if not isinstance(hints[name], typing.ForwardRef)
    )


def _column(name: str, hint: Any) -> Column:
    extras = list(_extras(hint))
    read = attrgetter(name)
    for extra in extras:
        if isinstance(extra, Pii):
            return Column(name, pa.string(), read, None, pii=extra)
        if isinstance(extra, Convert):
            return Column(name, extra.type, read, extra.function)
        if isinstance(extra, Minor):
            return Column(name, MONEY, read, partial(_from_minor, exponent=extra.exponent))
    arrow, convert = _arrow_type(_unwrap(hint)[0])
    if convert is _aware and any(isinstance(extra, msgspec.Meta) and extra.tz for extra in extras):
        convert = None  # msgspec has seen to it
    if convert is None and msgspec.UnsetType in typing.get_args(hint):
        convert = _same  # so that UNSET is read as None
    return Column(name, arrow, read, convert)


def _extras(hint: Any) -> Iterator[Any]:
    """What a type is annotated with, also where that stands inside `... | None`."""
    if typing.get_origin(hint) is typing.Annotated:
        hint, *extras = typing.get_args(hint)
        yield from extras
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        for option in typing.get_args(hint):
            yield from _extras(option)


def _holds_pii(hint: Any) -> bool:
    """Whether personal data is declared anywhere inside a type."""
    if any(isinstance(extra, Pii) for extra in _extras(hint)):
        return True
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return any(_holds_pii(inner) for inner in typing.get_type_hints(hint, include_extras=True).values())
    return any(_holds_pii(inner) for inner in typing.get_args(hint))


def _from_minor(value: Decimal | int, exponent: int) -> Decimal:
    return Decimal(value).scaleb(-exponent)


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("has no time zone")
    return value


def _same(value: Any) -> Any:
    return value


def _json_text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _unwrap(hint: Any) -> tuple[Any, Any]:
    """The type without None and Annotated, and the element type where it is a list. Unions give a tuple."""
    if typing.get_origin(hint) is typing.Annotated:
        hint = typing.get_args(hint)[0]
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        options = [option for option in typing.get_args(hint) if option not in (type(None), msgspec.UnsetType)]
        hint = options[0] if len(options) == 1 else tuple(options)
        if typing.get_origin(hint) is typing.Annotated:
            hint = typing.get_args(hint)[0]
    if typing.get_origin(hint) in (list, tuple):
        element = typing.get_args(hint)[0]
        return list, _unwrap(element)[0]
    return hint, None


def _arrow_type(base: Any) -> tuple[pa.DataType, Callable[[Any], Any] | None]:
    simple: dict[Any, pa.DataType] = {
        str: pa.string(),
        int: pa.int64(),
        bool: pa.bool_(),
        float: pa.float64(),
        Decimal: MONEY,
        date: pa.date32(),
    }
    if typing.get_origin(base) is typing.Literal:
        kinds = {type(value) for value in typing.get_args(base) if value is not None}
        base = kinds.pop() if len(kinds) == 1 else tuple(kinds)
    if isinstance(base, tuple) and set(base) <= {str, int, Decimal}:
        return pa.string(), str
    if base in simple:
        return simple[base], None
    if base is datetime:
        return TIMESTAMP, _aware
    if base in (time, timedelta, uuid.UUID, bytes):
        return pa.string(), msgspec.to_builtins
    if isinstance(base, type) and issubclass(base, Enum):
        return pa.string(), lambda value: str(value.value)
    return pa.string(), _json_text


def raw_schema(stream: Stream, table: Table) -> pa.Schema:
    """The full raw table: meta columns, constants and root keys, then the wire type's own columns.

    Raises TypeError for a declaration that would store personal data inside a text of JSON, or whose names the load
    would change.
    """
    child_names = _child_fields(stream, table)
    hints = typing.get_type_hints(table.record, include_extras=True)
    for column in columns_of(table.record):
        if column.pii is None and column.name not in child_names and _holds_pii(hints[column.name]):
            raise TypeError(f"{table.name}.{column.name}: holds personal data; make it a table or leave it undeclared")
    fields = [
        pa.field("integration_id", pa.string(), nullable=False),
        pa.field("c4_scope", pa.string(), nullable=False),
        pa.field("c4_seq", pa.int64(), nullable=False),
        pa.field("c4_version", pa.int64(), nullable=False),
        pa.field("c4_landing", pa.string()),
    ]
    own = {column.name: column for column in columns_of(table.record)}
    if table is stream.root:
        fields.append(pa.field(CONTENT, pa.int64()))
        fields += [
            pa.field(name, pa.string(), nullable=name not in table.key) for name in stream.constants if name not in own
        ]
    else:
        root = {f.name: f.type for f in raw_schema(stream, stream.root)}
        fields += [pa.field(f"root_{name}", root[name], nullable=False) for name in stream.root.key]
        fields += [pa.field(name, _inherited(stream, path)[0].type) for name, path in table.inherit.items()]
    fields += [
        pa.field(name, column.type, nullable=name not in stream.root.key or table is not stream.root)
        for name, column in own.items()
        if name not in child_names and column.pii is not Pii.DROP
    ]
    for name in [table.name, *(item.name for item in fields)]:
        if (loaded := NAMING.normalize_identifier(name)) != name:
            raise TypeError(f"{table.name}: {name!r} would be called {loaded!r} in the warehouse")
    return pa.schema(fields)


def _child_fields(stream: Stream, table: Table) -> set[str]:
    """Fields of a table's record that other tables of the stream explode: they are no columns."""
    prefix = f"{table.path}." if table.path else ""
    names = set()
    for other in stream.tables:
        if other.path.startswith(prefix) and other.path != table.path:
            names.add(other.path[len(prefix) :].split(".")[0])
    return names


def _inherited(stream: Stream, path: str) -> tuple[Column, int]:
    """The ancestor's column that a child inherits, and how deep below the root the ancestor is."""
    *ancestors, name = path.split(".")
    record: Any = stream.root.record
    for step in ancestors:
        record = _unwrap(typing.get_type_hints(record, include_extras=True)[step])[1]
    column = next(column for column in columns_of(record) if column.name == name)
    if column.pii is Pii.DROP:
        raise TypeError(f"{stream.name}: {path} is dropped and cannot be inherited")
    return column, len(ancestors)


def _stored_columns(table: Table, schema: pa.Schema) -> list[Column]:
    """The fields of a table's record that are columns of it."""
    return [column for column in columns_of(table.record) if column.name in schema.names and column.pii is not Pii.DROP]


class PageDecoder:
    """Decodes the pages of one stream. Not thread safe; one per stream and run."""

    def __init__(self, stream: Stream, integration_id: str, hasher: Hasher) -> None:
        self.stream = stream
        self.integration_id = integration_id
        self._hasher = hasher
        root = stream.root.record
        steps = stream.records.split(".") if stream.records else []
        self._one = msgspec.json.Decoder(root)
        self._raw_page = msgspec.json.Decoder(_wrap(msgspec.Raw, steps))
        self._raw_list = msgspec.json.Decoder(list[msgspec.Raw])
        self._steps = steps
        self._schemas = {table.name: raw_schema(stream, table) for table in stream.tables}
        self._own = {table.name: _stored_columns(table, self._schemas[table.name]) for table in stream.tables}
        self._inherited = {
            table.name: {name: _inherited(stream, path) for name, path in table.inherit.items()}
            for table in stream.tables
        }
        self._known = _known_fields(root)
        self._columns = {column.name: column for column in columns_of(root)}
        self._hints = typing.get_type_hints(root, include_extras=True)
        self._contents: list[int] = []  # of the records of the page that is being decoded
        declared = "\n".join(f"{name} {schema}" for name, schema in self._schemas.items())
        self._salt = hashlib.blake2b(f"{declared}\n{hasher('')}".encode(), digest_size=8)
        version = stream.root.version
        if version and not _orders(self._schemas[stream.root.name].field(version).type):
            raise TypeError(f"{stream.name}: version {version!r} is no time, date or whole number")

    def empty(self) -> dict[str, pa.Table]:
        return {name: schema.empty_table() for name, schema in self._schemas.items()}

    def decode(
        self,
        content: bytes,
        *,
        seq: int,
        scope: str,
        landing: str,
        constants: Mapping[str, str],
        watch_drift: bool = True,
        rows: Collection[int] | None = None,
        is_record: bool = False,
        known: np.ndarray | None = None,
    ) -> Decoded:
        """Decode one page. `seq` numbers its first record; the others follow. Never raises for bad input.

        Records whose content (`c4_content`) is among the `known` ones, sorted 64-bit integers, are left out.
        `watch_drift` looks for fields that the wire type does not know, which reads the page a second time. `rows`
        takes only these of its records (from 1). With `is_record` the bytes are one record without a page around it.
        """
        records, positions, rejects, unchanged = self._records(content, scope, constants, known, is_record=is_record)
        read = len(records) + len(rejects) + unchanged
        if rows is not None:
            taken = [index for index, position in enumerate(positions) if position + 1 in rows]
            records, positions = [records[index] for index in taken], [positions[index] for index in taken]
            rejects = [reject for reject in rejects if reject.kind == "page" or reject.row in rows]
        drift = self._drift(content, records) if watch_drift else set()
        numbers = [seq + position for position in positions]
        try:
            tables = self._tables(records, numbers, scope, landing, constants, seq)
        except DATA_ERRORS:
            records, numbers, bad = self._sift(records, numbers, seq, scope, landing, constants)
            rejects += bad
            tables = self._tables(records, numbers, scope, landing, constants, seq)
        for reject in rejects:
            reject.scope = scope
        return Decoded(tables, rejects, drift, len(records), read, unchanged)

    def _records(
        self,
        content: bytes,
        scope: str,
        constants: Mapping[str, str],
        known: np.ndarray | None,
        *,
        is_record: bool,
    ) -> tuple[list[Any], Sequence[int], list[Reject], int]:
        """Good records, the position of each in the page (from 0), the rejects, and how many were known."""
        try:
            raws = [content] if is_record else list(self._raw_records(content))
        except DATA_ERRORS as error:
            return [], [], [Reject("", *_explain(error), kind="page", payload=content)], 0
        self._contents = self._contents_of(raws, scope, constants)
        positions: Sequence[int] = range(len(raws))
        if known is not None and known.size and raws:
            wanted = np.array(self._contents, np.int64)
            places = np.minimum(np.searchsorted(known, wanted), known.size - 1)
            positions = np.flatnonzero(known[places] != wanted).tolist()
        return *self._one_by_one(raws, positions, constants), len(raws) - len(positions)

    def _contents_of(self, raws: Sequence[Any], scope: str, constants: Mapping[str, str]) -> list[int]:
        """A number for each record: its bytes, whose they are, and what is declared of them."""
        common = self._salt.copy()
        common.update(repr((scope, sorted(constants.items()))).encode())
        found = []
        for raw in raws:
            digest = common.copy()
            digest.update(raw)
            found.append(int.from_bytes(digest.digest(), "little", signed=True))
        return found

    def _one_by_one(
        self, raws: Sequence[Any], places: Sequence[int], constants: Mapping[str, str]
    ) -> tuple[list[Any], Sequence[int], list[Reject]]:
        records, positions, rejects = [], [], []
        for position in places:
            raw = raws[position]
            try:
                records.append(self._one.decode(raw))
                positions.append(position)
            except DATA_ERRORS as error:
                name, rule = _explain(error)
                rejects.append(Reject(self._key_of(raw, constants), name, rule, row=position + 1, payload=bytes(raw)))
        return records, positions, rejects

    def _raw_records(self, content: bytes) -> Iterable[Any]:
        if self.stream.rows is not None:
            return self.stream.rows(content)
        found = self._raw_page.decode(content)
        for step in self._steps:
            found = getattr(found, step)
        return self._raw_list.decode(found) if bytes(memoryview(found)[:80]).lstrip()[:1] == b"[" else [found]

    def _key_of(self, raw: Any, constants: Mapping[str, str]) -> str:
        """The key of a record that did not fit, as its row would have it; "?" for a part that cannot be read."""
        try:
            loose = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        except DATA_ERRORS:
            return ""
        record = self.stream.root.record
        wire = dict(zip(record.__struct_fields__, record.__struct_encode_fields__, strict=True))
        parts = []
        for name in self.stream.root.key:
            if name not in wire:
                parts.append(constants.get(name, "?"))
                continue
            column, value = self._columns[name], loose.get(wire[name])
            try:
                array = self._array(column, [msgspec.json.decode(value or b"", type=self._hints[name])])
                parts.append(str(array[0].as_py()))
            except DATA_ERRORS:
                parts.append("?" if value is None or column.pii is not None else _loose_text(value))
        return "/".join(parts)

    def _drift(self, content: bytes, records: Sequence[Any]) -> set[str]:
        """Fields of the first record that its wire type does not know."""
        if not records or self.stream.rows is not None:
            return set()
        try:
            raws = self._raw_records(content)
            first = msgspec.json.decode(next(iter(raws)))
        except (*DATA_ERRORS, StopIteration):
            return set()
        return set(_unknown(first, self._known, ""))

    def _sift(
        self,
        records: list[Any],
        numbers: list[int],
        seq: int,
        scope: str,
        landing: str,
        constants: Mapping[str, str],
    ) -> tuple[list[Any], list[int], list[Reject]]:
        """The records that make a table by themselves; a reject for each of the others."""
        good, kept, rejects = [], [], []
        for record, number in zip(records, numbers, strict=True):
            try:
                self._tables([record], [number], scope, landing, constants, seq)
            except DATA_ERRORS as error:
                raw = msgspec.json.encode(record)
                name, rule = _explain(error)
                rejects.append(Reject(self._key_of(raw, constants), name, rule, row=number - seq + 1, payload=raw))
            else:
                good.append(record)
                kept.append(number)
        return good, kept, rejects

    def _tables(
        self, records: list[Any], numbers: list[int], scope: str, landing: str, constants: Mapping[str, str], seq: int
    ) -> dict[str, pa.Table]:
        count = len(records)
        sequence = pa.array(numbers, pa.int64())
        root = self.stream.root
        arrays: dict[str, pa.Array] = {
            "integration_id": _repeat(self.integration_id, count),
            "c4_scope": _repeat(scope, count),
            "c4_seq": sequence,
            "c4_landing": _repeat(landing, count),
            CONTENT: pa.array([self._contents[number - seq] for number in numbers], pa.int64()),
        }
        for name in self.stream.constants:
            if name not in self._columns:
                arrays[name] = _repeat(constants.get(name), count)
        arrays |= self._own_arrays(root, records)
        for name in root.key:
            if arrays[name].null_count:
                raise ValueError(f"{name}: is part of the key and is empty")
        arrays["c4_version"] = _version(arrays.get(root.version), sequence)
        tables = {root.name: _assemble(self._schemas[root.name], arrays)}
        for table in self.stream.tables[1:]:
            rows, indexes, lineage = _descend(records, table.path.split("."))
            take = pa.array(indexes, pa.int64())
            child = {name: arrays[name].take(take) for name in META_COLUMNS}
            child |= {f"root_{name}": arrays[name].take(take) for name in root.key}
            for name, (column, depth) in self._inherited[table.name].items():
                child[name] = self._array(column, [column.read(chain[depth]) for chain in lineage])
            child |= self._own_arrays(table, rows)
            tables[table.name] = _assemble(self._schemas[table.name], child)
        return tables

    def _own_arrays(self, table: Table, rows: Sequence[Any]) -> dict[str, pa.Array]:
        arrays = {}
        for column in self._own[table.name]:
            array = arrays[column.name] = self._array(column, map(column.read, rows), len(rows))
            if array.null_count and column.name in table.key:
                raise ValueError(f"{column.name}: is part of the key and is empty")
        return arrays

    def _array(self, column: Column, values: Iterable[Any], size: int | None = None) -> pa.Array:
        function = self._hash if column.pii is Pii.HASH else column.convert
        if function is not None:
            values = _converted(column.name, function, values)
        try:
            return pa.array(values, column.type, size=size)
        except (pa.ArrowException, OverflowError, TypeError) as error:
            raise ValueError(f"{column.name}: does not fit {column.type}") from error

    def _hash(self, value: Any) -> str:
        return self._hasher(str(value))


def _converted(name: str, function: Callable[[Any], Any], values: Iterable[Any]) -> list[Any]:
    try:
        return [None if value is None or value is msgspec.UNSET else function(value) for value in values]
    except DATA_ERRORS as error:
        raise ValueError(f"{name}: {_words(error)}") from error


def _wrap(inner: Any, steps: Sequence[str]) -> Any:
    """A type that holds `inner` at a dotted path."""
    for step in reversed(steps):
        inner = msgspec.defstruct("Envelope", [(step, inner)])
    return inner


def _repeat(value: str | None, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, pa.string()), count)


def _orders(kind: pa.DataType) -> bool:
    return pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_integer(kind)


def _version(column: pa.Array | None, sequence: pa.Array) -> pa.Array:
    """What orders two deliveries of one record: the vendor's own stamp, else the order of reading."""
    if column is None:
        return sequence
    if pa.types.is_date(column.type):
        column = column.cast(pa.int32())
    return pc.fill_null(column.cast(pa.int64()), 0)


def _assemble(schema: pa.Schema, arrays: Mapping[str, pa.Array]) -> pa.Table:
    columns = [(arrays[field.name], field.type) for field in schema]
    fitting = [array if array.type == kind else array.cast(kind) for array, kind in columns]
    return pa.Table.from_arrays(fitting, schema=schema)


def _descend(records: Sequence[Any], path: Sequence[str]) -> tuple[list[Any], list[int], list[tuple[Any, ...]]]:
    """Rows of a nested list, the index of the root each belongs to, and each row's chain of ancestors."""
    rows: list[Any] = list(records)
    indexes = list(range(len(records)))
    lineage: list[tuple[Any, ...]] = [(record,) for record in records]
    for step in path:
        read = attrgetter(step)
        next_rows: list[Any] = []
        next_indexes: list[int] = []
        next_lineage: list[tuple[Any, ...]] = []
        for row, index, chain in zip(rows, indexes, lineage, strict=True):
            for child in read(row) or ():
                next_rows.append(child)
                next_indexes.append(index)
                next_lineage.append((*chain, child))
        rows, indexes, lineage = next_rows, next_indexes, next_lineage
    return rows, indexes, lineage


def _explain(error: BaseException) -> tuple[str, str]:
    """(field, rule) of a decode error, from msgspec's own words or a `field: rule` message."""
    rule, _, path = _words(error).partition(" - at `")
    name = path.rstrip("`").removeprefix("$").lstrip(".")
    if "missing required field" in rule:
        inner, rule = rule.split("`")[1], "required, but missing"
    else:
        head, _, tail = rule.partition(": ")
        is_field = tail and head.replace(".", "").replace("_", "").isalnum()
        inner, rule = (head, tail) if is_field else ("", rule)
    return ".".join(part for part in (name, inner) if part), rule


def _words(error: BaseException) -> str:
    """What an error says, where it was written to be read."""
    told = isinstance(error, ValueError | TypeError | msgspec.DecodeError) and str(error)
    return told or type(error).__name__


def _loose_text(raw: msgspec.Raw) -> str:
    """A value that is not of its type, as text; "?" for none."""
    try:
        value = msgspec.json.decode(raw)
    except DATA_ERRORS:
        return "?"
    return "?" if value is None else str(value)


def _known_fields(record: type[msgspec.Struct]) -> dict[str, Any]:
    hints = typing.get_type_hints(record, include_extras=True)
    known: dict[str, Any] = {}
    for name, wire in zip(record.__struct_fields__, record.__struct_encode_fields__, strict=True):
        base, element = _unwrap(hints[name])
        inner = element if element is not None else base
        is_record = isinstance(inner, type) and issubclass(inner, msgspec.Struct)
        known[wire] = _known_fields(inner) if is_record else None
    return known


def _unknown(value: Any, known: Mapping[str, Any], prefix: str) -> Iterator[str]:
    if not isinstance(value, dict):
        return
    for name, inner in value.items():
        if name not in known:
            yield f"{prefix}{name}"
        elif known[name]:
            for item in (inner if isinstance(inner, list) else [inner])[:1]:
                yield from _unknown(item, known[name], f"{prefix}{name}.")
