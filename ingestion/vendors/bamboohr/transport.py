"""Where BambooHR is odd: listings by dates of the company's time zone, and three ways to tell an error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from zoneinfo import ZoneInfo

import msgspec
import requests

from ingestion.core.fetch import FetchContext, Page

REASON_HEADERS = ("X-BambooHR-Error-Message", "X-BambooHR-Message")
REASON_LENGTH = 200
ERROR_BODY_LENGTH = 4096


def date_windows(*, step: int, ahead: int = 0, reach: int | None = None) -> Callable[[FetchContext], Iterator[Page]]:
    """Read a stream in windows of `step` days, both ends included, up to `ahead` days after its end.

    These endpoints know no paging, so short windows bound the size of an answer. Nothing older than `reach`
    days is asked for: the vendor answers 400. Dates are those of the integration's
    `company_timezone` (an IANA name, default UTC).
    """

    def fetch(context: FetchContext) -> Iterator[Page]:
        zone = ZoneInfo(context.values.get("company_timezone", "UTC"))
        today, until, start = (context.values[name].astimezone(zone).date() for name in ("as_of", "until", "since"))
        if reach is not None:
            start = max(start, today - timedelta(days=reach))
        last = until + timedelta(days=ahead)
        while start <= last:
            end = min(start + timedelta(days=step - 1), last)
            window = {"start": start.isoformat(), "end": end.isoformat()}
            for answer in context.client.pages(context.stream.path, params={**context.stream.params, **window}):
                yield context.page(answer.content)
            start = end + timedelta(days=1)

    return fetch


def error_reason(answer: requests.Response) -> str | None:
    """The vendor's own words for what went wrong, None when nothing did.

    Legacy endpoints answer with a header only, newer ones with an RFC 7807 problem, others with
    `{"error": {"code", "message"}}`, which can also come with HTTP 200 (throttling).
    """
    if answer.status_code >= 400:
        for header in REASON_HEADERS:
            if header in answer.headers:
                return answer.headers[header][:REASON_LENGTH]
    if not answer.content.startswith(b"{") or len(answer.content) > ERROR_BODY_LENGTH:
        return None
    try:
        body = msgspec.json.decode(answer.content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    error = body.get("error")
    if isinstance(error, dict):
        return f"{error.get('message', 'no reason given')} ({error.get('code', 'no code')})"[:REASON_LENGTH]
    if answer.status_code >= 400 and ("detail" in body or "title" in body):
        return str(body.get("detail") or body["title"])[:REASON_LENGTH]
    return None
