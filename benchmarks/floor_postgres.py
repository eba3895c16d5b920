"""The floor on Postgres: pages of JSON by COPY, then plain SQL. Nothing else imported when it runs.

python -m benchmarks.floor_postgres STATEMENTS URL PAGES      a file of SQL, the database, the folder of pages
"""

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2

# Control characters do not occur in JSON, so a page is one field of one line as it is.
COPY = "copy pages from stdin with (format csv, delimiter e'\\x02', quote e'\\x01')"


class Lines:
    """The pages of a folder as one file to read, a line each."""

    def __init__(self, folder: Path) -> None:
        self._parts = self._read(folder)
        self._rest = b""

    @staticmethod
    def _read(folder: Path) -> Iterator[bytes]:
        for path in sorted(folder.glob("*.json")):
            yield path.read_bytes().replace(b"\n", b" ") + b"\n"

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self._rest) < size:
            part = next(self._parts, None)
            if part is None:
                break
            self._rest += part
        taken = self._rest if size < 0 else self._rest[:size]
        self._rest = self._rest[len(taken) :]
        return taken


if __name__ == "__main__":
    with closing(psycopg2.connect(sys.argv[2])) as connection, connection.cursor() as cursor:
        cursor.execute("set timezone = 'UTC'; create temp table pages (page jsonb)")
        cursor.copy_expert(COPY, Lines(Path(sys.argv[3])))
        cursor.execute(Path(sys.argv[1]).read_text(encoding="utf-8"))
        connection.commit()
