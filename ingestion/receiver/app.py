"""The receiver's HTTP interface.

An event is answered with 200 only when it is durable in the inbox. Whatever is refused is refused with a status that
tells a vendor's sender what to do: 4xx never again, 429 and 503 later.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import UploadFile

from ingestion.core.config import Integration
from ingestion.core.ops.db import reading
from ingestion.core.ops.inbox import Inbox
from ingestion.core.ops.store import utc_now
from ingestion.core.platform import Platform
from ingestion.core.registry import connectors
from ingestion.core.spec import Connector
from ingestion.receiver import uploads
from ingestion.receiver.connect import Connections
from ingestion.receiver.events import Refused, Secrets, read_event

PREFIX = "/api/v1/integrations"
MAX_BODY = 4 * 2**20  # bytes of an event; Toast's can exceed 600 KB
BODY_SECONDS = 10.0  # for a body to arrive
MAX_UPLOAD = 50 * 2**20
IN_FLIGHT = 200  # authentic events of one account that wait for their commit
RETRY_AFTER = {"Retry-After": "1"}

log = logging.getLogger(__name__)


class Doors:
    """How many events of each account are between their check and their commit, at most `limit`."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.refused: Counter[str] = Counter()
        self._inside: Counter[str] = Counter()

    @contextmanager
    def enter(self, integration_id: str) -> Iterator[None]:
        """Raises Refused(429) when the account has its share."""
        if self._inside[integration_id] >= self.limit:
            self.refused[integration_id] += 1
            raise Refused(429, "too many events at once")
        self._inside[integration_id] += 1
        try:
            yield
        finally:
            self._inside[integration_id] -= 1


def create_app(
    platform: Platform,
    *,
    public_url: str = "",
    in_flight: int = IN_FLIGHT,
    max_body: int = MAX_BODY,
    now: Callable[[], datetime] = utc_now,
) -> FastAPI:
    """The service over one company's platform.

    `public_url` is how the world reaches it (a proxy's address), for OAuth callbacks; without it the address that a
    request came to. `now` is what signed timestamps and the ten minutes of an OAuth state are held against.
    """
    inbox, secrets, doors = platform.ops.inbox, Secrets(platform), Doors(in_flight)
    connections = Connections(platform, now)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(inbox.close)

    app = FastAPI(
        title="C4 receiver",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # a URL may hold a secret
    )
    app.state.platform = platform

    @app.exception_handler(Refused)
    async def refuse(_: Request, refused: Refused) -> JSONResponse:
        told = {"error": str(refused)} | ({"field": refused.field} if refused.field else {})
        return JSONResponse(told, refused.status, RETRY_AFTER if refused.status in (429, 503) else None)

    @app.exception_handler(SQLAlchemyError)
    async def unavailable(_: Request, error: SQLAlchemyError) -> JSONResponse:
        log.error("the ops database refused: %s", type(error).__name__)
        return JSONResponse({"error": "not stored; send it again"}, 503, RETRY_AFTER)

    @app.get("/health")
    async def health() -> JSONResponse:
        await asyncio.to_thread(_probe, platform)
        return JSONResponse({"status": "ok"})

    async def webhook(request: Request) -> JSONResponse:
        connector, accounts = addressed(platform, **request.path_params)
        content = await read_body(request, max_body, "application/json")
        event = read_event(connector, accounts, secrets, request.headers, request.query_params, content, now())
        with doors.enter(event.integration_id):
            fresh = await asyncio.wrap_future(inbox.put(event))
        return JSONResponse({"status": "received" if fresh else "duplicate", "event_id": event.event_id})

    # plain routes: FastAPI's reading of arguments costs a sixth of an event
    for path in ("{source_system}", "{source_system}/{integration_id}"):
        app.add_route(f"{PREFIX}/webhooks/{path}", webhook, methods=["POST"])

    @app.get(f"{PREFIX}/webhooks/stats")
    async def stats(request: Request) -> JSONResponse:
        await holder(platform, request, "stats")
        return JSONResponse(await asyncio.to_thread(_stats, inbox, doors))

    @app.post(f"{PREFIX}/upload-csv")
    async def upload_csv(request: Request) -> JSONResponse:
        who = await holder(platform, request, "upload")
        told = request.headers.get("content-length", "")
        if not told.isdigit():
            raise Refused(411, "send it with a Content-Length")
        if int(told) > MAX_UPLOAD:
            raise Refused(413, f"larger than {MAX_UPLOAD} bytes")
        if not request.headers.get("content-type", "").startswith("multipart/form-data"):
            raise Refused(415, "send multipart/form-data with `mapping` and `file`")
        async with request.form(max_files=1, max_fields=5) as form:
            mapping, file = form.get("mapping"), form.get("file")
            if not isinstance(mapping, str):
                raise Refused(400, "required, but missing", "mapping")
            if not isinstance(file, UploadFile):
                raise Refused(400, "required, but missing", "file")
            read = partial(uploads.upload, platform, mapping, file.filename or "", file.file, now(), who)
            return _uploaded(await asyncio.to_thread(read))

    @app.post(f"{PREFIX}/day-totals")
    async def day_totals(request: Request) -> JSONResponse:
        who = await holder(platform, request, "manual")
        content = await read_body(request, max_body, "application/json")
        return _uploaded(await asyncio.to_thread(uploads.enter_day, platform, content, now(), who))

    @app.post(f"{PREFIX}/oauth/{{integration_id}}/start")
    async def oauth_start(request: Request, integration_id: str) -> JSONResponse:
        who = await holder(platform, request, "connect")
        callback = f"{(public_url or str(request.base_url)).rstrip('/')}{PREFIX}/oauth/callback"
        url = await asyncio.to_thread(connections.start, integration_id, callback, who)
        return JSONResponse({"authorize_url": url, "redirect_uri": callback})

    @app.get(f"{PREFIX}/oauth/callback")
    async def oauth_callback(state: str = "", code: str = "", error: str = "") -> JSONResponse:
        connected = await asyncio.to_thread(connections.finish, state, code, error)
        return JSONResponse({"status": "connected", "integration_id": connected})

    @app.delete(f"{PREFIX}/oauth/{{integration_id}}")
    async def oauth_revoke(request: Request, integration_id: str) -> JSONResponse:
        who = await holder(platform, request, "connect")
        ended = await asyncio.to_thread(connections.revoke, integration_id, who)
        return JSONResponse({"status": "revoked" if ended else "was not connected", "integration_id": integration_id})

    return app


