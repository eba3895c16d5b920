"""Prices to Moka: the whole item is read, the price of one variant changed, the whole item put back.

A variant that an update leaves out may be removed, so every field of the item that an update knows is sent as it was
read. Prices are whole rupiah. Moka has no price of one variant to ask for, so an outlet's menu is read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from ingestion.core.errors import PageError
from ingestion.core.http import ApiClient
from ingestion.core.journal import UncertainOutcomeError
from ingestion.core.writes.change import Held, Refused, Wish, price_text
from ingestion.vendors.moka.transport import library_pages

PATH = "v1/outlets/{outlet}/items"
PER_PAGE = "100"


class _SalesTypePrice(msgspec.Struct):
    sales_type_id: int
    sales_type_name: str | None = None
    sales_type_price: Decimal | None = None


class _Variant(msgspec.Struct):
    id: int
    name: str | None = ""
    sku: str | None = ""
    price: Decimal | None = None
    is_deleted: bool | None = None
    track_stock: bool | None = None
    track_cogs: bool | None = None
    sales_type_items: list[_SalesTypePrice] | None = None


class _Item(msgspec.Struct):
    """An item as the menu shows it, with every field that an update knows; those of shops only where it is in one."""

    id: int
    name: str
    item_variants: list[_Variant]
    category_id: int | None = None
    description: str | None = ""
    is_deleted: bool | None = None
    is_sales_type_price: bool | None = None
    is_ecommerce: bool | None = None
    image: Any | UnsetType = UNSET
    images: list[dict[str, Any]] | UnsetType = UNSET
    brand_id: Any | UnsetType = UNSET
    condition: Any | UnsetType = UNSET
    weight: Any | UnsetType = UNSET
    height: Any | UnsetType = UNSET
    width: Any | UnsetType = UNSET
    length: Any | UnsetType = UNSET
    pre_order_days: Any | UnsetType = UNSET


class _Items(msgspec.Struct):
    items: list[_Item]


class _Menu(msgspec.Struct):
    data: _Items


class _Stored(msgspec.Struct):
    data: _Item


class _Meta(msgspec.Struct):
    error_message: str = ""


class _Refusal(msgspec.Struct):
    meta: _Meta


SHOP_FIELDS = ("brand_id", "condition", "weight", "height", "width", "length", "pre_order_days")


class MokaPrices:
    """The `WriteTarget` of one business: `subject` is a SKU, the record a variant's id."""

    def __init__(self, client: ApiClient, settings: Mapping[str, str]) -> None:
        self._client = client
        self._items: dict[tuple[str, str], _Item] = {}  # (outlet, variant id) -> the item as it was last read

    def held(self, outlet: str, wishes: Sequence[Wish]) -> list[Held | Refused]:
        """The price of each SKU on the outlet's menu. Raises ApiError."""
        by_sku: dict[str, list[tuple[_Item, _Variant]]] = defaultdict(list)
        for item in self._menu(outlet):
            for variant in item.item_variants:
                if not item.is_deleted and not variant.is_deleted and variant.sku:
                    by_sku[variant.sku].append((item, variant))
                    self._items[outlet, str(variant.id)] = item
        return [self._answer(wish, by_sku.get(wish.subject, [])) for wish in wishes]

    def put(self, outlet: str, wish: Wish, held: Held) -> Refused | None:
        """The item with the new price. Raises NotSentError or UncertainOutcomeError."""
        item = self._items[outlet, held.record]
        answer = self._client.send_once(
            "PUT", f"{PATH.format(outlet=outlet)}/{item.id}", json={"item": _body(item, int(held.record), wish.value)}
        )
        if answer.status_code >= 400:
            try:
                words = msgspec.json.decode(answer.content, type=_Refusal).meta.error_message
            except (msgspec.DecodeError, UnicodeDecodeError):
                words = ""
            return Refused(words or f"refused with status {answer.status_code}")
        try:
            stored = msgspec.json.decode(answer.content, type=_Stored, strict=False).data
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UncertainOutcomeError(f"the answer ({answer.status_code}) cannot be read") from error
        for variant in stored.item_variants:
            self._items[outlet, str(variant.id)] = stored  # another variant of it may be the next
        return None

    def _menu(self, outlet: str) -> list[_Item]:
        items: list[_Item] = []
        for page in self._client.pages(
            PATH.format(outlet=outlet), params={"per_page": PER_PAGE}, paginator=library_pages()
        ):
            try:
                items += msgspec.json.decode(page.content, type=_Menu, strict=False).data.items
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise PageError(f"not a menu: {error}", page.content) from error
        return items

    def _answer(self, wish: Wish, found: Sequence[tuple[_Item, _Variant]]) -> Held | Refused:
        if not found:
            return Refused(f"sku: the outlet's menu has no {wish.subject!r}")
        if len(found) > 1:
            names = " and ".join(sorted(_label(item, variant) for item, variant in found))
            return Refused(f"sku: {wish.subject!r} is more than one on the outlet's menu: {names}")
        ((item, variant),) = found
        if item.is_sales_type_price or variant.price is None:
            return Refused(f"sku: {wish.subject!r} has a price per sales type; change it in Moka's back office")
        if Decimal(wish.value) % 1:
            return Refused(f"price: {wish.value} is not whole rupiah, which is all that Moka takes")
        return Held(str(variant.id), price_text(variant.price), _label(item, variant))


def _label(item: _Item, variant: _Variant) -> str:
    return f"{item.name} {variant.name}" if variant.name else item.name


def _body(item: _Item, variant_id: int, price: str) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "name": item.name,
        "description": item.description or "",
        "category_id": item.category_id,
        "is_sales_type_price": bool(item.is_sales_type_price),
        "item_variants": [
            {
                "id": variant.id,
                "name": variant.name or "",
                "sku": variant.sku or "",
                "price": int(price) if variant.id == variant_id else _whole(variant.price),
                "track_stock": bool(variant.track_stock),
                "track_cogs": bool(variant.track_cogs),
                "sales_type_items": [
                    {**msgspec.structs.asdict(row), "sales_type_price": _whole(row.sales_type_price)}
                    for row in variant.sales_type_items or ()
                ],
            }
            for variant in item.item_variants
            if not variant.is_deleted
        ],
    }
    if item.image is not UNSET:
        fields["image"] = item.image
    if item.is_ecommerce:
        fields["is_ecommerce"] = True
        fields |= {name: getattr(item, name) for name in SHOP_FIELDS if getattr(item, name) is not UNSET}
        if item.images is not UNSET:
            kept = [image["raw_image_id"] for image in item.images if "raw_image_id" in image]
            fields["images"] = [{"raw_image_id": number} for number in kept]
    return fields


def _whole(amount: Decimal | None) -> int | None:
    return None if amount is None else int(amount)
