"""Staging models as plain SQL, for tests that look at what one vendor's models make of its raw tables, without dbt."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import jinja2

from ingestion.core.settings import PROJECT_ROOT
from ingestion.core.warehouse import as_dicts

DBT = PROJECT_ROOT / "dbt_project"
MACROS = "".join(
    (DBT / "macros" / f"{name}.sql").read_text("utf-8") for name in ("current_children", "delivered", "time", "money")
)
JINJA = jinja2.Environment(autoescape=False, extensions=["jinja2.ext.do"])  # noqa: S701 - SQL
MODULE = JINJA.from_string(MACROS).module


@dataclass(frozen=True)
class Adapter:
    """dbt's `adapter` of an engine, as far as staging uses it."""

    engine: str

    def quote(self, name: str) -> str:
        return f'"{name}"'

    def dispatch(self, name: str, _: str) -> Any:
        return getattr(MODULE, f"{self.engine}__{name}", None) or getattr(MODULE, f"default__{name}")


class Source(str):
    """A raw table in SQL, with what dbt tells of it."""

    @property
    def schema(self) -> str:
        return self.partition(".")[0]


@cache
def staging_sql(slug: str, model: str, engine: str = "duckdb") -> str:
    """The model `stg_<slug>__<model>` as dbt compiles it, the models below it inlined."""
    prefix = f"stg_{slug}__"
    path = DBT / "models" / "staging" / slug / f"{prefix}{model}.sql"
    return JINJA.from_string(MACROS + path.read_text(encoding="utf-8")).render(
        source=lambda *names: Source(".".join(names)),
        ref=lambda name: f"({staging_sql(slug, name.removeprefix(prefix), engine)})",
        var=lambda name, default: default,
        adapter=Adapter(engine),
        **{"return": lambda value: value},
    )


def rows_in(data: Path, sql: str) -> list[dict[str, Any]]:
    """The answer of the DuckDB warehouse of a data folder, instants in UTC."""
    with duckdb.connect(str(data / "warehouse.duckdb")) as connection:
        connection.execute("set timezone = 'UTC'")
        return as_dicts(connection.execute(sql))
