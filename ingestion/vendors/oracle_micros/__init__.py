"""Oracle MICROS Simphony: guest checks, time cards and daily totals per location, from Reporting and Analytics."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ingestion.core.refusals import json_refusal
from ingestion.core.spec import Category, Connector, Cursor, Evidence, Limit, Scope, Stream, Table, Writer
from ingestion.vendors.oracle_micros import records, transport
from ingestion.vendors.oracle_micros.prices import CCAPI, MicrosPrices

LOCATION = {"applicationName": "c4", "locRef": "{outlet}"}
OF_DAY = {**LOCATION, "busDt": "{day}"}
CHANGED = {**OF_DAY, "changedSinceUTC": "{since:%Y-%m-%dT%H:%M:%S}"}
OF_OUTLET = {"source_outlet_id": "{outlet}"}
AS_OF = {**OF_OUTLET, "read_until": "{as_of:%Y-%m-%dT%H:%M:%SZ}"}


def definitions(name: str, operation: str, path: str, record: Any, description: str, *key: str) -> Stream:
    """A location's list of definitions, read whole every night. What left it stays: old checks still name it."""
    return Stream(
        name=name,
        scope=Scope.OUTLET,
        path=operation,
        method="POST",
        body=LOCATION,
        records=path,
        fetch=transport.read,
        constants=AS_OF,
        tables=(Table(name, record, key=key or ("num", "source_outlet_id")),),
        evidence=Evidence.DOCS,
        description=description,
    )


def changed(name: str, operation: str, tables: tuple[Table, ...], description: str, **more: Any) -> Stream:
    """What changed of a location's recent business dates; each change is read on two nights."""
    return Stream(
        name=name,
        scope=Scope.OUTLET,
        path=operation,
        method="POST",
        body=CHANGED,
        fetch=transport.read_changed,
        constants=OF_OUTLET,
        cursor=Cursor(lookback=timedelta(days=1)),
        tables=tables,
        evidence=Evidence.DOCS,
        description=description,
        **more,
    )


CONNECTOR = Connector(
    name="oracle-micros",
    category=Category.POS,
    title="Oracle MICROS Simphony",
    base_url="{app_url}/bi/v1/{org}",
    auth=transport.sign_in,
    credential_fields=("username", "password"),
    headers={"Accept": "application/json"},
    limit=Limit(per_second=5, concurrent=4, evidence=Evidence.INFERRED),
    business_errors=json_refusal(),
    writers=(Writer("prices", MicrosPrices, Evidence.INFERRED, api=CCAPI),),
    live="short polls of the sales",
    streams=(
        Stream(
            name="locations",
            path="getLocationDimensions",
            method="POST",
            body={"applicationName": "c4"},
            records="locations",
            tables=(Table("locations", records.Location, key=("loc_ref",)),),
            evidence=Evidence.DOCS,
            description="Every location that the account may see.",
        ),
        Stream(
            name="latest_business_dates",
            scope=Scope.OUTLET,
            path="getLatestBusDt",
            method="POST",
            body=LOCATION,
            constants=OF_OUTLET,
            tables=(Table("latest_business_dates", records.LatestBusinessDate, key=("source_outlet_id",)),),
            evidence=Evidence.DOCS,
            description="How far each location's business has been posted.",
        ),
        definitions("order_types", "getOrderTypeDimensions", "orderTypes", records.Named, "Order types."),
        definitions("order_channels", "getOrderChannelDimensions", "orderChannels", records.Named, "Order channels."),
        definitions("discounts", "getDiscountDimensions", "discounts", records.Named, "Discounts."),
        definitions(
            "service_charges", "getServiceChargeDimensions", "serviceCharges", records.Charge, "Charges and their kind."
        ),
        definitions("taxes", "getTaxDimensions", "taxes", records.Named, "Taxes."),
        definitions("tender_media", "getTenderMediaDimensions", "tenderMedias", records.Named, "Tenders."),
        definitions("menu_items", "getMenuItemDimensions", "menuItems", records.MenuItem, "Menu items and condiments."),
        definitions(
            "menu_item_prices",
            "getMenuItemPrices",
            "menuItemPrices",
            records.MenuItemPrice,
            "Prices of menu items by revenue centre and level.",
            *("num", "rvc_num", "prc_lvl_num", "eff_fr_dt", "source_outlet_id"),
        ),
        definitions("job_codes", "getJobCodeDimensions", "jobCodes", records.Named, "Job codes."),
        definitions("employees", "getEmployeeDimensions", "employees", records.Employee, "Staff by number; no names."),
        changed(
            "guest_checks",
            "getGuestChecks",
            (
                Table(
                    "guest_checks",
                    records.GuestCheck,
                    key=("guest_check_id", "source_outlet_id"),
                    version="last_updated_utc",
                ),
                Table("detail_lines", records.DetailLine, key=("guest_check_line_item_id",), path="detail_lines"),
                Table("check_taxes", records.CheckTax, key=("tax_num",), path="taxes"),
            ),
            "Checks with their lines, discounts, charges, tenders and taxes.",
            records="guestChecks",
            marks_complete=True,
        ),
        changed(
            "time_cards",
            "getTimeCardDetails",
            (Table("time_cards", records.TimeCard, key=("tc_id", "source_outlet_id"), version="last_updated_utc"),),
            "Clocked shifts.",
            rows=transport.time_cards,
        ),
        Stream(
            name="operations_totals",
            scope=Scope.OUTLET_DAY,
            path="getOperationsDailyTotals",
            method="POST",
            body=OF_DAY,
            constants=AS_OF,
            window_days=transport.LATE_DAYS,
            tables=(
                Table("operations_days", records.OperationsDay, key=("bus_dt", "source_outlet_id")),
                Table("operations_totals", records.OperationsTotals, key=("rvc_num",), path="revenue_centers"),
            ),
            evidence=Evidence.DOCS,
            description="Simphony's own totals per business date and revenue centre.",
        ),
    ),
)
