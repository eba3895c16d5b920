"""Simphony's wire types, as far as the platform uses them.

Names are those of Oracle's Business Intelligence API. Amounts are numbers in major units of the location's currency,
kept to four decimals; `...UTC` stamps have no offset. Numbers of items, tenders and so on belong to one location.
Null stands for an absent list as well as for an absent value. Guests' names, staff's names and card references are not
declared and so never stored.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from functools import partial
from typing import Annotated

import msgspec

from ingestion.core.records import MONEY, TIMESTAMP, Convert, Record


def in_utc(moment: dt.datetime) -> dt.datetime:
    """A stamp of the API, which writes UTC without saying so."""
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


Amount = Annotated[Decimal, Convert(partial(round, ndigits=4), MONEY)]
Stamp = Annotated[dt.datetime, Convert(in_utc, TIMESTAMP)]


class Location(Record, rename="camel"):
    loc_ref: str
    name: str | None = None
    active: bool | None = None
    tz: str | None = None  # IANA time zone
    curr: str | None = None  # ISO 4217


class LatestBusinessDate(Record, rename="camel"):
    loc_ref: str
    latest_bus_dt: dt.date | None = None


class Named(Record, rename="camel"):
    """A definition that checks name by its number; `mstr_num` is the enterprise's number of the same."""

    num: int
    name: str | None = None
    mstr_num: int | None = None


class Charge(Named, rename="camel"):
    """A service charge: revenue, a tip owed to staff (`chrg_tips_flag`), or neither (money taken in trust)."""

    rev_flag: bool | None = None
    chrg_tips_flag: bool | None = None


class MenuItem(Named, rename="camel"):
    """`ext_ref1` is a text of the company's own: its code of the product, where it keeps one there."""

    maj_grp_name: str | None = None
    fam_grp_name: str | None = None
    ext_ref1: str | None = None


class MenuItemPrice(Record, rename="camel"):
    num: int
    price: Amount | None = None
    rvc_num: int | None = None
    prc_lvl_num: int | None = None
    eff_fr_dt: str | None = None
    eff_to_dt: str | None = None

    def __post_init__(self) -> None:
        """What is left out of a price's key holds for all."""
        self.rvc_num = self.rvc_num or 0
        self.prc_lvl_num = self.prc_lvl_num or 0
        self.eff_fr_dt = self.eff_fr_dt or ""


class Employee(Record, rename="camel"):
    num: int
    class_name: str | None = None


class MenuItemLine(Record, rename="camel"):
    """`incl_tax` is the tax inside the line's total, with its sign; `mod_flag` marks a condiment."""

    mi_num: int
    mod_flag: bool | None = None
    incl_tax: Decimal | None = None
    return_flag: bool | None = None


class DiscountLine(Record, rename="camel"):
    dsc_num: int
    incl_tax: Decimal | None = None


class ServiceChargeLine(Record, rename="camel"):
    svc_chg_num: int
    incl_tax: Decimal | None = None


class TenderLine(Record, rename="camel"):
    tmed_num: int


class DetailLine(Record, rename="camel"):
    """A line of any kind: one of the four objects says which, none of them a line that moves no money.

    `agg_ttl` and `agg_qty` are what counts, signed: discounts are negative, a void or a return is a line of its own
    that is negative. Condiments and item discounts point to their item by `par_dtl_id`.
    """

    guest_check_line_item_id: int
    dtl_id: int | None = None
    par_dtl_id: int | None = None
    detail_utc: Stamp | None = msgspec.field(name="detailUTC", default=None)
    agg_ttl: Amount | None = None
    agg_qty: Amount | None = None
    vd_flag: bool | None = None
    err_cor_flag: bool | None = None
    return_flag: bool | None = None
    menu_item: MenuItemLine | None = None
    discount: DiscountLine | None = None
    service_charge: ServiceChargeLine | None = None
    tender_media: TenderLine | None = None


class CheckTax(Record, rename="camel"):
    """`tax_rate` is in percent. `type` 3 is inside the prices, 1 is added to them."""

    tax_num: int
    tax_coll_ttl: Amount | None = None
    txbl_sls_ttl: Amount | None = None
    tax_rate: Amount | None = None
    type: int | None = None


class GuestCheck(Record, rename="camel"):
    """A check. An open one has no closing stamps; a cancelled one owes nothing, a transferred one is in another."""

    guest_check_id: int
    opn_bus_dt: dt.date
    opn_utc: Stamp = msgspec.field(name="opnUTC")
    chk_num: int | None = None
    clsd_bus_dt: dt.date | None = None
    clsd_utc: Stamp | None = msgspec.field(name="clsdUTC", default=None)
    last_updated_utc: Stamp | None = msgspec.field(name="lastUpdatedUTC", default=None)
    clsd_flag: bool | None = None
    cancel_flag: bool | None = None
    gst_cnt: int | None = None
    chk_ttl: Amount | None = None
    tax_coll_ttl: Amount | None = None
    xfer_to_chk_num: int | None = None
    ot_num: int | None = None
    oc_num: int | None = None
    emp_num: int | None = None
    taxes: list[CheckTax] | None = None
    detail_lines: list[DetailLine] | None = None


class TimeCard(Record, rename="camel"):
    """A clocked shift; `clk_out_utc` is null while it lasts. Hours are 0 where the job code has no rate."""

    tc_id: int
    bus_dt: dt.date
    emp_num: int
    clk_in_utc: Stamp | None = msgspec.field(name="clkInUTC", default=None)
    clk_out_utc: Stamp | None = msgspec.field(name="clkOutUTC", default=None)
    last_updated_utc: Stamp | None = msgspec.field(name="lastUpdatedUTC", default=None)
    jc_num: int | None = None
    reg_hrs: Amount | None = None
    ovt1_hrs: Amount | None = None
    ovt2_hrs: Amount | None = None
    ovt3_hrs: Amount | None = None
    ovt4_hrs: Amount | None = None


class OperationsTotals(Record, rename="camel"):
    """The totals of one revenue centre: net of discounts and returns, which are told apart from it."""

    rvc_num: int
    net_sls_ttl: Amount | None = None
    itm_dsc_ttl: Amount | None = None
    sub_dsc_ttl: Amount | None = None
    svc_ttl: Amount | None = None
    rtn_ttl: Amount | None = None
    rnd_ttl: Amount | None = None
    tax_coll_ttl: Amount | None = None


class OperationsDay(Record, rename="camel"):
    bus_dt: dt.date
    revenue_centers: list[OperationsTotals] | None = None
