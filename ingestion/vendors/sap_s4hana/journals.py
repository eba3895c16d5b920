"""Journals to SAP: the synchronous "Journal Entry - Post" message, found again by its document reference.

This message has no duplicate check, so nothing is ever sent again before the reference was looked up. A reversal is
an ordinary entry with the signs swapped: the published message has no reversal fields, and an ordinary entry can be
posted to a later period when the original's is closed.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property

import msgspec
import requests
from lxml import etree

from ingestion.core.config import ConfigError
from ingestion.core.errors import ApiError
from ingestion.core.http import ApiClient
from ingestion.core.journal import (
    JournalDocument,
    JournalLine,
    NotSentError,
    Receipt,
    Rejection,
    UncertainOutcomeError,
)
from ingestion.core.records import Record
from ingestion.vendors.sap_s4hana.transport import ODATA, T, envelope, literal, opened, query, read

JOURNAL_ITEMS = "API_OPLACCTGDOCITEMCUBE_SRV/A_OperationalAcctgDocItemCube"
ACCOUNTS = "API_GLACCOUNTINCHARTOFACCOUNTS_SRV/A_GLAccountInChartOfAccounts"
POST_PATH = "sap/bc/srt/scs_ext/sap/journalentrycreaterequestconfi"
NAMESPACE = "http://sap.com/xi/SAPSCORE/SFIN"
ACTION = f"{NAMESPACE}/JournalEntryCreateRequestConfirmation_In/JournalEntryCreateRequestConfirmation_InRequest"
MAX_LINES = 999  # the number of a line in a document has three digits
REFERENCES_PER_SEARCH = 20  # keeps the URL short
ERROR_IN_DOCUMENT = "609(RW)"  # the headline of every refusal; the causes follow it
ERROR = "3"


class _StoredItem(Record, rename="pascal"):
    """What a look-up needs of a stored line. Amounts are signed, debit positive, in company code currency."""

    company_code: str
    fiscal_year: str
    accounting_document: str
    accounting_document_item: str
    document_reference_id: str = msgspec.field(name="DocumentReferenceID")
    amount_in_company_code_currency: Decimal
    is_reversal: bool
    is_reversed: bool


class _AccountKind(Record, rename="pascal"):
    gl_account: str = msgspec.field(name="GLAccount")
    is_profit_loss_account: bool


@dataclass(slots=True)
class _Stored:
    """A stored document: the amount of each line by its number, so that a line read twice counts once."""

    lines: dict[str, Decimal] = field(default_factory=dict)
    live: bool = True

    def receipt(self, reference: str, external_id: str) -> Receipt:
        total_debit = sum((amount for amount in self.lines.values() if amount > 0), Decimal(0))
        return Receipt(reference, external_id, total_debit, len(self.lines), self.live)


class SapJournals:
    """The `JournalTarget` of one company code.

    Settings: `company_code`, `chart_of_accounts`, `language`; `document_type` (default SA) and `posting_user`
    (default C4, at most 12 characters). Raises ConfigError when a required one is missing.
    """

    max_lines = MAX_LINES
    max_documents = 25

    def __init__(self, client: ApiClient, settings: Mapping[str, str]) -> None:
        for name in ("company_code", "chart_of_accounts", "language"):
            if not settings.get(name):
                raise ConfigError(f"integrations.yaml: {client.integration_id} needs the setting {name}")
        self._client = client
        self._company_code = settings["company_code"]
        self._chart = settings["chart_of_accounts"]
        self._language = settings["language"]
        self._document_type = settings.get("document_type", "SA")
        self._user = settings.get("posting_user", "C4")

    def find(self, documents: Sequence[JournalDocument]) -> dict[str, list[Receipt]]:
        """Every document of each reference. One that was reversed in SAP, and its reversal, are not live.

        Raises ApiError.
        """
        stored: dict[str, dict[str, _Stored]] = {document.reference: {} for document in documents}
        for references in _chunks(list(stored), REFERENCES_PER_SEARCH):
            asked = " or ".join(f"DocumentReferenceID eq {literal(reference)}" for reference in references)
            where = f"CompanyCode eq {literal(self._company_code)} and ({asked})"
            key = ("company_code", "fiscal_year", "accounting_document", "accounting_document_item")
            for item in self._read(JOURNAL_ITEMS, _StoredItem, key, where):
                external_id = _external_id(item.accounting_document, item.company_code, item.fiscal_year)
                document = stored[item.document_reference_id].setdefault(external_id, _Stored())
                document.lines[item.accounting_document_item] = item.amount_in_company_code_currency
                document.live = document.live and not (item.is_reversed or item.is_reversal)
        return {
            reference: [document.receipt(reference, external_id) for external_id, document in sorted(found.items())]
            for reference, found in stored.items()
        }

    def post(self, documents: Sequence[JournalDocument]) -> list[Receipt | Rejection]:
        """One outcome per document: SAP posts and refuses the entries of a message independently.

        A document that SAP would not store as we mean it is refused here, unsent. Raises NotSentError, or
        UncertainOutcomeError when the outcome of any of them is not told.
        """
        outcomes: list[Receipt | Rejection] = []
        entries: dict[str, etree._Element] = {}
        for document in documents:
            try:
                entries[document.reference] = self._entry(document)
            except ValueError as error:
                outcomes.append(Rejection(document.reference, str(error), "not sent"))
        if entries:
            outcomes += _outcomes(self._send(entries.values()), list(entries))
        return outcomes

    def lock_date(self) -> date | None:
        """None: no released service tells the open periods. SAP refuses a posting into a closed one."""
        return None

    def _send(self, entries: Iterable[etree._Element]) -> requests.Response:
        message = etree.Element(f"{{{NAMESPACE}}}JournalEntryBulkCreateRequest", nsmap={"sfin": NAMESPACE})
        _message_header(message, f"C4-{uuid.uuid4().hex}")
        message.extend(list(entries))
        return self._client.send_once(
            "POST",
            POST_PATH,
            params={"sap-language": self._language},
            headers={
                "Content-Type": "text/xml; charset=utf-8",
                "Accept": "text/xml",
                "SOAPAction": f'"{ACTION}"',
            },
            data=envelope(message),
        )

    def _entry(self, document: JournalDocument) -> etree._Element:
        """The entry in the sequence of the published schema. Raises ValueError, with words for a person."""
        if len(document.lines) > MAX_LINES:
            # Two documents would need two references: which of them is "the" journal could then not be told.
            raise ValueError(f"{len(document.lines)} lines; SAP takes at most {MAX_LINES} in one document")
        request = etree.Element("JournalEntryCreateRequest")
        _message_header(request, document.reference)
        entry = etree.SubElement(request, "JournalEntry")
        day = f"{document.business_date:%Y%m%d}"
        readable = f"{document.journal_type}-{day}-{document.outlet_id or document.entity_id}"
        _add(entry, "OriginalReferenceDocumentType", "BKPFF")
        _add(entry, "BusinessTransactionType", "RFBU")
        _add(entry, "AccountingDocumentType", self._document_type)
        _add(entry, "DocumentReferenceID", document.reference)
        _add(entry, "DocumentHeaderText", _text(document.narration or document.document_key, 25))
        _add(entry, "CreatedByUser", self._user)
        _add(entry, "CompanyCode", self._company_code)
        _add(entry, "DocumentDate", document.business_date.isoformat())
        _add(entry, "PostingDate", document.posting_date.isoformat())
        _add(entry, "Reference1InDocumentHeader", _text(readable, 20).upper())
        _add(entry, "Reference2InDocumentHeader", f"V{document.version} {document.kind}"[:20].upper())
        for line in document.lines:
            self._item(entry, document, line)
        return request

    def _item(self, entry: etree._Element, document: JournalDocument, line: JournalLine) -> None:
        account = _padded(line.target_account)
        item = etree.SubElement(entry, "Item")
        _add(item, "ReferenceDocumentItem", str(line.line_no))
        _add(item, "GLAccount", account)
        amount = _add(item, "AmountInTransactionCurrency", format(line.amount.normalize(), "f"))
        amount.set("currencyCode", document.currency)
        _add(item, "DebitCreditCode", "S" if line.amount > 0 else "H")
        _add(item, "DocumentItemText", _text(line.memo, 50))
        _add(item, "AssignmentReference", document.reference)  # ledger lines show no header reference
        if account in self._profit_and_loss:
            if document.outlet_id and not document.cost_center:
                raise ValueError(f"outlet {document.outlet_id} has no cost centre in outlets.csv")
            if document.cost_center:
                _add(etree.SubElement(item, "AccountAssignment"), "CostCenter", _padded(document.cost_center))

    @cached_property
    def _profit_and_loss(self) -> frozenset[str]:
        """The accounts that take a cost centre: SAP refuses one on a balance sheet account."""
        where = f"ChartOfAccounts eq {literal(self._chart)} and IsProfitLossAccount eq true"
        try:
            rows = self._read(ACCOUNTS, _AccountKind, ("gl_account",), where)
            return frozenset(_padded(row.gl_account) for row in rows)
        except ApiError as error:
            raise NotSentError(f"the chart of accounts could not be read: {error}") from error

    def _read(self, path: str, record: type[T], key: Sequence[str], where: str) -> Iterator[T]:
        parameters = query(record, key, where) | {"sap-language": self._language}
        return read(self._client, f"{ODATA}/{path}", record, parameters)


def _outcomes(answer: requests.Response, references: Sequence[str]) -> Iterator[Receipt | Rejection]:
    """What became of each reference. The status of the answer says nothing: refusals come with HTTP 200."""
    if answer.status_code >= 400:
        raise NotSentError(f"answered {answer.status_code}")
    try:
        message = opened(answer.content)
    except ValueError as error:
        raise UncertainOutcomeError(f"the answer ({answer.status_code}) cannot be read: {error}") from error
    told = {
        confirmation.findtext("MessageHeader/ReferenceID", "").strip(): confirmation
        for confirmation in message.findall("JournalEntryCreateConfirmation")
    }
    if missing := [reference for reference in references if reference not in told]:
        raise UncertainOutcomeError(f"the answer ({answer.status_code}) does not tell of {', '.join(missing)}")
    for reference in references:
        yield _outcome(reference, told[reference])


def _outcome(reference: str, confirmation: etree._Element) -> Receipt | Rejection:
    entry = "JournalEntryCreateConfirmation"
    number = confirmation.findtext(f"{entry}/AccountingDocument", "").strip()
    if number.strip("0"):
        company_code = confirmation.findtext(f"{entry}/CompanyCode", "").strip()
        return Receipt(
            reference, _external_id(number, company_code, confirmation.findtext(f"{entry}/FiscalYear", "").strip())
        )
    notes = [
        (item.findtext("TypeID", ""), item.findtext("Note", ""))
        for item in confirmation.findall("Log/Item")
        if item.findtext("SeverityCode", ERROR) == ERROR
    ]
    causes = [note for note in notes if note[0] != ERROR_IN_DOCUMENT] or notes or [("", "refused without a reason")]
    return Rejection(reference, "; ".join(note for _, note in causes), causes[0][0])


def _message_header(parent: etree._Element, message_id: str) -> None:
    header = etree.SubElement(parent, "MessageHeader")
    _add(header, "ID", message_id)
    _add(header, "CreationDateTime", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")


def _add(parent: etree._Element, name: str, text: str) -> etree._Element:
    element = etree.SubElement(parent, name)
    element.text = text
    return element


def _external_id(document: str, company_code: str, fiscal_year: str) -> str:
    """SAP's own object key: document (10), company code (4), fiscal year (4)."""
    return f"{document}{company_code}{fiscal_year}"


def _padded(code: str) -> str:
    """A code as SAP stores it: numbers with leading zeros to ten places."""
    return code.zfill(10) if code.isdecimal() else code


def _text(text: str, limit: int) -> str:
    """One line of printable characters, cut to SAP's length."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:limit].rstrip()


def _chunks(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
