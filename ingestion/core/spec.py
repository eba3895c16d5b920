"""What a connector author writes: a table of declarations.

A `Connector` says what a vendor system is, how to talk to it and which streams it has. Everything else
(Dagster assets, the conformance suite, raw table definitions, the connector index) is derived from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    from dlt.sources.helpers.rest_client.auth import AuthConfigBase
    from dlt.sources.helpers.rest_client.paginators import BasePaginator

    from ingestion.core.fetch import FetchContext, Page
    from ingestion.core.http import ApiClient
    from ingestion.core.journal import JournalTarget
    from ingestion.core.lines import Follow
    from ingestion.core.writes.change import WriteTarget


class Category(StrEnum):
    POS = "pos"
    HR = "hr"
    ERP = "erp"
    ACCOUNTING = "accounting"
    FILES = "files"


class Evidence(StrEnum):
    """How sure we are of a contract, from the vendor's own schema down to judgement."""

    SPEC = "published spec"
    DOCS = "vendor documentation"
    CLIENT = "client code"
    INFERRED = "inferred"


class Scope(StrEnum):
    """What one fetch of a stream covers: the stream is fetched once per element."""

    INTEGRATION = "integration"
    OUTLET = "outlet"
    OUTLET_DAY = "outlet_day"


@dataclass(frozen=True, slots=True)
class Table:
    """One raw table that a stream fills.

    The first table of a stream is its root: one row per record. Each further table is a child list found at
    `path` below the record (dots descend through lists: `payment_refunds.checkouts`). A child row carries the
    root's key columns prefixed with `root_`, and what `inherit` names (column -> attribute path of an ancestor).
    """

    name: str
    record: type[msgspec.Struct]
    key: tuple[str, ...]
    path: str = ""
    inherit: Mapping[str, str] = field(default_factory=dict)
    version: str = ""  # column that orders two versions of one record; without it the later read wins


@dataclass(frozen=True, slots=True)
class Cursor:
    """An incremental window `[since, until)` over a vendor timestamp.

    `since` is the end of the last committed window less `lookback`; both reach the request through `{since}` and
    `{until}` (aware UTC datetimes; format them as the vendor wants, e.g. `{since:%Y-%m-%dT%H:%M:%S}`, or
    `{since_epoch}`, `{until_epoch}` for epoch seconds). `open_ended`: the vendor takes no end, so that every reading
    goes on to the moment of reading, and a long range is not read in slices.
    """

    lookback: timedelta = timedelta(days=1)
    open_ended: bool = False


@dataclass(frozen=True, slots=True)
class Stream:
    """One readable resource of a vendor.

    `path`, `params`, `headers` and `body` are templates over: since, until, since_epoch, until_epoch, since_date,
    until_date, as_of (when the reading is made; in a backfill `until` lies before it), outlet (the vendor's own outlet
    id), day (a date), and every key of the integration's `settings`.
    `records` is the dotted path of the record list inside a JSON page ("" when the page itself is the list, and
    a path that ends at an object makes that object the only record). `rows` replaces it for odd formats: it takes
    the page's bytes and yields the bytes of one JSON record each. `fetch` replaces the request loop altogether.
    `constants` adds template-valued columns (e.g. the outlet of a per-outlet page) to the root record's row.
    `window_days` is how many days back per-day scopes and date-window streams are read again each night.
    """

    name: str
    tables: tuple[Table, ...]
    path: str = ""
    records: str = ""
    scope: Scope = Scope.INTEGRATION
    method: Literal["GET", "POST"] = "GET"
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    constants: Mapping[str, str] = field(default_factory=dict)
    paginator: Callable[[], BasePaginator] | None = None
    cursor: Cursor | None = None
    window_days: int = 2
    write: Literal["merge", "replace"] = "merge"
    rows: Callable[[bytes], Iterator[bytes]] | None = None
    fetch: Callable[[FetchContext], Iterator[Page]] | None = None
    money_exponent: int = 0  # amounts arrive in units of 10**-money_exponent of the major unit (x100 -> 2)
    marks_complete: bool = False  # a full fetch up to `until` proves the outlet's sales are complete until then
    evidence: Evidence = Evidence.DOCS
    description: str = ""

    @property
    def root(self) -> Table:
        return self.tables[0]

    @property
    def is_windowed(self) -> bool:
        """Whether a reading covers a range of time; else it is whole each time, as of menus and charts of accounts."""
        return self.cursor is not None or self.scope is Scope.OUTLET_DAY


@dataclass(frozen=True, slots=True)
class Limit:
    """Client-side request budget, kept below the vendor's documented limit."""

    per_second: float = 2.0
    concurrent: int = 4
    evidence: Evidence = Evidence.INFERRED


@dataclass(frozen=True, slots=True)
class Signed:
    """An HMAC over the raw bytes of an event, in a header.

    `signed` lists what goes into it, in order: "body", "timestamp", or a literal such as ".". The timestamp is found at
    `timestamp`: "header:<name>", or a dotted path in the body; a `tolerance` refuses what was signed longer ago.
    `prefix` stands before the digest in the header ("sha256=").
    """

    header: str
    secret: str = "webhook_secret"  # noqa: S105 - the name of a credential
    algorithm: Literal["sha256", "sha512", "sha1"] = "sha256"
    encoding: Literal["base64", "hex"] = "base64"
    prefix: str = ""
    signed: tuple[str, ...] = ("body",)
    timestamp: str = ""
    tolerance: timedelta | None = None


