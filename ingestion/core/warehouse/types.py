"""Column types of the raw tables, in words that both engines know."""

import pyarrow as pa


def sql_type(kind: pa.DataType) -> str:
    """The column type of an Arrow type, as dlt creates it too. Raises TypeError for a type that no column has."""
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind) and kind.tz:
        return "timestamp with time zone"
    names = {
        pa.string(): "varchar",
        pa.int64(): "bigint",
        pa.bool_(): "boolean",
        pa.date32(): "date",
        pa.float64(): "double precision",
    }
    if kind not in names:
        raise TypeError(f"no raw column has the type {kind}")
    return names[kind]
