"""The control API of a sandbox process, on its own loopback port: clock, faults, counts, credentials.

GET /state        {"now", "vendors": {vendor: url}, "requests": {vendor: {"GET /path": n}},
                  "faults": {vendor: {kind: n}}, "errors": {vendor: [text]},
                  "live_documents": {vendor: {reference: n}}}
GET /credentials  {vendor: {...}}, invented by the sandboxes and worth nothing elsewhere
POST /clock       {"now": "2026-04-05T22:00:00+00:00"}; files that became known are dropped
POST /prepare     {}: answers of this time of the clock are made ahead, as far as a sandbox can
POST /faults      {"vendor": "xero", "kind": "throttle", and other fields of Fault}
                  {"vendor": "xero", "clear": true}
POST /webhooks    {"vendor": "toast", "url": "http://...", "since": "2026-04-05T22:00:00+00:00"}: posts what happened
                  since then, up to the clock; answers {"answers": {"200": n}}
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import requests

from ingestion.sandbox.faults import Fault
from ingestion.sandbox.server import RunningSandboxes


class Control:
    """Serves the control API until closed."""

    def __init__(self, running: RunningSandboxes) -> None:
        self.running = running
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.control = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def state(self) -> dict[str, Any]:
        running = self.running
        sandboxes = {vendor: running.sandbox(vendor) for vendor in running.vendors}
        return {
            "now": running.clock.now().isoformat(),
            "vendors": {vendor: running.url(vendor) for vendor in running.vendors},
            "requests": {vendor: running.requests(vendor) for vendor in running.vendors},
            "faults": {vendor: running.faults(vendor).struck for vendor in running.vendors},
            "errors": {vendor: [repr(error) for error in running.errors(vendor)] for vendor in running.vendors},
            "live_documents": {
                vendor: {reference: len(documents) for reference, documents in sandbox.live_documents().items()}
                for vendor, sandbox in sandboxes.items()
                if hasattr(sandbox, "live_documents")
            },
        }

    def credentials(self) -> dict[str, dict[str, str]]:
        return {vendor: self.running.sandbox(vendor).credentials() for vendor in self.running.vendors}

    def set_clock(self, body: dict[str, Any]) -> dict[str, Any]:
        self.running.set_clock(datetime.fromisoformat(body["now"]))
        return {"now": self.running.clock.now().isoformat()}

    def prepare(self, _: dict[str, Any]) -> dict[str, Any]:
        self.running.prepare()
        return {}

    def set_faults(self, body: dict[str, Any]) -> dict[str, Any]:
        faults = self.running.faults(body.pop("vendor"))
        if body.pop("clear", False):
            faults.clear()
        if body:
            faults.add(msgspec.convert(body, Fault))
        return {"pending": faults.pending()}

    def send_webhooks(self, body: dict[str, Any]) -> dict[str, Any]:
        sandbox, since = self.running.sandbox(body["vendor"]), datetime.fromisoformat(body["since"])
        answers: Counter[str] = Counter()
        with requests.Session() as session:
            for delivery in sandbox.webhooks(since, self.running.clock.now()):
                try:
                    answers[str(delivery.send(body["url"], session).status_code)] += 1
                except requests.RequestException as error:
                    answers[type(error).__name__] += 1
        return {"answers": answers}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    control: Control


class _Handler(BaseHTTPRequestHandler):
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        control = self.server.control
        pages: dict[str, Callable[[], Any]] = {"/state": control.state, "/credentials": control.credentials}
        page = pages.get(self.path)
        self._answer(200, page()) if page else self._answer(404, {"error": f"no {self.path}"})

    def do_POST(self) -> None:
        control = self.server.control
        calls = {
            "/clock": control.set_clock,
            "/prepare": control.prepare,
            "/faults": control.set_faults,
            "/webhooks": control.send_webhooks,
        }
        call = calls.get(self.path)
        if call is None:
            return self._answer(404, {"error": f"no {self.path}"})
        try:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
            return self._answer(200, call(body))
        except (KeyError, ValueError, TypeError, msgspec.ValidationError) as error:
            return self._answer(400, {"error": f"{type(error).__name__}: {error}"})

    def _answer(self, status: int, data: Any) -> None:
        body = msgspec.json.encode(data)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