@dataclass(frozen=True, slots=True)
class SecretUrl:
    """The vendor signs nothing: its URL holds a secret as a query parameter.

    Such an event is believed no further than to ask the API: it can only be a `Hint`.
    """

    secret: str = "webhook_secret"  # noqa: S105 - the name of a credential
    parameter: str = "key"


@dataclass(frozen=True, slots=True)
class Carries:
    """The event holds a whole record of a stream, at a dotted path of its body."""

    stream: str
    record: str


@dataclass(frozen=True, slots=True)
class Hint:
    """The event only says that something happened: the outlet's window of a stream is read from the API, from `back`
    before the event.
    """

    stream: str
    back: timedelta = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Webhooks:
    """How a vendor sends events. Paths are dotted and lead to a text or a number in the JSON body.

    An event of a type that `events` does not name is kept and not loaded. `event_id` is "" where the vendor numbers
    nothing: the body's hash stands for it. `object_key` is the key of the record that an event is about, `sent_at` the
    vendor's own time (ISO 8601 with a zone): of two events about one record the one sent later counts.
    """

    authentic: Signed | SecretUrl
    events: Mapping[str, Carries | Hint]
    event_type: str
    outlet: str
    event_id: str = ""
    object_key: str = ""
    sent_at: str = ""
    headers: tuple[str, ...] = ()  # those worth keeping
    evidence: Evidence = Evidence.DOCS

    def __post_init__(self) -> None:
        if isinstance(self.authentic, SecretUrl) and any(isinstance(event, Carries) for event in self.events.values()):
            raise ValueError("an event that nobody signed cannot carry a record: declare a Hint")


@dataclass(frozen=True, slots=True)
class Socket:
    """Connections that we hold to senders of the vendor's, for example an agent in each outlet.

    `lines` finds them in an account's settings and credentials, by the vendor's outlet id; it raises AccessError. What
    they store is read by `events`, as with webhooks. `credentials` are those that the senders ask for.
    """

    lines: Callable[[Mapping[str, str], Mapping[str, str]], Mapping[str, Follow]]
    events: Mapping[str, Carries | Hint]
    credentials: tuple[str, ...] = ()
    evidence: Evidence = Evidence.DOCS


@dataclass(frozen=True, slots=True)
class OAuth:
    """OAuth 2 authorisation code grant (RFC 6749), by which a person connects an account in the browser.

    URLs are templates over the integration's settings, `base_url` and `defaults` (which may name `base_url`). The
    client is known by HTTP Basic with form bodies, or by its id and secret in JSON bodies.
    """

    authorize_url: str
    token_url: str
    scopes: str
    revoke_url: str = ""
    pkce: bool = False
    client: Literal["basic", "json"] = "basic"
    defaults: Mapping[str, str] = field(default_factory=dict)
    evidence: Evidence = Evidence.DOCS

    def url(self, template: str, base_url: str, settings: Mapping[str, str]) -> str:
        base = settings.get("base_url", base_url)
        defaults = {name: value.format(base_url=base) for name, value in self.defaults.items()}
        return template.format_map({"base_url": base, **defaults, **settings})


@dataclass(frozen=True, slots=True)
class Writer:
    """That a till takes prices or schedules; `target` makes its writer from a client and the integration's settings.

    `api` is how to talk to it where that is another API than the one that is read, with credentials of its own.
    """

    kind: Literal["prices", "schedules"]  # of ingestion.core.writes.WriteKind
    target: Callable[[ApiClient, Mapping[str, str]], WriteTarget]
    evidence: Evidence
    api: Connector | None = None


@dataclass(frozen=True, slots=True)
class Connector:
    """A vendor system. `name` is the public vendor name; `slug` is the form used in code and table names."""

    name: str
    category: Category
    title: str
    streams: tuple[Stream, ...]
    base_url: str = ""  # template over the integration's settings
    auth: Callable[[Mapping[str, str], Mapping[str, str], str], AuthConfigBase | None] | None = None
    credential_fields: tuple[str, ...] = ()
    limit: Limit = field(default_factory=Limit)
    headers: Mapping[str, str] = field(default_factory=dict)
    probe: str = ""  # cheapest authenticated GET, for `c4 doctor` and health checks
    journals: Callable[[ApiClient, Mapping[str, str]], JournalTarget] | None = None
    journals_evidence: Evidence | None = None
    writers: tuple[Writer, ...] = ()
    live: str = ""  # webhooks, polling, socket ... where the connector has a live path
    webhooks: Webhooks | None = None
    socket: Socket | None = None
    oauth: OAuth | None = None
    business_errors: Callable[[Any], str | None] | None = None  # the vendor's words in an answer, 200 included
    readback: tuple[str, ...] = ()  # streams that read posted journals back

    @property
    def slug(self) -> str:
        return self.name.replace("-", "_")

    @property
    def dataset(self) -> str:
        """The raw dataset (schema) of the vendor in the warehouse."""
        return f"raw_{self.slug}"

    def stream(self, name: str) -> Stream:
        for stream in self.streams:
            if stream.name == name:
                return stream
        raise KeyError(f"{self.name} has no stream {name!r}; it has {[s.name for s in self.streams]}")

    def writer(self, kind: str) -> Writer | None:
        return next((writer for writer in self.writers if writer.kind == kind), None)

    def tables(self) -> Sequence[tuple[Stream, Table]]:
        return [(stream, table) for stream in self.streams for table in stream.tables]