def _uploaded(told: dict[str, Any]) -> JSONResponse:
    """What became of a file: 200 with the rows that did not fit, 422 when nothing of it was taken."""
    return JSONResponse(told, 422 if told["status"] in ("rejected", "failed") else 200)


def addressed(
    platform: Platform, source_system: str, integration_id: str | None = None
) -> tuple[Connector, list[Integration]]:
    """The connector and the accounts that a URL may mean. Raises Refused(404)."""
    connector = connectors().get(source_system)
    if connector is None or connector.webhooks is None:
        raise Refused(404, "no such source system, or it sends no events")
    accounts = platform.integrations(source_system)
    if integration_id is not None:
        accounts = [account for account in accounts if account.integration_id == integration_id]
    if not accounts:
        raise Refused(404, "no such account")
    return connector, accounts


async def read_body(request: Request, limit: int, *kinds: str) -> bytes:
    """The body, if it is of one of the content types. Raises Refused: 415, 413, 408 when it takes too long."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in kinds:
        raise Refused(415, f"send {' or '.join(kinds)}")
    told = request.headers.get("content-length", "0")
    if told.isdigit() and int(told) > limit:
        raise Refused(413, f"larger than {limit} bytes")
    content = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for piece in request.stream():
                content += piece
                if len(content) > limit:
                    raise Refused(413, f"larger than {limit} bytes")
    except TimeoutError:
        raise Refused(408, "the body took too long") from None
    return bytes(content)


async def holder(platform: Platform, request: Request, scope: str) -> str:
    """Whose bearer token the request has. Raises Refused(401) unless it is good for the scope."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    name = (
        await asyncio.to_thread(platform.ops.tokens.holder, token.strip(), scope) if kind.lower() == "bearer" else None
    )
    if name is None:
        raise Refused(401, f"needs a bearer token with the scope {scope}")
    return name


def _probe(platform: Platform) -> None:
    with reading(platform.ops.sessions) as session:
        session.execute(text("select 1"))


def _stats(inbox: Inbox, doors: Doors) -> dict[str, Any]:
    rows = inbox.stats()
    for row in rows:
        row["refused_429"] = doors.refused[row["integration_id"]]
        for name in ("oldest_waiting", "latest"):
            row[name] = row[name].isoformat() if row[name] is not None else None
    return {"integrations": rows}
