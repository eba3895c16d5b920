"""NCR Aloha: checks with items, payments, reductions and voids, time cards and masters, from the dated folders of DBF
files that End of Day leaves, and the same checks and time cards within seconds from the socket of a site's agent.

Once a business date has the delivery of its folder, that one counts alone: a lost or late message changes nothing then.
"""

from __future__ import annotations

from datetime import timedelta

from ingestion.core.records import Record
from ingestion.core.spec import Carries, Category, Connector, Cursor, Evidence, Limit, Scope, Socket, Stream, Table
from ingestion.vendors.ncr_aloha import live, records
from ingestion.vendors.ncr_aloha.transport import read_days

REGROUND_DAYS = 14  # managers edit closed days, and Aloha grinds them again


def _dated(name: str, tables: tuple[Table, ...], description: str) -> Stream:
    """A stream of the dated folders."""
    return Stream(
        name=name,
        scope=Scope.OUTLET,
        fetch=read_days,
        cursor=Cursor(lookback=timedelta(days=REGROUND_DAYS)),
        constants={"source_outlet_id": "{outlet}", "timezone": "{timezone}"},
        tables=tables,
        marks_complete=name == "days",
        evidence=Evidence.CLIENT,
        description=description,
    )


def _of_check(name: str, record: type[Record], key: tuple[str, ...]) -> Table:
    return Table(name, record, key=key, path=f"checks.{name}", inherit={"check_id": "checks.check_id"})


CONNECTOR = Connector(
    name="ncr-aloha",
    category=Category.POS,
    title="NCR Aloha",
    limit=Limit(per_second=1000, concurrent=4),
    live="socket of a site's agent, healed by the files of End of Day",
    socket=Socket(
        lines=live.lines,
        events=dict.fromkeys(("CHECK_CLOSED", "CLOCK_IN", "CLOCK_OUT"), Carries("days", "delivery")),
        credentials=("client_id", "shared_key"),
        evidence=Evidence.INFERRED,
    ),
    streams=(
        _dated(
            "days",
            (
                Table("deliveries", records.Delivery, key=("source_outlet_id", "dob", "seq")),
                Table("checks", records.Check, key=("check_id",), path="checks"),
                _of_check("items", records.Item, ("entry_id",)),
                _of_check("payments", records.Payment, ("id",)),
                _of_check("voids", records.Void, ("entry_id",)),
                _of_check("amounts", records.Amount, ("type", "type_id", "entry_id")),
                Table("punches", records.Punch, key=("punch_id",), path="punches"),
                Table("day_totals", records.Total, key=("type", "type_id"), path="totals"),
            ),
            "Business dates of a site: checks with items, payments, comps, promos, voids and taxes, and time cards.",
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
