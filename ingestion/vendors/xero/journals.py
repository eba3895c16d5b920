"""Journals to Xero: manual journals, up to 50 a call, found again by the reference that their narration begins with.

A manual journal has no number or reference field, so `Narration` is "<reference> <document key> <narration>". Xero
keeps an `Idempotency-Key` for minutes only: it covers an answer that is late, the search covers everything else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import requests

from ingestion.core.config import ConfigError
from ingestion.core.errors import PageError
from ingestion.core.http import ApiClient
from ingestion.core.journal import JournalDocument, Receipt, Rejection, UncertainOutcomeError
from ingestion.vendors.xero.records import calendar_date
from ingestion.vendors.xero.transport import API, pages

PATH = f"{API}/ManualJournals"
REFERENCE_LENGTH = 16
REFERENCES_PER_SEARCH = 10  # keeps the URL short
NOT_LIVE = ("VOIDED", "DELETED")
CENT = Decimal("0.01")

_ENCODER = msgspec.json.Encoder(decimal_format="number")


class _Words(msgspec.Struct, rename="pascal"):
    message: str = ""


class _Line(msgspec.Struct, rename="pascal"):
    line_amount: Decimal = Decimal(0)


class _Stored(msgspec.Struct, rename="pascal"):
    """A manual journal as an answer shows it; one that was refused is echoed with its errors."""

    narration: str
    manual_journal_id: str = msgspec.field(name="ManualJournalID", default="")
    status: str = ""
    status_attribute_string: str = ""
    journal_lines: list[_Line] = []
    validation_errors: list[_Words] = []
    warnings: list[_Words] = []

    @property
    def reference(self) -> str:
        return self.narration[:REFERENCE_LENGTH]

    @property
    def refused(self) -> bool:
        return bool(self.validation_errors) or self.status_attribute_string == "ERROR"

    def receipt(self) -> Receipt:
        return Receipt(
            self.reference,
            self.manual_journal_id,
            total_debit=sum((max(line.line_amount, Decimal(0)) for line in self.journal_lines), Decimal(0)),
            line_count=len(self.journal_lines),
            live=self.status not in NOT_LIVE,
        )


class _Journals(msgspec.Struct):
    journals: list[_Stored] = msgspec.field(name="ManualJournals")


class _Failure(msgspec.Struct, rename="pascal"):
    """The body of a call that was refused as a whole."""

    error_number: int = 0
    message: str = ""
    detail: str | None = None
    elements: list[_Stored] = []


class _Locks(msgspec.Struct, rename="pascal"):
    period_lock_date: str | None = None
    end_of_year_lock_date: str | None = None


class _Organisations(msgspec.Struct, rename="pascal"):
    organisations: list[_Locks]


class XeroJournals:
    """The `JournalTarget` of one organisation.

    Settings: `tracking_category`, the category whose options are the outlets; `journal_url` (optional), a link back
    to us with `{reference}` in it. Raises ConfigError when the first is missing.
    """

    max_lines = 1000
    max_documents = 50

    def __init__(self, client: ApiClient, settings: Mapping[str, str]) -> None:
        if not settings.get("tracking_category"):
            raise ConfigError(f"integrations.yaml: {client.integration_id} needs the setting tracking_category")
        self._client = client
        self._category = settings["tracking_category"]
        self._url = settings.get("journal_url", "")

    def find(self, documents: Sequence[JournalDocument]) -> dict[str, list[Receipt]]:
        """Journals of each reference in any status; voided and deleted ones are not live. Raises ApiError."""
        found: dict[str, list[Receipt]] = {document.reference: [] for document in documents}
        for references in _chunks(list(found), REFERENCES_PER_SEARCH):
            where = " OR ".join(f'Narration.StartsWith("{reference}")' for reference in references)
            for content in pages(self._client, PATH, {"where": where, "order": "ManualJournalID ASC"}):
                try:
                    journals = msgspec.json.decode(content, type=_Journals).journals
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    raise PageError(f"not a list of manual journals: {error}", content) from error
                for journal in journals:
                    if journal.reference in found:
                        found[journal.reference].append(journal.receipt())
        return found

    def post(self, documents: Sequence[JournalDocument]) -> list[Receipt | Rejection]:
        """One outcome per document. Raises NotSentError, or UncertainOutcomeError when an outcome is not told."""
        outcomes: list[Receipt | Rejection] = []
        bodies: dict[str, dict[str, Any]] = {}
        for document in sorted(documents, key=lambda document: document.reference):
            try:
                bodies[document.reference] = self._body(document)
            except ValueError as error:
                outcomes.append(Rejection(document.reference, str(error), "not sent"))
        if bodies:
            answer = self._client.send_once(
                "PUT",
                PATH,
                params={"summarizeErrors": "false"},
                headers={"Content-Type": "application/json", "Idempotency-Key": _key(bodies)},
                data=_ENCODER.encode({"ManualJournals": list(bodies.values())}),
            )
            outcomes += _outcomes(answer, list(bodies))
        return outcomes

    def lock_date(self) -> date | None:
        """The later of both lock dates: which of them binds depends on the role behind the connection."""
        content = self._client.request("GET", f"{API}/Organisation").content
        try:
            owner = msgspec.json.decode(content, type=_Organisations).organisations[0]
            told = [text for text in (owner.period_lock_date, owner.end_of_year_lock_date) if text]
            return max(map(calendar_date, told), default=None)
        except (ValueError, IndexError) as error:
            raise PageError(f"not an organisation: {error}", content) from error

    def _body(self, document: JournalDocument) -> dict[str, Any]:
        """Raises ValueError for what Xero would store otherwise than we mean it."""
        tracking = []
        if document.tracking_option:
            tracking = [{"Name": self._category, "Option": document.tracking_option}]
        elif document.outlet_id:
            raise ValueError(f"outlet {document.outlet_id} has no tracking option in outlets.csv")
        body = {
            "Narration": f"{document.reference} {document.document_key} {document.narration}".rstrip(),
            "Date": document.posting_date.isoformat(),
            "Status": "POSTED",
            "LineAmountTypes": "NoTax",
            "JournalLines": [
                {
                    "LineAmount": _amount(line.amount),
                    "AccountCode": line.target_account,
                    "Description": line.memo,
                    "TaxType": "NONE",
                    "Tracking": tracking,
                }
                for line in document.lines
            ],
        }
        return body | ({"Url": self._url.format(reference=document.reference)} if self._url else {})


def _outcomes(answer: requests.Response, references: Sequence[str]) -> Iterator[Receipt | Rejection]:
    """What became of each reference, by the narration that every element echoes."""
    try:
        if answer.status_code >= 400:
            failure = msgspec.json.decode(answer.content, type=_Failure)
            if not failure.elements:
                yield from _refusals(failure, answer.status_code, references)
                return
            stored = [element for element in failure.elements if element.refused]
        else:
            stored = msgspec.json.decode(answer.content, type=_Journals).journals
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UncertainOutcomeError(f"the answer ({answer.status_code}) cannot be read") from error
    told = {element.reference: element for element in stored}
    if missing := [reference for reference in references if reference not in told]:
        raise UncertainOutcomeError(f"the answer ({answer.status_code}) does not tell of {', '.join(missing)}")
    for reference in references:
        element = told[reference]
        words = _sentence([*element.validation_errors, *element.warnings])
        if element.refused:
            yield Rejection(reference, words or "refused without a reason", "validation")
        elif element.status != "POSTED":
            kept = f"kept as {element.status or 'something else'}, not posted ({element.manual_journal_id})"
            yield Rejection(reference, f"{kept}: {words}" if words else kept, element.status)
        else:
            yield element.receipt()


def _refusals(failure: _Failure, status: int, references: Sequence[str]) -> Iterator[Rejection]:
    words = failure.message or failure.detail or f"refused with status {status}"
    if "idempotency" in words.lower():
        raise UncertainOutcomeError(f"this batch was sent before with another content: {words}")
    for reference in references:
        yield Rejection(reference, words, str(failure.error_number or status))


def _amount(amount: Decimal) -> Decimal:
    """Whole units where there are no minor ones, else two places, which is all that Xero keeps."""
    if amount != amount.quantize(CENT):
        raise ValueError(f"{amount} has more than two decimals")
    return amount.quantize(Decimal(1)) if amount == amount.to_integral_value() else amount.quantize(CENT)


def _key(references: Iterable[str]) -> str:
    """The key of a batch, whose documents are sent in the order of their references, however they came."""
    return "c4-" + hashlib.sha256("\n".join(references).encode()).hexdigest()


def _sentence(words: Iterable[_Words]) -> str:
    return "; ".join(word.message for word in words if word.message)


def _chunks(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (items[start : start + size] for start in range(0, len(items), size))
