"""How small JSON APIs say why they refuse, for a connector's `business_errors`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import requests

MOST_BYTES = 4096  # a page of records is no refusal


def json_refusal(status: str = "") -> Callable[[requests.Response], str | None]:
    """Reads `error.message`, `error`, `message`, or RFC 9457's `detail` or `title` of a refusal; None for anything
    else, or without words.

    `status` names the field by which the vendor refuses within an HTTP 200 (a number from 400 up).
    """

    def reason(answer: requests.Response) -> str | None:
        if len(answer.content) > MOST_BYTES:
            return None
        try:
            told = msgspec.json.decode(answer.content)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        if not isinstance(told, dict):
            return None
        inside = told.get(status)
        refused = answer.status_code >= 400 or (isinstance(inside, int) and inside >= 400)
        return (_words(told) or (f"{status} {inside}" if inside else None)) if refused else None

    return reason


def _words(told: dict[str, Any]) -> str | None:
    error = told.get("error")
    words = error.get("message") if isinstance(error, dict) else error
    words = words or told.get("message") or told.get("detail") or told.get("title")
    return words if isinstance(words, str) and words else None
