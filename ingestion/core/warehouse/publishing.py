"""What readers of a Postgres warehouse see: the published marts, brought to what the marts hold, and who may read them.

Every function works in the transaction of its cursor.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from typing import Any

import psycopg2.extensions
from psycopg2 import errors, sql

from ingestion.core.warehouse.engine import DAYS, LEDGER, MARTS, Built

PUBLISHED = "published"
COLUMNS = """
    select c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
    from pg_class as c
    inner join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.relnamespace = to_regnamespace(%s) and c.relkind in ('r', 'p', 'v', 'm')
    order by c.relname, a.attnum
"""
COMMENTS = """
    select relname, obj_description(oid, 'pg_class') from pg_class
    where relnamespace = to_regnamespace(%s) and relkind in ('r', 'p')
"""
PARTITIONS = "partitions"  # the schema in which the months of partitioned tables lie; nobody needs to name them
PARTITIONED = "select relname from pg_class where relnamespace = to_regnamespace(%s) and relkind = 'p'"
VIEWS = """
    select v.relname from pg_class as v
    where v.relnamespace = to_regnamespace(%s) and v.relkind = 'v' and not exists (
        select from pg_rewrite as r
        inner join pg_depend as d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
        inner join pg_class as t on d.refclassid = 'pg_class'::regclass and t.oid = d.refobjid
        where r.ev_class = v.oid and t.relnamespace <> v.relnamespace
    )
"""  # that read nothing outside their schema
VIEW = """
    select pg_get_viewdef(oid) from pg_class
    where relnamespace = to_regnamespace(%s) and relname = %s and relkind = 'v'
"""
MONTHS = """
    select right(c.relname, 7), pg_get_expr(c.relpartbound, c.oid)
    from pg_inherits as i
    inner join pg_class as c on c.oid = i.inhrelid
    where i.inhparent = to_regclass(%s)
    order by 1
"""
SPANS = """
    select min(business_date), max(business_date)
    from (select business_date from {old} union select business_date from {new}) as dates
    group by date_trunc('month', business_date)
"""
TOUCHED_MONTHS = """
    select relname, reltuples < 0 from pg_class
    where relnamespace = to_regnamespace(%s)
    and relname in (select %s || to_char(business_date, 'YYYY_MM') from {} where version > %s)
"""
GONE = """
    delete from {old} as old
    where {old_part} and not exists (select from {new} as new where {new_part} and new = old)
"""
COME = """
    insert into {old} select * from {new} as new
    where {new_part} and not exists (select from {old} as old where {old_part} and old = new)
