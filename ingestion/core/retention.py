"""What the landing zone and the raw tables may forget, and forgetting it.

A batch goes when it is older than the policy and the correction window, every outlet-day that it may hold is posted, no
open reject lies in it, it is not the newest reading of a list, and the warehouse has every record of it. From then on
only a backup can restore those records. Of raw tables only rows that no model reads go: lines of deliveries that a
later one has replaced. The marts are made anew from raw, so every other row counts for ever.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from ingestion.core import warehouse
from ingestion.core.config import Integration
from ingestion.core.landing import LandingError
from ingestion.core.load import SEQ_PER_RUN, record_keys
from ingestion.core.ops.leases import LeaseHeldError, lease
from ingestion.core.platform import Platform
from ingestion.core.records import PageDecoder
from ingestion.core.spec import Connector, Stream, Table

ONE_DAY = timedelta(days=1)
KEYS_PER_QUERY = 2000
UNSETTLED = """
select outlet_id, min(business_date) as business_date
from outlet_days
where state in ('open', 'closed', 'postable') or (state <> 'locked' and waits_for <> '')
group by outlet_id
"""


@dataclass(frozen=True, slots=True)
class Old:
    """Batches of a stream that may go: `first` and `last` are the dates of their runs, `raw_rows` the records in the
    warehouse that came from them.
    """

    integration_id: str
    stream: str
    batches: tuple[str, ...]
    bytes: int
    first: date
    last: date
    raw_rows: int


@dataclass(frozen=True, slots=True)
class Replaced:
    """Rows of a child table whose delivery a later one has replaced."""

    integration_id: str
    dataset: str
    table: str
    rows: int


@dataclass(slots=True)
class Report:
    """What may go, and how many batches of a stream stay although they are old, by reason."""

    old: list[Old] = field(default_factory=list)
    replaced: list[Replaced] = field(default_factory=list)
    stays: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # integration, stream, reason


def review(platform: Platform) -> Report:
    """What the policy lets go. Nothing is changed."""
    return _each(platform, _look, _count)


def apply(platform: Platform, who: str) -> Report:
    """Delete what the policy lets go, audited; returns what was deleted. An account under backfill is left alone."""

    def landing(platform: Platform, integration: Integration, report: Report) -> None:
        integration_id = integration.integration_id
        try:
            with lease(platform.ops.sessions, f"backfill:{integration_id}", platform.ops.now):
                _look(platform, integration, report)
                for old in (item for item in report.old if item.integration_id == integration_id):
                    for name in old.batches:
                        platform.landing.remove(name)
                    outcome = f"{len(old.batches)} batches of {old.first} to {old.last}, {old.bytes} bytes"
                    platform.ops.forget_batches(old.batches, who, f"{integration_id} {old.stream} landing", outcome)
        except LeaseHeldError:
            report.stays[integration_id, "", "a backfill of the account is under way"] += 1

    def raw(platform: Platform, integration: Integration, bound: int, report: Report) -> None:
        connector = platform.connector(integration.integration_id)
        found = []
        with (
            warehouse.write_lock(platform.settings, connector.dataset),
            warehouse.connect(platform.settings, read_only=False) as connection,
        ):
            for rows, where in _replaced(connection, connector, integration, bound):
                connection.execute(
                    f'delete from {rows.dataset}."{rows.table}" as child where {where}',  # noqa: S608
                    [integration.integration_id, bound],
                )
                found.append(rows)
        for rows in found:
            subject = f"{rows.integration_id} {rows.dataset}.{rows.table}"
            platform.ops.audit(who, "retention", subject, f"{rows.rows} rows that no model reads")
        report.replaced += found

    return _each(platform, landing, raw)


def _each(
    platform: Platform,
    landing: Callable[[Platform, Integration, Report], None],
    raw: Callable[[Platform, Integration, int, Report], None],
) -> Report:
    report = Report()
    for integration in platform.config.integrations:
        kept = platform.config.retention.of(integration.vendor)
        if kept.landing_days is not None:
            landing(platform, integration, report)
        if kept.raw_days is not None:
            since = datetime.combine(_today(platform) - timedelta(days=kept.raw_days), time(), UTC)
            run = platform.ops.first_run_since(since)
            raw(platform, integration, (run if run is not None else platform.ops.last_run() + 1) * SEQ_PER_RUN, report)
    return report


def _today(platform: Platform) -> date:
    return platform.settings.as_of.date()


# The landing zone


def _look(platform: Platform, integration: Integration, report: Report) -> None:
    """Judge every batch of an account that is older than the policy."""
    policy = platform.config.retention
    days = max(policy.of(integration.vendor).landing_days or 0, policy.correction_days)
    before = _today(platform) - timedelta(days=days)
    connector = platform.connector(integration.integration_id)
    rejects = {str(row["landing"]).partition("#")[0] for row in platform.ops.rejects(status="open")}
    is_known, unsettled = _unsettled(platform, integration)
    for stream in connector.streams:
        names = platform.landing.batches(connector.slug, integration.integration_id, stream.name)
        aged = [name for name in names if platform.landing.read_on(name) < before]
        if not aged:
            continue
        newest = set() if stream.is_windowed else _newest(platform, integration, stream, names)
        sources = _rows_by_batch(platform, connector, integration, stream)
        going = []
        for name in aged:
            reason = ""
            if not is_known:
                reason = "no marts are published: nobody knows which days are posted"
            elif name in rejects:
                reason = "holds an open reject"
            elif unsettled is not None and platform.landing.read_on(name) >= unsettled - ONE_DAY:
                reason = f"may hold {unsettled}, which is not posted"
            elif name in newest:
                reason = "is the newest reading of a list"
            elif stream.write == "merge":
                reason = _missing(platform, connector, integration, stream, name)
            if reason:
                report.stays[integration.integration_id, stream.name, reason] += 1
            else:
                going.append(name)
        if going:
            dates = [platform.landing.read_on(name) for name in going]
            size = sum(platform.landing.size(name) for name in going)
            rows = sum(sources.get(name, 0) for name in going)
            report.old.append(
                Old(integration.integration_id, stream.name, tuple(going), size, min(dates), max(dates), rows)
            )


def _unsettled(platform: Platform, integration: Integration) -> tuple[bool, date | None]:
    """Whether the state of outlet-days is known, and the first business date of the account that is not settled."""
    entities = set(integration.entity_ids)
    theirs = {row.outlet_id for row in platform.config.outlets if row.entity_id in entities or "*" in entities}
    outlets = set(integration.outlets.values()) or theirs
    with warehouse.published(platform.settings) as marts:
        if marts is None:
            return False, None
        days = [day for outlet, day in marts.execute(UNSETTLED).fetchall() if outlet in outlets]
    return True, min(days, default=None)


def _newest(platform: Platform, integration: Integration, stream: Stream, names: Sequence[str]) -> set[str]:
    """The batches that hold the newest whole reading of some scope, of a stream without a window."""
    scopes = {""} | set(integration.outlets)
    newest: set[str] = set()
    for name in reversed(names):
        whole, spoiled = set(), set()
        for scope, kind, _, is_spoiled in _readings(platform, integration, stream, name):
            if is_spoiled:
                spoiled.add(scope)
            elif kind == "done" or stream.write == "merge":
                whole.add(scope)
        if found := (whole - spoiled) & scopes:
            newest.add(name)
            scopes -= found
        if not scopes:
            break
    return newest


def _missing(platform: Platform, connector: Connector, integration: Integration, stream: Stream, name: str) -> str:
    """Why the warehouse could not do without a batch: "" when it has every record of it."""
    try:
        keys = {key for _, _, found, _ in _readings(platform, integration, stream, name) for key in found}
    except LandingError as error:
        return f"cannot be read: {error}"
    wanted = sorted(keys)
    key = " || '/' || ".join(f'cast("{column}" as varchar)' for column in stream.root.key)
    present = 0
    with warehouse.connect(platform.settings) as connection:
        if not _exists(connection, connector, stream.root):
            return "its raw table is not there" if wanted else ""
        for start in range(0, len(wanted), KEYS_PER_QUERY):
            some = wanted[start : start + KEYS_PER_QUERY]
            marks = ", ".join("?" for _ in some)
            row = connection.execute(
                f'select count(*) from {connector.dataset}."{stream.root.name}" '  # noqa: S608
                f"where integration_id = ? and {key} in ({marks})",
                [integration.integration_id, *some],
            ).fetchone()
            assert row is not None
            present += row[0]
    return "" if present == len(wanted) else "holds records that the warehouse has not"


def _readings(
    platform: Platform, integration: Integration, stream: Stream, name: str
) -> Iterator[tuple[str, str, set[str], bool]]:
    """Scope, kind, record keys of each page of a batch, and whether nothing of the page could be read."""
    decoder = PageDecoder(stream, integration.integration_id, platform.hasher)
    for page in platform.landing.pages(name):
        meta = page.meta
        if meta.kind in ("done", "file"):
            yield meta.scope, meta.kind, set(), False
            continue
        decoded = decoder.decode(
            page.content,
            seq=0,
            scope=meta.scope,
            landing=page.reference,
            constants=meta.constants,
            is_record=meta.kind == "record",
        )
        keys = record_keys(decoded.tables[stream.root.name], stream.root.key) if decoded.tables else set()
        is_spoiled = any(reject.kind == "page" for reject in decoded.rejects) or bool(decoded.rejects and not keys)
        yield meta.scope, meta.kind, keys, is_spoiled


def _rows_by_batch(
    platform: Platform, connector: Connector, integration: Integration, stream: Stream
) -> dict[str, int]:
    with warehouse.connect(platform.settings) as connection:
        if not _exists(connection, connector, stream.root):
            return {}
        found = connection.execute(
            f"select split_part(c4_landing, '#', 1), count(*) from {connector.dataset}.\"{stream.root.name}\" "  # noqa: S608
            "where integration_id = ? group by 1",
            [integration.integration_id],
        ).fetchall()
    return dict(found)


# Raw tables


def _is_replaced(connector: Connector, stream: Stream, table: Table) -> str:
    """SQL: a row `child` of an account, from before a delivery, whose root has come again since. Two parameters."""
    same = " and ".join(f'root."{name}" = child."root_{name}"' for name in stream.root.key)
    root = f'select 1 from {connector.dataset}."{stream.root.name}" as root'  # noqa: S608
    current = f"{root} where root.integration_id = child.integration_id and {same} and root.c4_seq = child.c4_seq"
    return f"child.integration_id = ? and child.c4_seq < ? and not exists ({current})"


def _count(platform: Platform, integration: Integration, bound: int, report: Report) -> None:
    connector = platform.connector(integration.integration_id)
    with warehouse.connect(platform.settings) as connection:
        report.replaced += [rows for rows, _ in _replaced(connection, connector, integration, bound)]


def _replaced(
    connection: warehouse.Connection, connector: Connector, integration: Integration, bound: int
) -> Iterator[tuple[Replaced, str]]:
    """The tables that have such rows, and the SQL that finds them."""
    for stream, table in connector.tables():
        if table is stream.root or not (
            _exists(connection, connector, table) and _exists(connection, connector, stream.root)
        ):
            continue
        where = _is_replaced(connector, stream, table)
        row = connection.execute(
            f'select count(*) from {connector.dataset}."{table.name}" as child where {where}',  # noqa: S608
            [integration.integration_id, bound],
        ).fetchone()
        if row is not None and row[0]:
            yield Replaced(integration.integration_id, connector.dataset, table.name, row[0]), where


def _exists(connection: warehouse.Connection, connector: Connector, table: Table) -> bool:
    found = connection.execute(
        "select 1 from information_schema.tables where table_schema = ? and table_name = ?",
        [connector.dataset, table.name],
    )
    return found.fetchone() is not None
