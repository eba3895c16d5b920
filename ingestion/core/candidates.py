"""The candidate journals of one target, read from the marts in one snapshot."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from ingestion.core import warehouse
from ingestion.core.config import Config
from ingestion.core.journal import JournalType
from ingestion.core.outbox import Candidate, CandidateLine, JournalKey, live_journals
from ingestion.core.platform import Platform

JOURNALS = """
select entity_id, outlet_id, business_date, journal_type, currency, is_postable, hold_reason, cost_center,
    tracking_option
from marts.journals
where target = ?
order by business_date, entity_id, outlet_id, journal_type
"""
LINES = """
select l.entity_id, l.outlet_id, l.business_date, l.journal_type, l.component, l.account_code,
    l.debit - l.credit as amount, l.memo
from marts.journal_lines as l
inner join marts.journals as j using (entity_id, outlet_id, business_date, journal_type)
where j.target = ?
order by l.entity_id, l.outlet_id, l.business_date, l.journal_type, l.line_no
"""
READINESS = """
select outlet_id, business_date, sales_hold, cogs_hold, labor_hold, cost_center, tracking_option
from intermediate.int_close__readiness
"""
HOLDS = {JournalType.DAILY_SALES: 2, JournalType.COGS: 3, JournalType.LABOR: 4}


def candidates(platform: Platform, integration_id: str) -> list[Candidate]:
    """Every journal that the books of a target should hold, those that became empty included.

    A journal that was posted and that the marts no longer have is a candidate without lines; it is postable only
    while its outlet-day is complete, so that lost data never reverses good books.
    """
    accounts = _target_accounts(platform.config, integration_id)
    with warehouse.connect(platform.settings) as connection:
        lines: dict[JournalKey, list[CandidateLine]] = {}
        for entity, outlet, day, kind, component, account, amount, memo in _rows(connection, LINES, integration_id):
            key = JournalKey(entity, outlet, day, JournalType(kind))
            target = accounts.get(account, account)
            lines.setdefault(key, []).append(CandidateLine(account, target, component, Decimal(amount), memo))
        found = {}
        for entity, outlet, day, kind, currency, postable, hold, center, option in _rows(
            connection, JOURNALS, integration_id
        ):
            key = JournalKey(entity, outlet, day, JournalType(kind))
            found[key] = Candidate(
                key, currency, tuple(lines.get(key, ())), postable, hold or "", center or "", option or ""
            )
        gone = live_journals(platform.ops, integration_id) - found.keys()
        readiness = {(row[0], row[1]): row for row in connection.execute(READINESS).fetchall()} if gone else {}
    for key in sorted(gone):
        day = readiness.get((key.outlet_id, key.business_date))
        hold = "the outlet-day is no longer in the marts" if day is None else day[HOLDS[key.journal_type]]
        currency = platform.config.entity(key.entity_id).currency
        center, option = (day[5] or "", day[6] or "") if day else ("", "")
        found[key] = Candidate(key, currency, (), hold is None, hold or "", center, option)
    return list(found.values())


def _rows(connection: warehouse.Connection, sql: str, target: str) -> Iterable[tuple]:
    return connection.execute(sql, [target]).fetchall()


def _target_accounts(config: Config, integration_id: str) -> dict[str, str]:
    """Our account code -> the target's, where they differ."""
    return {
        row.account_code: row.target_account
        for row in config.tables["target_accounts"]
        if row.integration_id == integration_id
    }
