"""Hosts every vendor's sandbox on its own loopback port, with faults in front of it.

HTTP/1.1 with keep-alive over plain sockets, gzip for clients that accept it. One thread per connection:
`handle` of a sandbox is called from several threads at once and guards its own state with `self.lock`.
"""

from __future__ import annotations

import contextlib
import gzip
import importlib
import importlib.util
import json
import logging
import os
import pickle
import pkgutil
import select
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
from requests.structures import CaseInsensitiveDict

from ingestion import vendors as vendor_packages
from ingestion.sandbox.clock import Clock
from ingestion.sandbox.faults import Fault, FaultKind, Faults, spoil
from ingestion.sandbox.webhooks import Delivery

if TYPE_CHECKING:
    from ingestion.sandbox.company import Company

HOLD_SECONDS = 30.0  # how long a timeout fault holds a request at most, should the client never give up
DRIP_PIECES = 10
GZIP_FROM = 1024  # bytes
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Request:
    """One request: `path` is percent-decoded and without the query; `body` is already decompressed."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: Mapping[str, str]  # names in any case
    body: bytes

    def arg(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        return self.query.get(name, [default])[0]

    def json(self) -> Any:
        """The body as JSON with exact decimals. Raises json.JSONDecodeError."""
        return json.loads(self.body, parse_float=Decimal)


@dataclass(slots=True)
class Response:
    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    packed: bytes = b""  # the body as a gzip file, where that is known already


def encoded(data: Any) -> bytes:
    """A part of an answer in JSON, to be put into others as it is."""
    return _ENCODER.encode(data)


def json_response(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON. Decimals are written as exact numbers."""
    return Response(status, _ENCODER.encode(data), headers=dict(headers or {}))


class Sandbox:
    """A faithful local imitation of one vendor's API over the simulated company.

    It shows only what is known at `clock.now()`. Where they make sense it also offers `expire_tokens()` and
    `expire_cursors()` (used by the faults of those names), `live_documents()` (reference -> documents, for
    journal targets) and `deliver(folder)` (for vendors that deliver files: write what is known at the clock).
    """

    vendor: str = ""
    kept: tuple[str, ...] = ()  # attributes of what others wrote, which a later process over the same folder holds too

    def __init__(self, company: Company, clock: Clock) -> None:
        self.company = company
        self.clock = clock
        self.lock = threading.RLock()

    def handle(self, request: Request) -> Response:
        raise NotImplementedError(f"{type(self).__name__} answers no requests")

    def credentials(self) -> dict[str, str]:
        """What a connector must present."""
        return {}

    def settings(self, base_url: str) -> dict[str, str]:
        """The integration's settings for this sandbox."""
        return {"base_url": base_url}

    def outlets(self) -> dict[str, str]:
        """Vendor outlet id -> our outlet id."""
        return {}

    def acts_as(self, request: Request) -> str:
        """The method by which faults know a request: GET for a reading, also where the vendor reads by others."""
        return request.method

    def prepare(self) -> None:
        """Make what answers of this time of the clock are made of: who measures a client does not measure that."""

    def webhooks(self, since: datetime, until: datetime) -> Iterator[Delivery]:
        """What the vendor posts in `(since, until]`, signed, in the order of happening."""
        yield from ()


