"""Files to rows of raw cells: CSV, TSV, JSON, NDJSON, XML and XLSX, the text ones also gzipped.

A row is a number and the cells of the columns that the mapping names, in its order. The number is what a person
finds in the file: the physical line (header included) of CSV, TSV and NDJSON, the row of a sheet, the position of
the record in JSON and XML; it starts at 1. Rows are streamed; only a sheet is held in memory as a whole.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import python_calamine
from lxml import etree

from ingestion.vendors.files.mapping import Layout, Mapping
from ingestion.vendors.files.opening import Bad, Cells, FileError, Row
from ingestion.vendors.files.tables import read_delimited, read_sheet
from ingestion.vendors.files.trees import read_json, read_ndjson, read_xml


def read_rows(path: Path, mapping: Mapping, columns: Sequence[str]) -> Iterator[Row]:
    """Every row of a file. Raises FileError when the file is cut short, damaged or not what the mapping says."""
    readers: dict[str, Callable[[Path, Layout, Sequence[str]], Iterator[Row]]] = {
        "csv": read_delimited,
        "tsv": read_delimited,
        "xlsx": read_sheet,
        "json": read_json,
        "ndjson": read_ndjson,
        "xml": read_xml,
    }
    layout = mapping.layout
    if mapping.format in ("csv", "tsv") and not layout.delimiter:
        layout = msgspec.structs.replace(layout, delimiter="\t" if mapping.format == "tsv" else ",")
    try:
        yield from readers[mapping.format](path, layout, columns)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileError("the gzip file is cut short or damaged") from error
    except UnicodeError as error:
        raise FileError(f"the text is not {getattr(error, 'encoding', layout.encoding)}") from error
    except etree.XMLSyntaxError as error:
        raise FileError(f"the XML is broken: {error.msg}") from error
    except python_calamine.CalamineError as error:
        raise FileError(f"the workbook cannot be read: {error}") from error


__all__ = ["Bad", "Cells", "FileError", "Row", "read_rows"]
