"""Toast's events. An order's event holds the order as ordersBulk shows it; menus and stock are read by the night."""

from __future__ import annotations

from ingestion.core.spec import Carries, Signed, Webhooks

WEBHOOKS = Webhooks(
    authentic=Signed("Toast-Signature", signed=("body", "timestamp"), timestamp="timestamp"),
    events={
        "order_updated": Carries("orders", "details.order"),
        "channel_order_updated": Carries("orders", "details.order"),
    },
    event_type="eventType",
    event_id="guid",
    outlet="details.restaurantGuid",
    object_key="details.order.guid",
    sent_at="timestamp",
    headers=("Toast-Event-Category", "Toast-Attempt-Number"),
)
