"""Errors of talking to a vendor, told apart by what recovers them."""

from __future__ import annotations


class ApiError(Exception):
    """A vendor call failed. `status` is the HTTP status, or 0 when no answer came."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class RetriableError(ApiError):
    """Passing trouble: throttled, overloaded, no answer. The next run tries again."""


class RefusedError(ApiError):
    """The vendor understood and refused this request (4xx). Repeating it does not help; this scope is skipped.

    `reason` is the vendor's own words, as the connector's `business_errors` reads them; "" when it has none.
    """

    def __init__(self, message: str, status: int = 0, reason: str = "") -> None:
        super().__init__(message, status)
        self.reason = reason


class AccessError(ApiError):
    """Credentials are wrong or a permission is missing: a person must act."""


class CircuitOpenError(RetriableError):
    """The integration failed so often that it is left alone until its breaker closes."""


class PageError(ApiError):
    """An answer arrived that is not what was asked for (broken JSON, cut short). `content` is what came."""

    def __init__(self, message: str, content: bytes) -> None:
        super().__init__(message)
        self.content = content
