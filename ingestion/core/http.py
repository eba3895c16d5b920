"""The only way to a vendor's HTTP API: dlt's RESTClient over a session with manners.

The session limits itself below the vendor's limit, retries what is safe to repeat with bounded backoff honouring
Retry-After, re-authenticates once on 401, stops knocking when the integration's breaker is open, and reports every
call to the audit log. URLs are audited without their query, which can hold secrets; for the same reason no error
carries the library's own, whose text has the whole URL. Credentials go to the configured address only: redirects are
not followed, ~/.netrc is not read, and a proxy sees nothing but TLS.
"""

from __future__ import annotations

import random
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, Protocol

import msgspec
import requests
from dlt.sources.helpers.rest_client.client import RESTClient
from dlt.sources.helpers.rest_client.paginators import BasePaginator, SinglePagePaginator
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ProxyError

from ingestion.core.errors import (
    AccessError,
    ApiError,
    CircuitOpenError,
    PageError,
    RefusedError,
    RetriableError,
)
from ingestion.core.journal import NotSentError, UncertainOutcomeError
from ingestion.core.spec import Connector, Limit

ATTEMPTS = 4  # the first call and three retries
BACKOFF_BASE = 0.5
BACKOFF_CAP = 30.0
RETRY_AFTER_CAP = 120.0
RETRY_STATUSES = frozenset({408, 429, 500, 502, 503, 504, 598})
NOT_DONE_STATUSES = frozenset({401, 403, 408, 429, 503})
ANY_FORMAT, JSON_FORMAT = "bytes", "$"  # what a page must be
REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Call:
    """One call as the audit log keeps it: never a query, a header or a body."""

    integration_id: str
    method: str
    path: str
    status: int  # 0: no answer
    seconds: float
    size: int
    attempt: int
    error: str = ""
    quota_left: float | None = None  # share of the vendor's quota, where it tells


class Breaker(Protocol):
    """Per integration: `allow` is False while the vendor is left alone."""

    def allow(self) -> bool: ...
    def success(self) -> None: ...
    def failure(self) -> None: ...


class AlwaysClosed:
    """A breaker that never opens, for one-off calls."""

    def allow(self) -> bool:
        return True

    def success(self) -> None:
        return None

    def failure(self) -> None:
        return None


class Limiter:
    """A token bucket (one second of burst) and a cap on calls under way; shared by threads.

    `share` pays for calls that the rate allows in so many seconds where other processes call at the same rate, and
    returns the seconds until they may be made.
    """

    def __init__(
        self,
        limit: Limit,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        share: Callable[[float], float] | None = None,
    ) -> None:
        self._rate = limit.per_second
        self._tokens = max(1.0, limit.per_second)
        self._clock = clock
        self._stamp = clock()
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(limit.concurrent)
        self._sleep = sleep
        self._share = share
        self._paid = 0  # calls of the block that was paid for, and when it begins
        self._begins = 0.0

    def __enter__(self) -> None:
        with self._lock:
            now = self._clock()
            self._tokens = min(max(1.0, self._rate), self._tokens + (now - self._stamp) * self._rate)
            self._stamp = now
            self._tokens -= 1.0
            wait = max(0.0, -self._tokens / self._rate)
            if self._share is not None:
                if not self._paid:
                    self._paid = max(1, int(self._rate))
                    self._begins = now + self._share(self._paid / self._rate)
                self._paid -= 1
                wait = max(wait, self._begins - now)
        if wait:
            self._sleep(wait)
        self._slots.acquire()

    def __exit__(self, *_: object) -> None:
        self._slots.release()


