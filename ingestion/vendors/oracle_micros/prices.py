"""Prices to Simphony through its Configuration and Content API (CCAPI), which has a server and an account of its own.

A menu item is a master; a price belongs to a master, a definition of it and a price sequence, at one unit of the
hierarchy. Only the first price of the first definition at the location's own unit is written: a price that the location
inherits is the enterprise's, and changing it there would change it everywhere. Oracle's guide outlines the API; the
names of module, write and answer below are inferred, to be corrected here from the guide that comes with the account.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
from dlt.sources.helpers.rest_client.auth import AuthConfigBase

from ingestion.core.errors import PageError
from ingestion.core.http import ApiClient
from ingestion.core.journal import UncertainOutcomeError
from ingestion.core.refusals import json_refusal
from ingestion.core.spec import Category, Connector, Evidence, Limit
from ingestion.core.writes.change import Held, Refused, Wish, price_text
from ingestion.vendors.oracle_micros.transport import sign_in_as

LOCATIONS = "hierarchy/getLocations"
MASTERS = "menuItems/getMenuItemMasters"
PRICES = "menuItems/getMenuItemPrices"
UPDATE = "menuItems/updateMenuItemPrices"
PAGE_SIZE = 100
FIRST = 1  # of definitions and of price sequences
_ENCODER = msgspec.json.Encoder(decimal_format="number")


def ccapi_sign_in(credentials: Mapping[str, str], settings: Mapping[str, str], _: str) -> AuthConfigBase:
    """The sign-in of the CCAPI account; its own client where `ccapi_client_id` names one."""
    client_id = settings.get("ccapi_client_id") or settings["client_id"]
    return sign_in_as(credentials["ccapi_username"], credentials["ccapi_password"], client_id, settings)


CCAPI = Connector(
    name="oracle-micros",
    category=Category.POS,
    title="Oracle MICROS Simphony, CCAPI",
    streams=(),
    base_url="{ccapi_url}/config/sim/v2",
    auth=ccapi_sign_in,
    credential_fields=("ccapi_username", "ccapi_password"),
    headers={"Accept": "application/json"},
    limit=Limit(per_second=2, concurrent=1, evidence=Evidence.INFERRED),
    business_errors=json_refusal(),
)


class _Location(msgspec.Struct, rename="camel"):
    hier_unit_id: int
    loc_ref: str


class _Master(msgspec.Struct, rename="camel"):
    object_num: int
    name: str | None = None
    external_reference1: str | None = msgspec.field(default=None, name="externalReference1")


class _Price(msgspec.Struct, rename="camel"):
    menu_item_price_id: int
    menu_item_master_obj_num: int
    def_sequence_num: int
    price_sequence_num: int
    price: Decimal


class _Page(msgspec.Struct, rename="camel"):
    items: list[msgspec.Raw] | None
    has_more: bool = False


class _Outcome(msgspec.Struct, rename="camel"):
    menu_item_price_id: int | None = None
    errors: list[Any] | None = None


class MicrosPrices:
    """The `WriteTarget` of one organisation: `subject` is a SKU (external reference 1, else the master's number), the
    record a price's id.
    """

    def __init__(self, client: ApiClient, settings: Mapping[str, str]) -> None:
        self._client = client
        self._units: dict[str, int] = {}  # location -> its unit of the hierarchy, read once
        self._masters: list[_Master] = []  # of the enterprise, read once
        self._numbers: dict[str, int] = {}  # price id -> its master's number

    def held(self, outlet: str, wishes: Sequence[Wish]) -> list[Held | Refused]:
        """The location's own price of each SKU. Raises ApiError."""
        if not self._units:
            self._units = {row.loc_ref: row.hier_unit_id for row in self._all(LOCATIONS, _Location)}
            self._masters = list(self._all(MASTERS, _Master))
        if outlet not in self._units:
            return [Refused(f"outlet: the account sees no location {outlet!r}") for _ in wishes]
        criteria = f"where equals(hierUnitId,{self._units[outlet]})"
        prices = {
            price.menu_item_master_obj_num: price
            for price in self._all(PRICES, _Price, criteria)
            if (price.def_sequence_num, price.price_sequence_num) == (FIRST, FIRST)
        }
        return [self._answer(wish, prices) for wish in wishes]

    def put(self, outlet: str, wish: Wish, held: Held) -> Refused | None:
        """One price. Raises NotSentError or UncertainOutcomeError."""
        row = {
            "hierUnitId": self._units[outlet],
            "menuItemMasterObjNum": self._numbers[held.record],
            "defSequenceNum": FIRST,
            "priceSequenceNum": FIRST,
            "price": Decimal(wish.value),
        }
        answer = self._client.send_once(
            "POST", UPDATE, headers={"Content-Type": "application/json"}, data=_ENCODER.encode([row])
        )
        if answer.status_code >= 400:
            words = CCAPI.business_errors(answer) if CCAPI.business_errors else None
            return Refused(words or f"refused with status {answer.status_code}")
        try:
            (outcome,) = msgspec.json.decode(answer.content, type=list[_Outcome])
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
            raise UncertainOutcomeError(f"the answer ({answer.status_code}) cannot be read") from error
        return Refused("; ".join(map(str, outcome.errors))) if outcome.errors else None

    def _answer(self, wish: Wish, prices: Mapping[int, _Price]) -> Held | Refused:
        found = [row for row in self._masters if row.external_reference1 == wish.subject]
        found = found or [row for row in self._masters if str(row.object_num) == wish.subject]
        if len(found) != 1:
            return Refused(f"sku: the enterprise has {len(found) or 'no'} menu items {wish.subject!r}")
        price = prices.get(found[0].object_num)
        if price is None:
            return Refused(f"sku: the location has no price of its own for {wish.subject!r}; it inherits one")
        record = str(price.menu_item_price_id)
        self._numbers[record] = found[0].object_num
        return Held(record, price_text(price.price), found[0].name or "")

    def _all(self, operation: str, kind: Any, criteria: str = "") -> Iterator[Any]:
        offset, more = 0, True
        while more:
            asked: dict[str, Any] = {"includeAll": "basic", "offset": offset, "limit": PAGE_SIZE}
            if criteria:
                asked["searchCriteria"] = criteria
            content = self._client.request("POST", operation, json=asked).content
            try:
                page = msgspec.json.decode(content, type=_Page)
                rows = [msgspec.json.decode(row, type=kind) for row in page.items or ()]
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise PageError(f"{operation}: not what was asked for: {error}", content) from error
            yield from rows
            offset += len(rows)
            more = page.has_more and bool(rows)
