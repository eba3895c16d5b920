"""Where long work says how far it is. Silent unless somebody listens (the command line does)."""

from __future__ import annotations

from collections.abc import Callable

Listener = Callable[[str, str, int], None]

_listeners: list[Listener] = []


def listen(listener: Listener) -> Callable[[], None]:
    """Call `listener(integration_id, stream, pages)` for every page; the returned function ends it."""
    _listeners.append(listener)
    return lambda: _listeners.remove(listener)


def advance(integration_id: str, stream: str, *, pages: int) -> None:
    for listener in _listeners:
        listener(integration_id, stream, pages)