class TlsAdapter(HTTPAdapter):
    """Certificates are verified and TLS is 1.2 at least, whatever the system's own defaults."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> Any:
        return super().init_poolmanager(*args, ssl_context=_tls_context(), **kwargs)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        return super().proxy_manager_for(proxy, ssl_context=_tls_context(), **kwargs)


@cache
def _tls_context() -> ssl.SSLContext:
    """One for all sessions: reading the system's certificates takes longer than many a call."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class SafeSession(requests.Session):
    """requests.Session that gives credentials to nobody but the address it was asked to call."""

    def __init__(self) -> None:
        super().__init__()
        self.auth = lambda request: request  # instead of ~/.netrc
        self.mount("https://", TlsAdapter(pool_connections=4, pool_maxsize=32))
        self.mount("http://", HTTPAdapter(pool_connections=4, pool_maxsize=32))

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        kwargs["allow_redirects"] = False
        if (request.url or "").startswith("http:"):
            kwargs["proxies"] = {}  # a proxy would read what is not encrypted
        return super().send(request, **kwargs)


class _Session(SafeSession):
    """A session whose `send` limits, audits, re-authenticates and, for repeatable calls, retries."""

    def __init__(self, client: ApiClient) -> None:
        super().__init__()
        self._client = client

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        return self._client.with_token(lambda: super(_Session, self).prepare_request(request))

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        kwargs.setdefault("timeout", self._client.timeout)
        return self._client.send_with_retries(request, lambda: super(_Session, self).send(request, **kwargs))


class _PageClient(RESTClient):
    """RESTClient that hands out whole answers: pages stay bytes until the typed decode."""

    judge: Callable[[requests.Response], None]  # raises for an answer that is no page

    def extract_response(self, response: requests.Response, data_selector: Any) -> list[Any]:
        self.judge(response)
        if data_selector == ANY_FORMAT:
            return [response]
        if not response.content:
            raise PageError("the answer is empty", b"")
        if error := _json_error(response):
            raise PageError(error, response.content)
        return [response]


