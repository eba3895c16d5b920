"""The candidate journals of one target, read from the marts in one snapshot."""

from __future__ import annotations

from decimal import Decimal

from ingestion.core import warehouse
from ingestion.core.config import Config
from ingestion.core.journal import JournalType
from ingestion.core.outbox import JOURNAL_TYPES, Candidate, CandidateLine, JournalKey, booked_journals
from ingestion.core.platform import Platform

# Contents are hashed as `content_hash` does it. Where a name has a quote or the like the two differ: then the lines of
# a journal are read though nothing has changed.
JOURNALS = """
with contents as (
    select
        entity_id, outlet_id, business_date, journal_type,
        '[' || string_agg(
            '(''' || account_code || ''', ''' || component || ''', ''' || amount || ''')',
            ', ' order by account_code, component, amount
        ) || ']' as content
    from (
        select l.*, rtrim(rtrim(cast(l.debit - l.credit as varchar), '0'), '.') as amount
        from marts.journal_lines as l
        inner join marts.dim_entities as e on e.entity_id = l.entity_id
        where e.target = ? and (e.posts_from is null or l.business_date >= e.posts_from)
    ) as lines
    group by entity_id, outlet_id, business_date, journal_type
)
select j.entity_id, j.outlet_id, j.business_date, j.journal_type, j.currency, j.is_postable, j.hold_reason,
    j.cost_center, j.tracking_option, {content_hash}
from marts.journals as j
inner join contents as c
    on c.entity_id = j.entity_id
    and c.outlet_id = j.outlet_id
    and c.business_date = j.business_date
    and c.journal_type = j.journal_type
where j.target = ?
order by j.business_date, j.entity_id, j.outlet_id, j.journal_type
"""
LINES = """
select l.entity_id, l.outlet_id, l.business_date, l.journal_type, l.component, l.account_code,
    l.debit - l.credit as amount, l.memo
from marts.journal_lines as l
inner join marts.dim_entities as e on e.entity_id = l.entity_id
where e.target = ? and l.business_date in ({days})
order by l.entity_id, l.outlet_id, l.business_date, l.journal_type, l.line_no
"""
READINESS = """
select outlet_id, business_date, sales_hold, cogs_hold, labor_hold, cost_center, tracking_option
from intermediate.int_close__readiness
"""
HOLDS = {JournalType.DAILY_SALES: 2, JournalType.COGS: 3, JournalType.LABOR: 4}


def candidates(platform: Platform, integration_id: str) -> list[Candidate]:
    """Every journal that the books of a target should hold and that they are not known to hold already as it is, those
    that became empty included.

    Journals from before their entity posts are none of them. One that is held and that the target knows nothing of
    comes without its lines. One that was posted and that is not found is a candidate without lines; it is postable only
    while its outlet-day is complete, so that lost data never reverses good books.
    """
    booked = booked_journals(platform.ops, integration_id)
    hashed = warehouse.sha256(platform.settings, "c.content")
    with warehouse.connect(platform.settings) as connection:
        rows = connection.execute(JOURNALS.format(content_hash=hashed), [integration_id, integration_id]).fetchall()
        keys = [JournalKey(entity, outlet, day, JOURNAL_TYPES[kind]) for entity, outlet, day, kind, *_ in rows]
        told = {key: row for key, row in zip(keys, rows, strict=True) if booked.get(key) != row[9]}
        wanted = {key for key, row in told.items() if row[5] or key in booked}
        lines = _lines(connection, platform.config, integration_id, wanted)
        gone = booked.keys() - set(keys)
        readiness = {(row[0], row[1]): row for row in connection.execute(READINESS).fetchall()} if gone else {}
    found = [
        Candidate(key, currency, tuple(lines.get(key, ())), postable, hold or "", center or "", option or "")
        for key, (*_, currency, postable, hold, center, option, _) in told.items()
    ]
    for key in sorted(gone):
        day = readiness.get((key.outlet_id, key.business_date))
        hold = "the outlet-day is no longer in the marts" if day is None else day[HOLDS[key.journal_type]]
        currency = platform.config.entity(key.entity_id).currency
        center, option = (day[5] or "", day[6] or "") if day else ("", "")
        found.append(Candidate(key, currency, (), hold is None, hold or "", center, option))
    return found


def _lines(
    connection: warehouse.Connection, config: Config, integration_id: str, wanted: set[JournalKey]
) -> dict[JournalKey, list[CandidateLine]]:
    accounts = _target_accounts(config, integration_id)
    found: dict[JournalKey, list[CandidateLine]] = {}
    days = sorted({key.business_date for key in wanted})
    if not days:
        return found
    marks = ", ".join("?" for _ in days)
    for entity, outlet, day, kind, component, account, amount, memo in connection.execute(
        LINES.format(days=marks), [integration_id, *days]
    ).fetchall():
        key = JournalKey(entity, outlet, day, JOURNAL_TYPES[kind])
        if key in wanted:
            target = accounts.get(account, account)
            found.setdefault(key, []).append(CandidateLine(account, target, component, Decimal(amount), memo))
    return found


def _target_accounts(config: Config, integration_id: str) -> dict[str, str]:
    """Our account code -> the target's, where they differ."""
    return {
        row.account_code: row.target_account
        for row in config.tables["target_accounts"]
        if row.integration_id == integration_id
    }
