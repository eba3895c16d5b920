"""NCR Aloha: checks with items, payments, reductions and voids, time cards and masters, from the dated folders of DBF
files that End of Day leaves, and the same checks and time cards within seconds from the socket of a site's agent.

A check or time card counts in staging only beside the current reading of its day, once there is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from ingestion.core.spec import Category, Connector, Cursor, Evidence, Limit, Scope, Stream, Table
from ingestion.vendors.ncr_aloha import records
from ingestion.vendors.ncr_aloha.transport import read_days

REGROUND_DAYS = 14  # managers edit closed days, and Aloha grinds them again

SITE = {"source_outlet_id": "{outlet}"}
LOCAL = {**SITE, "timezone": "{timezone}"}


def _dated(name: str, tables: tuple[Table, ...], description: str, constants: Mapping[str, str] = SITE) -> Stream:
    """A stream of the dated folders."""
    return Stream(
        name=name,
        scope=Scope.OUTLET,
        fetch=read_days,
        cursor=Cursor(lookback=timedelta(days=REGROUND_DAYS)),
        constants=constants,
        tables=tables,
        marks_complete=name == "checks",
        evidence=Evidence.CLIENT,
        description=description,
    )


CONNECTOR = Connector(
    name="ncr-aloha",
    category=Category.POS,
    title="NCR Aloha",
    limit=Limit(per_second=1000, concurrent=4),
    live="socket of a site's agent, healed by the files of End of Day",
    streams=(
        _dated(
            "checks",
            (
                Table("checks", records.Check, key=("check_id",), version="version"),
                Table("items", records.Item, key=("entry_id",), path="items"),
                Table("payments", records.Payment, key=("id",), path="payments"),
                Table("reductions", records.Reduction, key=("entry_id", "id"), path="reductions"),
                Table("voids", records.Void, key=("entry_id",), path="voids"),
                Table("amounts", records.Amount, key=("type", "type_id"), path="amounts"),
            ),
            "Checks with items, payments, comps and promos, voids, taxes: GNDITEM, GNDTNDR, GNDLINE, GNDVOID, GNDSALE.",
            LOCAL,
        ),
        _dated(
            "business_days",
            (
                Table("business_days", records.BusinessDay, key=("source_outlet_id", "dob"), version="version"),
                Table("day_totals", records.Amount, key=("type", "type_id"), path="totals"),
            ),
            "Each dated folder with its current reading, and what GNDSALE adds up to.",
        ),
        _dated(
            "punches",
            (Table("punches", records.Punch, key=("punch_id",), version="version"),),
            "Time cards: ADJTIMEX, else ADJTIME.",
            LOCAL,
        ),
        _dated(
            "codes",
            (Table("codes", records.Code, key=("source_outlet_id", "kind", "id"), version="dob"),),
            "Tenders, taxes, order modes, comps, promos, jobs and categories by number.",
        ),
        _dated(
            "menu_items",
            (Table("menu_items", records.MenuItem, key=("source_outlet_id", "id"), version="dob"),),
            "Items and modifiers of the menu.",
        ),
        _dated(
            "employees",
            (Table("employees", records.Employee, key=("source_outlet_id", "id"), version="dob"),),
            "Staff by number, without names.",
        ),
    ),
)
