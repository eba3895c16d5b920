"""Single values of a JSON body, without decoding the rest of it."""

from __future__ import annotations

from typing import Any

import msgspec


def at(content: Any, path: str) -> bytes | None:
    """The JSON at a dotted path through objects; None where there is none, or null.

    Raises msgspec.DecodeError for what is no JSON, and RecursionError for what is nested without end.
    """
    found = content
    for step in path.split("."):
        inside = msgspec.json.decode(
            found, type=dict[str, msgspec.Raw] | str | int | float | bool | list[msgspec.Raw] | None
        )
        found = inside.get(step) if isinstance(inside, dict) else None
        if found is None:
            return None
    return None if bytes(found) == b"null" else bytes(found)