class RunningSandboxes:
    """The sandboxes under way. Closing is orderly: held requests end, connections and ports are freed."""

    def __init__(self, company: Company, clock: Clock, drop: Path | None = None) -> None:
        self.company = company
        self.clock = clock
        self.drop = drop
        self._servers: dict[str, _VendorServer] = {}

    @property
    def vendors(self) -> list[str]:
        return list(self._servers)

    def start(self, sandbox: Sandbox) -> None:
        self._servers[sandbox.vendor] = _VendorServer(sandbox)

    def url(self, vendor: str) -> str:
        """Base URL without a trailing slash, e.g. http://127.0.0.1:40123."""
        host, port = self._servers[vendor].server_address[:2]
        return f"http://{host!s}:{port}"

    def sandbox(self, vendor: str) -> Any:
        return self._servers[vendor].sandbox

    def faults(self, vendor: str) -> Faults:
        return self._servers[vendor].faults

    def requests(self, vendor: str) -> Counter[str]:
        """How often each "METHOD /path" (without query) arrived, requests that met a fault included."""
        return self._servers[vendor].counted()

    def errors(self, vendor: str) -> list[BaseException]:
        """Exceptions that the sandbox itself raised: bugs of the sandbox, never of the client."""
        return self._servers[vendor].errors

    def set_clock(self, now: datetime) -> None:
        """Move the clock and have file-delivering vendors drop what became known."""
        self.clock.set(now)
        self.deliver()

    def prepare(self) -> None:
        for server in self._servers.values():
            server.sandbox.prepare()

    def deliver(self) -> None:
        if self.drop is None:
            return
        for vendor, server in self._servers.items():
            if hasattr(server.sandbox, "deliver"):
                folder = self.drop / vendor
                folder.mkdir(parents=True, exist_ok=True)
                server.sandbox.deliver(folder)

    def keep(self, file: Path) -> None:
        """Write down what was posted to the sandboxes."""
        sandboxes = (server.sandbox for server in self._servers.values())
        kept = {sandbox.vendor: {name: getattr(sandbox, name) for name in sandbox.kept} for sandbox in sandboxes}
        file.write_bytes(pickle.dumps(kept))

    def recall(self, file: Path) -> None:
        """Hold again what `keep` of an earlier process wrote."""
        kept = pickle.loads(file.read_bytes())  # noqa: S301 - a file of our own, in the folder of the demo
        for vendor, values in kept.items():
            if vendor in self._servers:
                vars(self._servers[vendor].sandbox).update(values)

    def close(self) -> None:
        for server in self._servers.values():
            server.close()
        self._servers.clear()

    def __enter__(self) -> RunningSandboxes:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def sandbox_classes() -> dict[str, type[Sandbox]]:
    """Vendor -> sandbox class of every `ingestion.vendors.<slug>.sandbox` there is, in alphabetical order."""
    found: dict[str, type[Sandbox]] = {}
    for package in sorted(pkgutil.iter_modules(vendor_packages.__path__), key=lambda module: module.name):
        name = f"ingestion.vendors.{package.name}.sandbox"
        if not package.ispkg or importlib.util.find_spec(name) is None:
            continue
        sandbox = importlib.import_module(name).SANDBOX
        found[sandbox.vendor] = sandbox
    return found


def serve(
    company: Company,
    clock: Clock,
    vendors: Iterable[str | type[Sandbox]] | None = None,
    drop: Path | None = None,
) -> RunningSandboxes:
    """Start sandboxes (all there are unless named) on free ports of 127.0.0.1, in threads of this process.

    `drop` is the folder below which file-delivering vendors get one folder each. Raises KeyError for a vendor
    that has no sandbox.
    """
    running = RunningSandboxes(company, clock, drop)
    classes: dict[str, type[Sandbox]] = {}
    wanted = list(vendors) if vendors is not None else None
    if wanted is None or any(isinstance(vendor, str) for vendor in wanted):
        classes = sandbox_classes()
    for vendor in wanted if wanted is not None else classes:
        running.start((classes[vendor] if isinstance(vendor, str) else vendor)(company, clock))
    running.deliver()
    return running


