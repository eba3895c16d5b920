"""Faults that can be switched on in front of any sandbox, as real networks and real vendors produce them.

A `Fault` says what goes wrong, on which requests, how often and after how many. The server asks
`Faults.strike` once per request: of the faults that match, the first in the order of addition strikes.
"""

from __future__ import annotations

import gzip
import json
import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

import msgspec

_NUMBERS = msgspec.json.Encoder(decimal_format="number")


class FaultKind(StrEnum):
    """What goes wrong. Before commit: the sandbox never sees the request. After: it has carried it out."""

    THROTTLE = "throttle"  # 429, with Retry-After when `retry_after` is set
    ERROR = "error"  # 500, the request not carried out
    UNAVAILABLE = "unavailable"  # 503, with Retry-After when `retry_after` is set
    TIMEOUT_BEFORE_COMMIT = "timeout_before_commit"
    TIMEOUT_AFTER_COMMIT = "timeout_after_commit"
    RESET_BEFORE_COMMIT = "reset_before_commit"
    RESET_AFTER_COMMIT = "reset_after_commit"
    SLOW_DRIP = "slow_drip"  # the whole answer, a little at a time over `seconds`
    EXPIRED_TOKEN = "expired_token"  # every token given so far stops working
    EXPIRED_CURSOR = "expired_cursor"  # 410: the page cursor is no longer known
    MALFORMED_JSON = "malformed_json"  # the body breaks off, the status says 200
    TRUNCATED_GZIP = "truncated_gzip"  # a gzip body that breaks off
    EXTRA_FIELD = "extra_field"  # every record has the field `c4_new_field` that nobody knows
    RENAMED_FIELD = "renamed_field"  # `field` is called `<field>_v2` in every record
    CHANGED_FIELD = "changed_field"  # `field` of the page's first record, a dotted path, holds `value`
    DUPLICATE_DELIVERY = "duplicate_delivery"  # the first record of the page comes twice


@dataclass(slots=True, kw_only=True)
class Fault:
    """One fault. `path` is a glob over the path, or the path with its query. `method` is the one by which
    the sandbox says that a request acts: GET for a reading.

    `count` None means for ever. `after` is how many matching requests pass first. `retry_after` is the text
    of the header; `field` the one to rename or to change (then to `value`, None for an absent one); `seconds` how
    long a slow answer takes.
    """

    kind: FaultKind
    path: str = "*"
    method: str = "*"
    count: int | None = 1
    after: int = 0
    probability: float = 1.0
    retry_after: str | None = None
    field: str = ""
    value: str | int | None = None
    seconds: float = 1.0

    def __post_init__(self) -> None:
        self.kind = FaultKind(self.kind)
        if self.kind in (FaultKind.RENAMED_FIELD, FaultKind.CHANGED_FIELD) and not self.field:
            raise ValueError(f"field: a {self.kind} fault needs the name of the field")

    def matches(self, method: str, target: str) -> bool:
        path = target.split("?", 1)[0]
        return self.method in ("*", method) and (fnmatchcase(target, self.path) or fnmatchcase(path, self.path))


class Faults:
    """The faults of one vendor's sandbox. `struck` counts per kind what has really happened."""

    def __init__(self, seed: int = 7) -> None:
        self._lock = threading.Lock()
        self._random = random.Random(seed)
        self._active: list[Fault] = []
        self.struck: Counter[FaultKind] = Counter()

    def add(self, *faults: Fault) -> None:
        with self._lock:
            self._active.extend(faults)

    def clear(self) -> None:
        with self._lock:
            self._active.clear()

    def pending(self) -> int:
        """How many faults have not struck as often as they are to."""
        with self._lock:
            return len(self._active)

    def strike(self, method: str, target: str) -> Fault | None:
        """The fault that this request meets, used up by one; None when it goes through unharmed."""
        with self._lock:
            for fault in self._active:
                if not fault.matches(method, target):
                    continue
                if fault.after > 0:
                    fault.after -= 1
                    continue
                if fault.probability < 1.0 and self._random.random() >= fault.probability:
                    continue
                if fault.count is not None:
                    fault.count -= 1
                    if fault.count <= 0:
                        self._active.remove(fault)
                self.struck[fault.kind] += 1
                return fault
            return None


def spoil(fault: Fault, body: bytes) -> bytes:
    """The body as a content fault delivers it. Bodies that are not JSON pass the JSON faults unchanged."""
    if fault.kind is FaultKind.MALFORMED_JSON:
        return body[: len(body) * 2 // 3]
    if fault.kind is FaultKind.TRUNCATED_GZIP:
        packed = gzip.compress(body, mtime=0)
        return packed[: len(packed) // 2]
    edit = _JSON_EDITS.get(fault.kind)
    if edit is None:
        return body
    try:
        data = json.loads(body, parse_float=Decimal)
    except (json.JSONDecodeError, UnicodeDecodeError):
        return body
    return _NUMBERS.encode(edit(data, fault))


def _records(data: Any) -> list[Any]:
    """The outermost list of objects of a page; empty when the page has none."""
    level = [data]
    while level:
        for node in level:
            if isinstance(node, list) and node and isinstance(node[0], dict):
                return node
        level = [child for node in level if isinstance(node, dict) for child in node.values()]
    return []


def _extra_field(data: Any, _: Fault) -> Any:
    for record in _records(data):
        record["c4_new_field"] = "drift"
    return data


def _rename_field(data: Any, fault: Fault) -> Any:
    for record in _records(data):
        if fault.field in record:
            record[f"{fault.field}_v2"] = record.pop(fault.field)
    return data


def _change_field(data: Any, fault: Fault) -> Any:
    for record in _records(data)[:1]:
        *path, last = fault.field.split(".")
        node = record
        for step in path:
            node = node[int(step)] if isinstance(node, list) else node[step]
        if fault.value is None:
            node.pop(last)
        else:
            node[last] = fault.value
    return data


def _duplicate(data: Any, _: Fault) -> Any:
    records = _records(data)
    if records:
        records.append(records[0])
    return data


_JSON_EDITS: dict[FaultKind, Callable[[Any, Fault], Any]] = {
    FaultKind.EXTRA_FIELD: _extra_field,
    FaultKind.RENAMED_FIELD: _rename_field,
    FaultKind.CHANGED_FIELD: _change_field,
    FaultKind.DUPLICATE_DELIVERY: _duplicate,
}