"""
INDEXED = ["outlet_id", "business_date"]  # what readers of a mart ask by, where it has both

log = logging.getLogger(__name__)

Place = tuple[str, str]  # schema and table


def publish(cursor: psycopg2.extensions.cursor, only: Collection[str]) -> tuple[int, list[Place]]:
    """Publish the marts, or those of `only`. Returns how many, and the tables of which the planner is to be told."""
    cursor.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(PUBLISHED)))
    marts, present = columns(cursor, MARTS), columns(cursor, PUBLISHED)
    built, published = _built(cursor, MARTS), _built(cursor, PUBLISHED)
    views, seen = _names(cursor, VIEWS, MARTS), _names(cursor, VIEWS, PUBLISHED)
    if only:
        marts = {name: told for name, told in marts.items() if name in only}
    for name in () if only else present.keys() - marts.keys():
        _drop(cursor, name, is_view=name in seen)
    by_month = _names(cursor, PARTITIONED, MARTS)
    moved = (by_month ^ _names(cursor, PARTITIONED, PUBLISHED)) | (views ^ seen)  # those that are of another kind now
    same = {name for name in marts if present.get(name) == marts[name] and name not in moved}
    written: list[Place] = []
    # those that need the stronger lock come last, so that they hold it shortly
    for name in sorted(marts.keys() - views, key=lambda name: (name not in same, name)):
        told = built.get(name)
        if name not in same:
            _drop(cursor, name, is_view=name in seen)
            indexed = set(INDEXED) <= {column for column, _ in marts[name]}
            written += _make(cursor, name, by_month=name in by_month, indexed=indexed)
        else:
            since = told.since(published.get(name)) if told is not None else None
            written += _renew(cursor, name, by_month=name in by_month, since=since)
        if told is not None:
            table = sql.Identifier(PUBLISHED, name)
            cursor.execute(sql.SQL("comment on table {} is %s").format(table), [told.comment])
    for name in sorted(marts.keys() & views):
        if name in present.keys() - seen:
            _drop(cursor, name, is_view=False)
        _show(cursor, name)
    return len(marts), written


def analyze(cursor: psycopg2.extensions.cursor, tables: Iterable[Place]) -> None:
    """Tell the planner what tables hold."""
    for place in tables:
        cursor.execute(sql.SQL("analyze {}").format(sql.Identifier(*place)))


def let_read(cursor: psycopg2.extensions.cursor, role: str) -> None:
    """The reader role, made if it is missing, may read the published tables and nothing else."""
    cursor.execute("select 1 from pg_roles where rolname = %s", [role])
    if cursor.fetchone() is None:
        cursor.execute("savepoint role")
        try:
            cursor.execute(sql.SQL("create role {} nologin").format(sql.Identifier(role)))
        except errors.InsufficientPrivilege:
            cursor.execute("rollback to savepoint role")
            log.warning('nobody can read the published marts yet: let an administrator run create role "%s"', role)
            return
        except (errors.DuplicateObject, errors.UniqueViolation):  # another database's night was faster
            cursor.execute("rollback to savepoint role")
    names = {"role": sql.Identifier(role), "schema": sql.Identifier(PUBLISHED)}
    cursor.execute("select has_schema_privilege(%s, %s, 'usage')", [role, PUBLISHED])
    if cursor.fetchone() != (True,):
        cursor.execute(sql.SQL("grant usage on schema {schema} to {role}").format(**names))
    cursor.execute(
        "select relname from pg_class where relnamespace = to_regnamespace(%s) and relkind in ('r', 'p', 'v') "
        "and not has_table_privilege(%s, oid, 'select')",
        [PUBLISHED, role],
    )
    for (name,) in cursor.fetchall():
        table = sql.Identifier(PUBLISHED, name)
        cursor.execute(sql.SQL("grant select on {table} to {role}").format(table=table, **names))


def _drop(cursor: psycopg2.extensions.cursor, mart: str, *, is_view: bool) -> None:
    kind = sql.SQL("view" if is_view else "table")
    cursor.execute(sql.SQL("drop {} if exists {} cascade").format(kind, sql.Identifier(PUBLISHED, mart)))


def _make(cursor: psycopg2.extensions.cursor, mart: str, *, by_month: bool, indexed: bool) -> list[Place]:
    """Make the published table, as the mart is. Returns what the planner is to be told of."""
    names = _sides(mart)
    partitioned = " partition by range (business_date)" if by_month else ""
    cursor.execute(sql.SQL("create table {old} (like {new})" + partitioned).format(**names))
    if by_month:
        _make_partitions(cursor, mart)
    cursor.execute(sql.SQL("insert into {old} select * from {new}").format(**names))
    if indexed:
        asked = sql.SQL(", ").join(map(sql.Identifier, INDEXED))
        cursor.execute(sql.SQL("create index on {old} ({asked})").format(asked=asked, **names))
    return [(PUBLISHED, mart)]


def _renew(cursor: psycopg2.extensions.cursor, mart: str, *, by_month: bool, since: int | None) -> list[Place]:
    """Bring the published table to what the mart holds: rows that differ, or the days above a version. Returns what the
    planner is to be told of: of days their months, unless one of those is new.
    """
    if by_month:
        _make_partitions(cursor, mart)
    if not (_copy_rows(cursor, mart, by_month=by_month) if since is None else _copy_days(cursor, mart, since)):
        return []
    if since is None or not by_month:
        return [(PUBLISHED, mart)]
    cursor.execute(TOUCHED_MONTHS.format(LEDGER), [PARTITIONS, f"{PUBLISHED}_{mart}_", since])
    months = cursor.fetchall()
    return [(PUBLISHED, mart)] if any(is_new for _, is_new in months) else [(PARTITIONS, name) for name, _ in months]


def _copy_days(cursor: psycopg2.extensions.cursor, mart: str, since: int) -> int:
    """Replace the days above a version. Returns how many rows went and came."""
    names = {**_sides(mart), "days": sql.SQL(DAYS.format(LEDGER, since))}
    cursor.execute(sql.SQL("delete from {old} where {days}").format(**names))
    gone = cursor.rowcount
    cursor.execute(sql.SQL("insert into {old} select * from {new} where {days}").format(**names))
    return gone + cursor.rowcount


def _copy_rows(cursor: psycopg2.extensions.cursor, mart: str, *, by_month: bool) -> int:
    """Replace the rows that differ. Returns how many went and came.

    Months are compared one after the other, because what is compared at once lies on disk meanwhile.
    """
    names = _sides(mart)
    spans: list[list[Any]] = [[]]
    if by_month:
        cursor.execute(sql.SQL(SPANS).format(**names))
        spans = [[*span, *span] for span in cursor.fetchall()]
    part = "{}.business_date between %s and %s" if by_month else "true"
    names |= {f"{alias}_part": sql.SQL(part.format(alias)) for alias in ("old", "new")}
    rows = 0
    for values in spans:
        for statement in (GONE, COME):
            cursor.execute(sql.SQL(statement).format(**names), values or None)
            rows += cursor.rowcount
    return rows


def _sides(mart: str) -> dict[str, sql.Composable]:
    return {"new": sql.Identifier(MARTS, mart), "old": sql.Identifier(PUBLISHED, mart)}


def _show(cursor: psycopg2.extensions.cursor, mart: str) -> None:
    """Publish a view of marts as a view of the published ones."""
    texts = []
    for schema in (MARTS, PUBLISHED):
        # tables of the schema that names are looked for in are told without it
        cursor.execute(sql.SQL("set local search_path = {}").format(sql.Identifier(schema)))
        cursor.execute(VIEW, [schema, mart])
        found = cursor.fetchone()
        texts.append(str(found[0]) if found else "")
    new, old = texts
    if new != old:
        _drop(cursor, mart, is_view=True)
        cursor.execute(sql.SQL("create view {} as ").format(sql.Identifier(PUBLISHED, mart)) + sql.SQL(new))
        if mart not in _names(cursor, VIEWS, PUBLISHED):  # a name that a step of the query has, too, is told in full
            raise RuntimeError(f"{mart} reads {MARTS} by its name; let none of its steps be called as a mart")
    cursor.execute("set local search_path to default")


def _make_partitions(cursor: psycopg2.extensions.cursor, mart: str) -> None:
    """The months of the mart as partitions of the published table."""
    cursor.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(PARTITIONS)))
    cursor.execute(MONTHS, [f'{MARTS}."{mart}"'])
    for month, bounds in cursor.fetchall():
        names = [sql.Identifier(PARTITIONS, f"{PUBLISHED}_{mart}_{month}"), sql.Identifier(PUBLISHED, mart)]
        cursor.execute(sql.SQL("create table if not exists {} partition of {} " + bounds).format(*names))


def _names(cursor: psycopg2.extensions.cursor, query: str, *parameters: str) -> set[str]:
    cursor.execute(query, parameters)
    return {name for (name,) in cursor.fetchall()}


def _built(cursor: psycopg2.extensions.cursor, schema: str) -> dict[str, Built]:
    """What the facts of a schema that are built by outlet-day tell."""
    cursor.execute(COMMENTS, [schema])
    return {name: told for name, comment in cursor.fetchall() if (told := Built.told(comment)) is not None}


def columns(cursor: psycopg2.extensions.cursor, schema: str) -> dict[str, list[tuple[str, str]]]:
    """The tables of a schema: name -> (column, type) in order."""
    cursor.execute(COLUMNS, [schema])
    found: dict[str, list[tuple[str, str]]] = {}
    for table, column, kind in cursor.fetchall():
        found.setdefault(table, []).append((column, kind))
    return found
