"""Where Toast is odd: a login that is not OAuth, windows with a bound, refunds behind the cursor, nested menus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
from dlt.sources.helpers.rest_client.auth import AuthConfigBase

from ingestion.core.auth import TokenAuth
from ingestion.core.errors import PageError
from ingestion.core.fetch import FetchContext, Page, fill
from ingestion.core.http import ApiClient
from ingestion.core.spec import Stream

ORDERS_WINDOW = timedelta(days=1)  # few pages each, for orders that change meanwhile move the pages behind them
LABOR_WINDOW = timedelta(days=28)  # a month at most
REFUND_DAYS = 7  # business dates whose refunds and voids of payments are asked for again

ORDER = "orders/v2/orders"
PAYMENTS = "orders/v2/payments"


class ToastAuth(TokenAuth):
    """Toast's login: as client credentials, but with names of its own, in JSON, the token inside `token`."""

    def _grant(self, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        token = answer.get("token") or {}
        return {"access_token": token.get("accessToken"), "expires_in": token.get("expiresIn")}


def toast_auth(credentials: Mapping[str, str], _: Mapping[str, str], base_url: str) -> AuthConfigBase:
    form = {
        "clientId": credentials["client_id"],
        "clientSecret": credentials["client_secret"],
        "userAccessType": "TOAST_MACHINE_CLIENT",
    }
    return ToastAuth(f"{base_url}/authentication/v1/authentication/login", form, as_json=True)


def windows(context: FetchContext, longest: timedelta) -> Iterator[Page]:
    """The stream's pages, its window `[since, until)` cut into pieces that are not longer than `longest`."""
    stream, since = context.stream, context.values["since"]
    while since < context.values["until"]:
        until: datetime = min(since + longest, context.values["until"])
        for answer in context.client.pages(
            stream.path,
            params=fill(stream.params, {**context.values, "since": since, "until": until}),
            headers=_headers(stream, context.values),
            paginator=stream.paginator() if stream.paginator else None,
        ):
            yield context.page(answer.content)
        since = until


def time_entries(context: FetchContext) -> Iterator[Page]:
    return windows(context, LABOR_WINDOW)


def orders(context: FetchContext) -> Iterator[Page]:
    """Orders by their time of change, then those of which a payment was refunded or voided on one of the last
    business dates and which the window did not bring. Raises PageError for a list that is none.
    """
    read: set[str] = set()
    for page in windows(context, ORDERS_WINDOW):
        read |= {order.guid for order in _decode(page.content, list[_Named])}
        yield page
    client, headers = context.client, _headers(context.stream, context.values)
    for guid in _moved_payments(context):
        payment = _decode(_get(client, f"{PAYMENTS}/{guid}", headers), _PaymentOf)
        if payment.order_guid not in read:
            read.add(payment.order_guid)
            yield context.page(_get(client, f"{ORDER}/{payment.order_guid}", headers))


def _moved_payments(context: FetchContext) -> list[str]:
    """Payments refunded or voided on the last business dates up to the outlet's today."""
    today = context.values["until"].astimezone(context.zones[context.scope]).date()
    found: set[str] = set()
    for back in range(REFUND_DAYS + 1):
        day = f"{today - timedelta(days=back):%Y%m%d}"
        for name in ("refundBusinessDate", "voidBusinessDate"):
            content = _get(context.client, PAYMENTS, _headers(context.stream, context.values), {name: day})
            found.update(_decode(content, list[str]))
    return sorted(found)


def _headers(stream: Stream, values: Mapping[str, Any]) -> dict[str, str]:
    return {name: value.format_map(values) for name, value in stream.headers.items()}


def _get(client: ApiClient, path: str, headers: Mapping[str, str], params: Mapping[str, str] | None = None) -> bytes:
    return client.request("GET", path, params=params, headers=headers).content


def _decode(content: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError as error:
        raise PageError(f"not what was asked for: {error}", content) from error


class _Named(msgspec.Struct):
    guid: str = ""


class _PaymentOf(msgspec.Struct, rename="camel"):
    order_guid: str


class _Group(msgspec.Struct, rename="camel"):
    menu_items: list[dict[str, msgspec.Raw]] = []
    menu_groups: list[_Group] = []


class _Menu(msgspec.Struct, rename="camel"):
    menu_groups: list[_Group] = []


class _Menus(msgspec.Struct, rename="camel"):
    menus: list[_Menu]
    modifier_group_references: dict[str, msgspec.Raw] = {}


def menu_items(content: bytes) -> Iterator[bytes]:
    """Every item of the published menus once, however many groups show it; its modifier groups instead of numbers."""
    menus = msgspec.json.decode(content, type=_Menus)
    groups = [group for menu in menus.menus for group in menu.menu_groups]
    shown: set[bytes] = set()
    while groups:
        group = groups.pop(0)
        groups += group.menu_groups
        for item in group.menu_items:
            guid = bytes(item.get("guid", b""))
            if guid and guid in shown:
                continue
            shown.add(guid)
            numbers = msgspec.json.decode(item.get("modifierGroupReferences", b"[]"), type=list[int])
            known = [menus.modifier_group_references.get(str(number)) for number in numbers]
            yield msgspec.json.encode({**item, "modifierGroups": [group for group in known if group is not None]})