class ApiClient:
    """Calls one integration's API. `settings` may override base_url and timeout (seconds)."""

    def __init__(
        self,
        connector: Connector,
        integration_id: str,
        settings: Mapping[str, str],
        credentials: Mapping[str, str],
        *,
        limit: Limit | None = None,
        breaker: Breaker | None = None,
        audit: Callable[[Call], None] = lambda call: None,
        sleep: Callable[[float], None] = time.sleep,
        share: Callable[[float], float] | None = None,
    ) -> None:
        self.connector = connector
        self.integration_id = integration_id
        self.settings = settings
        self.base_url = settings.get("base_url") or connector.base_url.format_map(settings)
        self.timeout = float(settings.get("timeout", "60"))
        self.limit = limit or connector.limit
        self._limiter = Limiter(self.limit, sleep, share=share)
        self._breaker = breaker or AlwaysClosed()
        self._audit = audit
        self._sleep = sleep
        self._local = threading.local()
        self._renewing = threading.Lock()
        self.auth = connector.auth(credentials, settings, self.base_url) if connector.auth else None
        self._session = _Session(self)
        headers = {name: value.format_map(settings) for name, value in connector.headers.items()}
        self._rest = _PageClient(self.base_url, headers=headers, auth=self.auth, session=self._session)
        self._rest.judge = self._raise_for

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        data: Any = None,
    ) -> requests.Response:
        """A call that is safe to repeat. Raises a subclass of ApiError unless the answer is 2xx."""
        answer = self._rest.request(path, method, params=params, headers=headers, json=json, data=data)  # type: ignore[arg-type]
        self._raise_for(answer)
        return answer

    def pages(
        self,
        path: str,
        *,
        method: str = "GET",
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        paginator: BasePaginator | None = None,
        is_json: bool = True,
    ) -> Iterator[requests.Response]:
        """Every page of a listing as the vendor sent it. A page that should be JSON and is not raises PageError."""
        for page in self._rest.paginate(
            path,
            method,  # type: ignore[arg-type]
            params=dict(params or {}),
            headers=dict(headers or {}),
            json=json,
            paginator=paginator or SinglePagePaginator(),
            data_selector=JSON_FORMAT if is_json else ANY_FORMAT,
            hooks={"response": []},  # a hook would see every attempt; pages are judged after the last
        ):
            yield page[0]

    def send_once(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        data: Any = None,
    ) -> requests.Response:
        """A posting: never repeated here. Returns 2xx and 4xx answers for the caller to judge.

        Raises NotSentError when it was certainly not carried out, UncertainOutcomeError when nobody can know.
        """
        self._local.once = True
        try:
            answer = self._rest.request(path, method, params=params, headers=headers, json=json, data=data)  # type: ignore[arg-type]
        except (CircuitOpenError, AccessError, RetriableError) as error:
            raise NotSentError(f"{type(error).__name__}: not sent") from None
        except requests.RequestException as error:
            if _nothing_sent(error):
                raise NotSentError(f"no connection ({type(error).__name__})") from None
            raise UncertainOutcomeError(f"no usable answer ({type(error).__name__})") from None
        finally:
            self._local.once = False
        status = answer.status_code
        if status in NOT_DONE_STATUSES:
            raise NotSentError(f"answered {status}")
        if status >= 500 or status in REDIRECT_STATUSES:
            raise UncertainOutcomeError(f"answered {status}")
        if status < 300 and answer.content and _json_error(answer, told=True):
            raise UncertainOutcomeError(f"answered {status}, but the answer cannot be read")
        return answer

    def with_token(self, prepare: Callable[[], requests.PreparedRequest]) -> requests.PreparedRequest:
        """Prepare a request. When that takes a token, its endpoint is asked again as any other."""
        for attempt in range(1, ATTEMPTS):
            try:
                return prepare()
            except RetriableError:
                self._sleep(_delay(attempt, None))
        return prepare()

    def send_with_retries(
        self, request: requests.PreparedRequest, send: Callable[[], requests.Response]
    ) -> requests.Response:
        """The session's sending loop; see the module's docstring."""
        once = getattr(self._local, "once", False)
        renewed = False
        attempt = 0
        while True:
            attempt += 1
            if not self._breaker.allow():
                raise CircuitOpenError(f"{self.integration_id} failed repeatedly; its circuit breaker is open")
            answer, error = self._attempt(request, send, attempt, check_json=not once)
            if answer is not None and answer.status_code == 401 and not renewed and hasattr(self.auth, "invalidate"):
                renewed = True
                self._renew(request)
                if not once:
                    attempt -= 1
                    continue
            retriable = error is not None or (answer is not None and answer.status_code in RETRY_STATUSES)
            if retriable:
                self._breaker.failure()
            else:
                self._breaker.success()
            if once or not retriable or attempt >= ATTEMPTS or _is_distrusted(error):
                break
            self._sleep(_delay(attempt, answer))
        if error is not None:
            if once or isinstance(error, PageError):
                raise error
            where = f"{request.method} {_path(request)}"
            if _is_distrusted(error):
                raise AccessError(f"{where}: the server's certificate is not trusted")
            raise RetriableError(f"{where}: no answer ({type(error).__name__})")
        assert answer is not None
        return answer

    def _renew(self, request: requests.PreparedRequest) -> None:
        """Give the request a token newer than its own. Of several threads with the same token one obtains it."""
        auth: Any = self.auth
        with self._renewing:
            refused = request.headers.pop("Authorization", None)
            self.with_token(lambda: auth(request))
            if request.headers.get("Authorization") == refused:
                auth.invalidate()
                self.with_token(lambda: auth(request))

    def _attempt(
        self,
        request: requests.PreparedRequest,
        send: Callable[[], requests.Response],
        attempt: int,
        *,
        check_json: bool,
    ) -> tuple[requests.Response | None, requests.RequestException | PageError | None]:
        answer: requests.Response | None = None
        error: requests.RequestException | PageError | None = None
        with self._limiter:
            start = time.monotonic()
            try:
                answer = send()
            except requests.RequestException as caught:
                error = caught
            seconds = time.monotonic() - start
        if (
            check_json
            and answer is not None
            and answer.status_code == 200
            and (broken := _json_error(answer, told=True))
        ):
            error = PageError(f"{request.method} {_path(request)}: {broken}", answer.content)
        self._audit(
            Call(
                self.integration_id,
                request.method or "",
                _path(request),
                answer.status_code if answer is not None else 0,
                seconds,
                len(answer.content) if answer is not None else 0,
                attempt,
                type(error).__name__ if error else "",
                _quota_left(answer.headers) if answer is not None else None,
            )
        )
        return answer, error

    def _raise_for(self, answer: requests.Response) -> None:
        status = answer.status_code
        where = f"{answer.request.method} {_path(answer.request)}"
        reason = (self.connector.business_errors(answer) or "") if self.connector.business_errors else ""
        told = f": {reason[:200]}" if reason else ""
        if status in REDIRECT_STATUSES:
            raise RefusedError(f"{where}: answered {status}; redirects are not followed, mend base_url", status)
        if status < 400:
            if reason:
                raise RetriableError(f"{where}{told}", status)
            return
        if status == 401:
            raise AccessError(f"{where}: the credentials are not accepted (401){told}", status)
        if status in RETRY_STATUSES:
            raise RetriableError(f"{where}: answered {status} {ATTEMPTS} times{told}", status)
        raise RefusedError(f"{where}: answered {status}{told}", status, reason)


