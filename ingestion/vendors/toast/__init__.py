"""Toast: orders with their checks, payments and refunds, the published menu, staff and clocked hours per restaurant."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from dlt.sources.helpers.rest_client.paginators import HeaderCursorPaginator

from ingestion.core.paging import ShortPagePaginator
from ingestion.core.spec import Category, Connector, Cursor, Evidence, Limit, Scope, Stream, Table, Writer
from ingestion.vendors.toast import records, transport
from ingestion.vendors.toast.schedules import ToastSchedules
from ingestion.vendors.toast.webhooks import WEBHOOKS

PAGE_SIZE = 100  # the most that ordersBulk gives

STAMP = "%Y-%m-%dT%H:%M:%S.000+0000"
RESTAURANT = {"Toast-Restaurant-External-ID": "{outlet}"}
OF_OUTLET = {"source_outlet_id": "{outlet}"}
OF_SELECTION = {"selection_guid": "selections.guid"}
OF_CHARGE = {"charge_guid": "applied_service_charges.guid"}


def config_pages() -> HeaderCursorPaginator:
    """The next page of the configuration API is named by a header, absent on the last."""
    return HeaderCursorPaginator(cursor_key="Toast-Next-Page-Token", cursor_param="pageToken")


def part(name: str, record: Any, path: str, **inherit: str) -> Table:
    """A list inside the checks of an order."""
    inherited = {column: f"checks.{source}" for column, source in inherit.items()}
    return Table(name, record, key=("guid",), path=f"checks.{path}", inherit={"check_guid": "checks.guid", **inherited})


def listing(name: str, path: str, record: Any, description: str) -> Stream:
    """A short list of a restaurant, read whole every night."""
    return Stream(
        name=name,
        scope=Scope.OUTLET,
        path=path,
        headers=RESTAURANT,
        constants=OF_OUTLET,
        tables=(Table(name, record, key=("guid", "source_outlet_id")),),
        evidence=Evidence.SPEC,
        description=description,
    )


def setting(name: str, path: str, record: Any, description: str) -> Stream:
    """A list of the configuration API, which no published spec describes."""
    stream = listing(name, f"config/v2/{path}", record, description)
    return replace(stream, paginator=config_pages, evidence=Evidence.DOCS)


ORDERS = Stream(
    name="orders",
    scope=Scope.OUTLET,
    path="orders/v2/ordersBulk",
    params={"startDate": f"{{since:{STAMP}}}", "endDate": f"{{until:{STAMP}}}", "pageSize": str(PAGE_SIZE)},
    headers=RESTAURANT,
    constants=OF_OUTLET,
    paginator=lambda: ShortPagePaginator("page", PAGE_SIZE, ""),
    fetch=transport.orders,
    cursor=Cursor(lookback=timedelta(days=1)),  # each change is read twice: pages may shift under a reading
    tables=(
        Table("orders", records.Order, key=("guid",), version="modified_date"),
        Table("checks", records.Check, key=("guid",), path="checks"),
        part("selections", records.Selection, "selections"),
        part("modifiers", records.Modifier, "selections.modifiers", **OF_SELECTION),
        part("selection_discounts", records.AppliedDiscount, "selections.applied_discounts", **OF_SELECTION),
        part("selection_taxes", records.AppliedTax, "selections.applied_taxes", **OF_SELECTION),
        part("service_charges", records.ServiceCharge, "applied_service_charges"),
        part("service_charge_taxes", records.AppliedTax, "applied_service_charges.applied_taxes", **OF_CHARGE),
        part("check_discounts", records.AppliedDiscount, "applied_discounts"),
        part("payments", records.Payment, "payments"),
    ),
    marks_complete=True,
    evidence=Evidence.SPEC,
    description="Orders by time of change, and those whose payments were refunded or voided since.",
)

CONNECTOR = Connector(
    name="toast",
    category=Category.POS,
    title="Toast",
    base_url="https://{api_hostname}",
    auth=transport.toast_auth,
    credential_fields=("client_id", "client_secret"),
    headers={"Accept": "application/json"},
    limit=Limit(per_second=10, concurrent=4, evidence=Evidence.DOCS),  # 20 a second and 10,000 in 15 minutes
    probe="partners/v1/connectedRestaurants",
    live="webhooks",
    webhooks=WEBHOOKS,
    writers=(Writer("schedules", ToastSchedules, Evidence.SPEC),),
    streams=(
        setting("dining_options", "diningOptions", records.DiningOption, "How orders reach the guest."),
        setting(
            "alternate_payment_types", "alternatePaymentTypes", records.AlternatePaymentType, "Tenders of its own."
        ),
        setting("sales_categories", "salesCategories", records.SalesCategory, "Categories of items."),
        replace(
            listing("restaurants", "restaurants/v1/restaurants/{outlet}", records.Restaurant, "Each restaurant."),
            records="general",
            tables=(Table("restaurants", records.Restaurant, key=("source_outlet_id",)),),
        ),
        replace(
            listing("menu_items", "menus/v2/menus", records.MenuItem, "The published menus; what left them is kept."),
            rows=transport.menu_items,
            constants={**OF_OUTLET, "read_until": "{as_of:%Y-%m-%dT%H:%M:%SZ}"},
            tables=(
                Table("menu_items", records.MenuItem, key=("guid", "source_outlet_id")),
                Table("menu_item_modifier_groups", records.ModifierGroup, key=("guid",), path="modifier_groups"),
            ),
        ),
        ORDERS,
        listing("jobs", "labor/v1/jobs", records.Job, "Jobs with their titles."),
        replace(
            listing("employees", "labor/v1/employees", records.Employee, "Staff, archived ones included; no names."),
            tables=(
                Table("employees", records.Employee, key=("guid", "source_outlet_id")),
                Table("employee_jobs", records.Reference, key=("guid",), path="job_references"),
            ),
        ),
        replace(
            listing("time_entries", "labor/v1/timeEntries", records.TimeEntry, "Clocked shifts by time of change."),
            params={"modifiedStartDate": f"{{since:{STAMP}}}", "modifiedEndDate": f"{{until:{STAMP}}}"},
            fetch=transport.time_entries,
            cursor=Cursor(lookback=timedelta(days=1)),
            tables=(Table("time_entries", records.TimeEntry, key=("guid",), version="modified_date"),),
        ),
    ),
)
