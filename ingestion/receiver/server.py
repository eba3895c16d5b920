"""The receiver on uvicorn, in this process until it is told to stop, or in a thread for as long as a block."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

BACKLOG = 2048
CONCURRENT = 1000  # connections and tasks; beyond them 503


def _config(app: FastAPI, host: str, port: int) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        access_log=False,  # a URL may hold a secret
        log_level="warning",
        backlog=BACKLOG,
        limit_concurrency=CONCURRENT,
        timeout_graceful_shutdown=20,
        server_header=False,
    )


def run(app: FastAPI, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM; what was accepted is answered before the end."""
    uvicorn.Server(_config(app, host, port)).run()


@contextmanager
def running(app: FastAPI, host: str = "127.0.0.1") -> Iterator[str]:
    """Serve on a free port from a thread: the base URL."""
    listener = socket.create_server((host, 0), backlog=BACKLOG)
    server = uvicorn.Server(_config(app, host, 0))
    ready = threading.Event()
    startup = server.startup

    async def announced(sockets: list[socket.socket] | None = None) -> None:
        await startup(sockets)
        ready.set()

    server.startup = announced  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run, args=([listener],), name="receiver", daemon=True)
    thread.start()
    try:
        ready.wait(timeout=30)
        yield f"http://{host}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