def _json_error(answer: requests.Response, *, told: bool = False) -> str:
    """Why an answer is not JSON, "" when it is. `told`: judge only what is said to be JSON."""
    if told and "json" not in answer.headers.get("Content-Type", ""):
        return ""
    try:
        msgspec.json.decode(answer.content, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return f"the answer is not JSON: {error}"
    return ""


def _delay(attempt: int, answer: requests.Response | None) -> float:
    """Seconds before the next try: the vendor's Retry-After when it tells one, else full-jitter backoff."""
    told = answer.headers.get("Retry-After", "").strip() if answer is not None else ""
    if told.isdecimal():
        return min(float(told), RETRY_AFTER_CAP)
    if answer is not None and (until := _http_date(told)) is not None:
        now = _http_date(answer.headers.get("Date", ""))  # the vendor's clock, by which it counts
        return min(max(until - (time.time() if now is None else now), 0.0), RETRY_AFTER_CAP)
    return random.uniform(0.5, 1.0) * min(BACKOFF_CAP, BACKOFF_BASE * 2 ** (attempt - 1))  # noqa: S311


def _http_date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError):
        return None


def _quota_left(headers: Mapping[str, str]) -> float | None:
    """What is left of a quota, from 0 to 1, by the headers that many vendors and gateways send."""
    for prefix in ("X-RateLimit-", "RateLimit-", "X-Rate-Limit-"):
        left, limit = headers.get(f"{prefix}Remaining", ""), headers.get(f"{prefix}Limit", "")
        if left.isdecimal() and limit.isdecimal() and int(limit):
            return min(int(left) / int(limit), 1.0)
    return None


def _path(request: requests.PreparedRequest) -> str:
    return (request.path_url or "").split("?", 1)[0]


def _nothing_sent(error: requests.RequestException) -> bool:
    """Whether no connection came about at all, so that nothing can have been carried out."""
    never = (ConnectionRefusedError, NewConnectionError, ConnectTimeoutError, ProxyError, ssl.SSLCertVerificationError)
    return any(isinstance(cause, never) for cause in _causes(error))


def _is_distrusted(error: BaseException | None) -> bool:
    return error is not None and any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it was raised for, as the HTTP libraries wrap it."""
    yield error
    for inner in (getattr(error, "reason", None), error.__cause__, *error.args):
        if isinstance(inner, BaseException):
            yield from _causes(inner)


__all__ = ["AlwaysClosed", "ApiClient", "ApiError", "Breaker", "Call", "Limiter", "SafeSession"]