class _VendorServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.sandbox = sandbox
        self.faults = Faults()
        self.errors: list[BaseException] = []
        self.closing = False
        self._guard = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._connections: set[socket.socket] = set()
        self._thread = threading.Thread(
            target=self.serve_forever,
            kwargs={"poll_interval": 0.05},
            name=f"sandbox-{sandbox.vendor}",
            daemon=True,
        )
        self._thread.start()

    def count(self, method: str, path: str) -> None:
        with self._guard:
            self._counts[f"{method} {path}"] += 1

    def counted(self) -> Counter[str]:
        with self._guard:
            return Counter(self._counts)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        with self._guard:
            self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self.forget(request)
        super().shutdown_request(request)

    def forget(self, connection: socket.socket) -> None:
        with self._guard:
            self._connections.discard(connection)

    def handle_error(self, *_: Any) -> None:
        """A client that goes away is no event; anything else is a bug of the server and kept like one."""
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, ConnectionError):
            self.errors.append(error)
            _log.error("the %s server failed", self.sandbox.vendor, exc_info=error)

    def close(self) -> None:
        self.closing = True
        self.shutdown()
        self._thread.join()
        with self._guard:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16  # head and body leave together
    server_version = "sandbox"
    sys_version = ""
    server: _VendorServer

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: requests are counted, not printed."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The Date header tells the sandbox's time."""
        return super().date_time_string(timestamp or self.server.sandbox.clock.now().timestamp())

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        body = self._read_body()
        self.server.count(self.command, parts.path)
        request = Request(
            self.command,
            unquote(parts.path),
            parse_qs(parts.query, keep_blank_values=True),
            CaseInsensitiveDict(self.headers.items()),
            body,
        )
        fault = self.server.faults.strike(self.server.sandbox.acts_as(request), self.path)
        if fault is None:
            self._send(self._handled(request))
        else:
            self._suffer(fault, request)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _serve

    def _read_body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            pieces = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            body = b"".join(pieces)
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(body) if self.headers.get("Content-Encoding", "").lower() == "gzip" else body

    def _handled(self, request: Request) -> Response:
        try:
            return self.server.sandbox.handle(request)
        except Exception as error:  # noqa: BLE001 - kept for the tests, told to the client, never swallowed
            self.server.errors.append(error)
            _log.exception("the %s sandbox failed on %s %s", self.server.sandbox.vendor, request.method, request.path)
            return Response(500, f"the sandbox itself failed: {error!r}".encode(), "text/plain")

    def _suffer(self, fault: Fault, request: Request) -> None:
        kind, sandbox = fault.kind, self.server.sandbox
        if kind in (FaultKind.THROTTLE, FaultKind.ERROR, FaultKind.UNAVAILABLE):
            status = {FaultKind.THROTTLE: 429, FaultKind.ERROR: 500, FaultKind.UNAVAILABLE: 503}[kind]
            headers = {"Retry-After": fault.retry_after} if fault.retry_after is not None else {}
            self._send(json_response({"error": HTTPStatus(status).phrase}, status, headers))
        elif kind is FaultKind.TIMEOUT_BEFORE_COMMIT:
            self._hold()
        elif kind is FaultKind.TIMEOUT_AFTER_COMMIT:
            self._handled(request)
            self._hold()
        elif kind is FaultKind.RESET_BEFORE_COMMIT:
            self._reset()
        elif kind is FaultKind.RESET_AFTER_COMMIT:
            self._handled(request)
            self._reset()
        elif kind is FaultKind.SLOW_DRIP:
            self._send(self._handled(request), drip=fault.seconds)
        elif kind is FaultKind.EXPIRED_TOKEN:
            if hasattr(sandbox, "expire_tokens"):
                sandbox.expire_tokens()
                self._send(self._handled(request))
            else:
                self._send(json_response({"error": "invalid_token"}, 401, {"WWW-Authenticate": "Bearer"}))
        elif kind is FaultKind.EXPIRED_CURSOR:
            if hasattr(sandbox, "expire_cursors"):
                sandbox.expire_cursors()
                self._send(self._handled(request))
            else:
                self._send(json_response({"error": "the cursor has expired"}, 410))
        else:
            answer = self._handled(request)
            answer = Response(answer.status, spoil(fault, answer.body), answer.content_type, dict(answer.headers))
            if kind is FaultKind.TRUNCATED_GZIP:
                answer.headers["Content-Encoding"] = "gzip"
            self._send(answer)

    def _send(self, response: Response, drip: float | None = None) -> None:
        body = response.body
        headers = dict(response.headers)
        accepts = "gzip" in self.headers.get("Accept-Encoding", "")
        if accepts and len(body) > GZIP_FROM and "Content-Encoding" not in headers:
            body = response.packed or gzip.compress(body, compresslevel=1, mtime=0)
            headers["Content-Encoding"] = "gzip"
        self.send_response(response.status)
        if response.content_type and body:
            self.send_header("Content-Type", response.content_type)
        for name, value in headers.items():
            self.send_header(name, value)
        if response.status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            body = b""
        step = len(body) or 1 if drip is None else -(-len(body) // DRIP_PIECES) or 1
        for start in range(0, len(body), step):
            self.wfile.write(body[start : start + step])
            if drip is not None and not self.server.closing:
                self.wfile.flush()
                time.sleep(drip / DRIP_PIECES)
        self.wfile.flush()

    def _hold(self) -> None:
        """Say nothing until the client hangs up, the server closes or the bound is reached."""
        self.close_connection = True
        select.select([self.connection], [], [], HOLD_SECONDS)

    def _reset(self) -> None:
        """End the connection with RST: the client sees "connection reset by peer"."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.server.forget(self.connection)
        os.close(self.connection.detach())
