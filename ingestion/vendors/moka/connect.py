"""How a merchant authorises the app, and what Moka tells by itself.

The only events are the callbacks of advanced orderings, to URLs that an order names: unsigned, without a number or a
time. They tell that an order became (or ceased to be) a receipt, and the receipt is read from the API.
"""

from __future__ import annotations

from ingestion.core.spec import Evidence, Hint, OAuth, SecretUrl, Webhooks

WEBHOOKS = Webhooks(
    authentic=SecretUrl(),
    events={status: Hint("transactions") for status in ("accepted", "completed", "rejected")},
    event_type="status",
    outlet="outlet_id",
    object_key="application_order_id",
    evidence=Evidence.SPEC,
)

OAUTH = OAuth(
    authorize_url="{oauth_url}/oauth/authorize",
    token_url="{oauth_url}/oauth/token",  # noqa: S106 - an address
    revoke_url="{oauth_url}/oauth/revoke",
    scopes="profile library report transaction",
    client="json",
    defaults={"oauth_url": "{base_url}"},
    evidence=Evidence.SPEC,
)
