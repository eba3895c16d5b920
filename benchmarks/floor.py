"""The floor of the load benchmark: DuckDB alone, nothing else imported.

python -m benchmarks.floor STATEMENTS WAREHOUSE      a file of SQL, and the file it writes to
"""

import sys
from pathlib import Path

import duckdb

if __name__ == "__main__":
    with duckdb.connect(sys.argv[2]) as connection:
        connection.execute(Path(sys.argv[1]).read_text(encoding="utf-8"))
