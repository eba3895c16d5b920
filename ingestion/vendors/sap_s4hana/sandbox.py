"""A local SAP S/4HANA system over the simulated company: the company code of the entity whose books are in SAP.

Written from SAP's published interface descriptions alone (WSDL of "Journal Entry - Post", EDMX and OpenAPI files of
the read services), its documentation of OData V2, and, for the plan service and message texts, public clients. Its
manners on purpose: Atom unless JSON is asked for, numbers as strings, rows of analytical services added up over what
is not selected, a second ledger and a second language that a filter must keep out, no stable order without
`$orderby`, refusals of postings inside HTTP 200, and no duplicate check.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from lxml import etree

from ingestion.sandbox.clock import Clock
from ingestion.sandbox.model import SimAccount, SimOutlet, SimStockMovement
from ingestion.sandbox.server import Request, Response, Sandbox, json_response

if TYPE_CHECKING:
    from ingestion.sandbox.company import Company

USER, PASSWORD = "C4_INTEGRATION", "c4-sandbox-sap-password"
COMPANY_CODE, CONTROLLING_AREA, CHART = "1010", "A000", "YCOA"
LEADING_LEDGER, LOCAL_LEDGER = "0L", "2L"
PLAN, FORECAST = "PLN", "FCST01"
SYSTEM_ZONE = ZoneInfo("Asia/Jakarta")
FOREVER = date(9999, 12, 31)
OUR_PREFIX = "C4"
ODATA_ROOT = "/sap/opu/odata/sap/"
POST_PATH = "/sap/bc/srt/scs_ext/sap/journalentrycreaterequestconfi"
SFIN = "http://sap.com/xi/SAPSCORE/SFIN"
ACTION = f"{SFIN}/JournalEntryCreateRequestConfirmation_In/JournalEntryCreateRequestConfirmation_InRequest"
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
WHOLE_CURRENCIES = ("IDR", "JPY")  # no decimals in SAP's table of currencies
MOVEMENTS = {"receipt": ("101", "01", "S"), "issue": ("201", "03", "H"), "waste": ("551", "03", "H")}

Row = dict[str, Any]


# The ledger


@dataclass(frozen=True, slots=True)
class Item:
    """A line of a document; debit positive, account of ten digits."""

    number: int
    account: str
    amount: Decimal
    cost_center: str = ""
    text: str = ""
    assignment: str = ""


@dataclass(slots=True)
class Document:
    number: str
    kind: str  # document type
    reference: str
    posting_date: date
    document_date: date
    created_at: datetime
    items: tuple[Item, ...]
    currency: str
    origin: str = "BKPFF"
    header_text: str = ""
    reference1: str = ""
    reference2: str = ""
    is_reversal: bool = False
    reversed_at: datetime | None = None

    @property
    def is_live(self) -> bool:
        return not self.is_reversal and self.reversed_at is None


class Refused(Exception):
    """A posting is not accepted; `notes` are (message, text), causes only."""

    def __init__(self, *notes: tuple[str, str]) -> None:
        super().__init__("; ".join(text for _, text in notes))
        self.notes = notes


class BadRequest(Exception):
    """An OData request that the service does not take."""

    def __init__(self, message: str, status: int = 400, code: str = "/IWBEP/CM_MGW_RT/022") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True)
class EntitySet:
    """An entity set: its key, the EDM type of each property, its rows as Python values.

    `rows` is given the values that the filter wants of the property `index`, or None when it may want any.
    """

    key: tuple[str, ...]
    types: Mapping[str, str]
    rows: Callable[[frozenset[str] | None], list[Row]]
    aggregate: bool = False  # rows are added up over the properties that are not selected
    lists: tuple[str, ...] = ()  # navigation properties that can be expanded
    index: str = ""


class SapSandbox(Sandbox):
    """`page_limit` makes the read services page by themselves, with `__next`."""

    vendor = "sap-s4hana"
    kept = ("_posted", "_by_reference", "_closed_periods")
    page_limit: int | None = None

    def __init__(self, company: Company, clock: Clock) -> None:
        super().__init__(company, clock)
        self._entity = next(
            (
                entity
                for entity in company.config.entities
                if entity.target and company.config.integration(entity.target).vendor == self.vendor
            ),
            company.config.entities[0],
        )
        self._outlets = [
            outlet
            for outlet in company.outlets
            if outlet.entity.entity_id == self._entity.entity_id and outlet.cost_center
        ]
        self._posted: list[Document] = []
        self._by_reference: dict[str, list[Document]] = defaultdict(list)
        self._changes = 0
        self._closed_periods: set[tuple[int, int]] = set()
        self._listings: dict[str, tuple[Any, list[Row]]] = {}  # the last one of each entity set, for its next page
        self._unordered = 0
        self._rehearse()

    def credentials(self) -> dict[str, str]:
        return {"username": USER, "password": PASSWORD}

    def settings(self, base_url: str) -> dict[str, str]:
        return {
            "base_url": base_url,
            "company_code": COMPANY_CODE,
            "controlling_area": CONTROLLING_AREA,
            "chart_of_accounts": CHART,
            "ledger": LEADING_LEDGER,
            "plan_category": PLAN,
            "language": "EN",
        }

    def outlets(self) -> dict[str, str]:
        """Money knows an outlet as a cost centre, stock as a plant."""
        by_cost_center = {outlet.cost_center: outlet.outlet_id for outlet in self._outlets}
        return by_cost_center | {_plant(outlet): outlet.outlet_id for outlet in self._outlets}

    def handle(self, request: Request) -> Response:
        if not _authorized(request):
            return Response(401, b"", "text/html", {"WWW-Authenticate": 'Basic realm="SAP NetWeaver"'})
        if request.path == POST_PATH:
            return self._receive(request)
        try:
            return self._read(request)
        except BadRequest as error:
            message = {"lang": "en", "value": str(error)}
            return json_response({"error": {"code": error.code, "message": message, "innererror": {}}}, error.status)

    # What tests ask and do

    def live_documents(self) -> dict[str, list[Document]]:
        """Our documents that count, by reference; one that was reversed and its reversal do not."""
        found: dict[str, list[Document]] = {}
        with self.lock:
            for document in self._posted:
                if document.reference.startswith(OUR_PREFIX) and document.is_live:
                    found.setdefault(document.reference, []).append(document)
        return found

    def balances(self) -> dict[str, Decimal]:
        """What our live documents leave on each account (without leading zeros), debit positive."""
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for documents in self.live_documents().values():
            for document in documents:
                for item in document.items:
                    sums[item.account.lstrip("0")] += item.amount
        return dict(sums)

    def lock_period(self, day: date) -> None:
        """Close the posting period of a date."""
        with self.lock:
            self._closed_periods.add((day.year, day.month))

    def reverse(self, reference: str) -> None:
        """A person reverses our documents of a reference in SAP, today. Each reversal keeps the reference."""
        now = self.clock.now()
        for document in self.live_documents().get(reference, []):
            self._reverse(document, now)

    def _reverse(self, document: Document, at: datetime) -> None:
        with self.lock:
            document.reversed_at = at
            items = tuple(replace(item, amount=-item.amount) for item in document.items)
            self._keep(
                Document(
                    self._next_number(),
                    document.kind,
                    document.reference,
                    posting_date=document.posting_date,
                    document_date=document.document_date,
                    created_at=at,
                    items=items,
                    currency=document.currency,
                    origin="BKPF",
                    is_reversal=True,
                )
            )

    def _rehearse(self) -> None:
        """The go-live rehearsal: one of our journals posted and reversed by hand on the first day."""
        if not self._outlets:
            return
        day = self.company.start
        at = datetime.combine(day, time(3), UTC)
        reference, text = "C4REHEARSAL00001", "Go-live rehearsal"
        cost_center = self._outlets[0].cost_center
        document = Document(
            self._next_number(),
            "SA",
            reference,
            posting_date=day,
            document_date=day,
            created_at=at,
            items=(
                Item(1, _account("1020"), Decimal(1000), text=text, assignment=reference),
                Item(2, _account("4010"), Decimal(-1000), cost_center, text, reference),
            ),
            currency=self._entity.currency,
            header_text=text,
        )
        self._keep(document)
        self._reverse(document, at + timedelta(hours=1))

    def _keep(self, document: Document) -> None:
        self._posted.append(document)
        self._by_reference[document.reference].append(document)
        self._changes += 1

    def _next_number(self) -> str:
        return f"{190000000 + len(self._posted):010d}"

    # Posting

    def _receive(self, request: Request) -> Response:
        if request.method != "POST":
            return Response(405, b"", "text/html")
        if not request.headers.get("Content-Type", "").startswith("text/xml"):
            return Response(415, b"", "text/html")
        try:
            if request.headers.get("SOAPAction", "").strip('"') != ACTION:
                raise ValueError("SOAPAction: unknown operation")
            message = _message(request.body)
            entries = message.findall("JournalEntryCreateRequest")
        except ValueError as error:
            return _fault(str(error))
        now = self.clock.now()
        confirmation = etree.Element(f"{{{SFIN}}}JournalEntryBulkCreateConfirmation", nsmap={"n0": SFIN})
        _answer_header(confirmation, message, now)
        worst = "1"
        with self.lock:
            for entry in entries:
                part = etree.SubElement(confirmation, "JournalEntryCreateConfirmation")
                _answer_header(part, entry, now)
                try:
                    document = self._post(entry.find("JournalEntry"), now)
                except Refused as refused:
                    worst = "3"
                    notes = [("609(RW)", "Error in document: BKPFF $ C4SANDBOX"), *refused.notes]
                    _result(part, "0000000000", "0000", "3", notes)
                else:
                    key = f"{document.number}{COMPANY_CODE}{document.posting_date.year}"
                    note = ("605(RW)", f"Document posted successfully: BKPFF {key} C4SANDBOX")
                    _result(part, document.number, str(document.posting_date.year), "1", [note])
        log = etree.SubElement(confirmation, "Log")
        _add(log, "MaximumLogItemSeverityCode", worst)
        return Response(200, _soap(confirmation), "text/xml; charset=utf-8")

    def _post(self, entry: Any, now: datetime) -> Document:
        """Raises Refused. Messages: F5 accounting, KI cost accounting; their numbers as public clients report them."""
        if entry.findtext("CompanyCode") != COMPANY_CODE:
            raise Refused(("165(F5)", f"Company code {entry.findtext('CompanyCode')} is not defined"))
        if entry.findtext("AccountingDocumentType") != "SA":
            raise Refused(("814(F5)", f"Document type {entry.findtext('AccountingDocumentType')} is not defined"))
        posting_date = date.fromisoformat(entry.findtext("PostingDate"))
        if (posting_date.year, posting_date.month) in self._closed_periods:
            period = f"{posting_date:%m} {posting_date:%Y}"
            raise Refused(("201(F5)", f"Posting period 0{period} is not open"))
        elements = entry.findall("Item")
        if not 2 <= len(elements) <= 999:
            raise Refused(("727(F5)", f"A document has 2 to 999 line items, this one {len(elements)}"))
        numbers = [element.findtext("ReferenceDocumentItem") for element in elements]
        if len(set(numbers)) != len(numbers):
            raise Refused(("000(RW)", "The reference document item is not unique"))
        notes: list[tuple[str, str]] = []
        items = tuple(
            self._item(position, element, posting_date, notes) for position, element in enumerate(elements, start=1)
        )
        balance = sum((item.amount for item in items), Decimal(0))
        if balance:
            notes.append(("702(F5)", f"Balance in transaction currency: {balance} {self._entity.currency}"))
        if notes:
            raise Refused(*notes)
        document = Document(
            self._next_number(),
            "SA",
            entry.findtext("DocumentReferenceID", "").upper(),
            posting_date=posting_date,
            document_date=date.fromisoformat(entry.findtext("DocumentDate")),
            created_at=now,
            items=items,
            currency=self._entity.currency,
            header_text=entry.findtext("DocumentHeaderText", ""),
            reference1=entry.findtext("Reference1InDocumentHeader", "").upper(),
            reference2=entry.findtext("Reference2InDocumentHeader", "").upper(),
        )
        self._keep(document)
        return document

    def _item(self, position: int, element: Any, on: date, notes: list[tuple[str, str]]) -> Item:
        number = element.findtext("GLAccount")
        amount_element = element.find("AmountInTransactionCurrency")
        amount = Decimal(amount_element.text)
        currency = amount_element.get("currencyCode")
        cost_center = element.findtext("AccountAssignment/CostCenter", "")
        account = self._accounts.get(number)
        if account is None:
            notes.append(("507(F5)", f"Account {number} is not in the chart of accounts {CHART}"))
        elif account.statement == "PL" and not cost_center:
            notes.append(("235(KI)", f"Account {number} requires an assignment to a CO object"))
        elif account.statement == "BS" and cost_center:
            notes.append(("280(KI)", f"Account {number} takes no assignment to a CO object"))
        if cost_center and cost_center not in self._centers:
            day = f"{on:%d.%m.%Y}"
            notes.append(("265(KI)", f"Cost center {CONTROLLING_AREA}/{cost_center} does not exist on {day}"))
        if currency != self._entity.currency:
            notes.append(("105(SG)", f"Enter rate {currency} / {self._entity.currency} rate type M for {on:%d.%m.%Y}"))
        elif currency in WHOLE_CURRENCIES and amount != amount.to_integral_value():
            notes.append(("000(F5)", f"Amount {amount} has more decimals than currency {currency} allows"))
        sign = element.findtext("DebitCreditCode", "S" if amount > 0 else "H")
        if sign != ("S" if amount > 0 else "H"):
            notes.append(("000(RW)", f"Amount {amount} does not agree with the debit/credit code {sign}"))
        return Item(
            position,
            number,
            amount,
            cost_center,
            element.findtext("DocumentItemText", ""),
            element.findtext("AssignmentReference", ""),
        )

    # Reading

    def _read(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            raise BadRequest("Method not allowed", 405)
        path, _, count = request.path.removeprefix(ODATA_ROOT).partition("/$count")
        entity = self._entity_sets.get(path) if request.path.startswith(ODATA_ROOT) else None
        if entity is None or count:
            raise BadRequest("Resource not found for segment", 404, "/IWBEP/CM_MGW_RT/020")
        selected = [name for name in request.arg("$select").split(",") if name] or [*entity.types, *entity.lists]
        if unknown := [name for name in selected if name not in entity.types and name not in entity.lists]:
            raise BadRequest(f"Property {unknown[0]} not found in type {path}")
        rows = self._listing(path, entity, request.arg("$filter"), request.arg("$orderby"), selected)
        if request.path.endswith("/$count"):
            return Response(200, str(len(rows)).encode(), "text/plain")
        if "json" not in request.headers.get("Accept", "") and request.arg("$format") != "json":
            feed = b'<?xml version="1.0" encoding="utf-8"?><feed xmlns="http://www.w3.org/2005/Atom"/>'
            return Response(200, feed, "application/atom+xml;type=feed;charset=utf-8")
        return self._page(request, path, rows, selected, entity)

    def _listing(self, path: str, entity: EntitySet, where: str, orderby: str, selected: list[str]) -> list[Row]:
        """The rows of all pages; kept until something changes, for the next page asks for them again."""
        added_up = entity.aggregate and "ID" not in selected
        question = (where, orderby, tuple(selected) if added_up else (), self.clock.now(), self._changes)
        kept = self._listings.get(path)
        if orderby and kept is not None and kept[0] == question:
            return kept[1]
        condition = _Filter(where, entity).parse() if where else Condition(lambda _: True)
        rows = [row for row in entity.rows(condition.wanted) if condition.accepts(row)]
        if added_up:
            rows = _added_up(rows, selected, entity)
        rows = self._ordered(rows, orderby, selected if added_up else entity.types)
        self._listings[path] = (question, rows)
        return rows

    def _page(self, request: Request, path: str, rows: list[Row], selected: list[str], entity: EntitySet) -> Response:
        skip = int(request.arg("$skiptoken") or request.arg("$skip", "0"))
        end = min(skip + int(request.arg("$top", str(len(rows)))), len(rows))
        limit = self.page_limit or len(rows)
        host = f"https://{request.headers.get('Host', 'sap')}"
        uri = f"{host}{ODATA_ROOT}{path}"
        body: Row = {}
        if request.arg("$inlinecount") == "allpages":
            body["__count"] = str(len(rows))
        expanded = request.arg("$expand").split(",")
        body["results"] = [
            _rendered(row, selected, expanded, entity, uri) for row in rows[skip : min(end, skip + limit)]
        ]
        if skip + limit < end:
            rest = {name: values[0] for name, values in request.query.items() if name not in ("$skip", "$skiptoken")}
            rest |= {"$skiptoken": str(skip + limit)}
            if "$top" in rest:
                rest["$top"] = str(end - skip - limit)
            body["__next"] = f"{uri.replace(host, 'https://internal.sap.example:44300')}?{urlencode(rest)}"
        return json_response({"d": body})

    def _ordered(self, rows: list[Row], orderby: str, properties: Collection[str]) -> list[Row]:
        """Sorted as asked; without an order, another one every time."""
        names = [part.strip().split(" ") for part in orderby.split(",") if part.strip()]
        if not names:
            with self.lock:
                self._unordered += 1
            turn = self._unordered % (len(rows) or 1)
            return rows[turn:] + rows[:turn]
        for name, *direction in reversed(names):
            if name not in properties:
                raise BadRequest(f"Property {name} not found in $orderby")
            rows = sorted(
                rows,
                key=lambda row, name=name: (row[name] is not None, row[name]),  # type: ignore[misc]
                reverse=direction == ["desc"],
            )
        return rows

    @cached_property
    def _entity_sets(self) -> dict[str, EntitySet]:
        chart = "API_GLACCOUNTINCHARTOFACCOUNTS_SRV/"
        return {
            "API_COMPANYCODE_SRV/A_CompanyCode": _entity_set(
                ("CompanyCode",),
                "CompanyCode CompanyCodeName Country Currency Language ChartOfAccounts FiscalYearVariant"
                " ControllingArea",
                self._company_codes,
            ),
            f"{chart}A_GLAccountInChartOfAccounts": _entity_set(
                ("ChartOfAccounts", "GLAccount"),
                "ChartOfAccounts GLAccount GLAccountType GLAccountGroup IsBalanceSheetAccount:boolean"
                " IsProfitLossAccount:boolean AccountIsMarkedForDeletion:boolean AccountIsBlockedForPosting:boolean"
                " LastChangeDateTime:instant",
                self._gl_accounts,
            ),
            f"{chart}A_GLAccountText": _entity_set(
                ("ChartOfAccounts", "GLAccount", "Language"),
                "ChartOfAccounts GLAccount Language GLAccountName GLAccountLongName",
                self._gl_account_texts,
            ),
            "API_COSTCENTER_SRV/A_CostCenter": _entity_set(
                ("ControllingArea", "CostCenter", "ValidityEndDate"),
                "ControllingArea CostCenter ValidityEndDate:date ValidityStartDate:date CompanyCode ProfitCenter"
                " CostCenterCategory CostCenterCurrency IsBlkdForPrimaryCostsPosting",
                self._cost_centers,
            ),
            "API_COSTCENTER_SRV/A_CostCenterText": _entity_set(
                ("CostCenter", "ControllingArea", "Language", "ValidityEndDate"),
                "CostCenter ControllingArea Language ValidityEndDate:date ValidityStartDate:date CostCenterName"
                " CostCenterDescription",
                self._cost_center_texts,
            ),
            "API_BUSINESS_PARTNER/A_Supplier": _entity_set(
                ("Supplier",),
                "Supplier SupplierName SupplierFullName SupplierAccountGroup IsNaturalPerson TaxNumber1"
                " CreationDate:date"
                " PaymentIsBlockedForSupplier:boolean PostingIsBlocked:boolean DeletionIndicator:boolean",
                self._suppliers,
            ),
            "API_FINPLANNINGENTRYITEM_SRV/A_FinPlanningEntryItem": _entity_set(
                ("ID",),
                "ID Ledger PlanningCategory CompanyCode GLAccount CostCenter ProfitCenter LedgerFiscalYear FiscalPeriod"
                " FiscalYearPeriod CompanyCodeCurrency AmountInCompanyCodeCurrency:decimal",
                lambda: self._plan,
                aggregate=True,
            ),
            "API_GLACCOUNTLINEITEM/GLAccountLineItem": _entity_set(
                ("ID",),
                "ID SourceLedger CompanyCode FiscalYear AccountingDocument LedgerGLLineItem Ledger ChartOfAccounts"
                " GLAccount CostCenter ProfitCenter PostingDate:date DocumentDate:date FiscalPeriod FiscalYearPeriod"
                " AccountingDocumentType AccountingDocumentItem ReferenceDocumentType DebitCreditCode"
                " CompanyCodeCurrency AmountInCompanyCodeCurrency:decimal TransactionCurrency"
                " AmountInTransactionCurrency:decimal DocumentItemText AssignmentReference IsReversal:boolean"
                " IsReversed:boolean CreationDateTime:instant LastChangeDateTime:instant",
                self._ledger_rows,
                aggregate=True,
            ),
            "API_MATERIAL_DOCUMENT_SRV/A_MaterialDocumentHeader": _entity_set(
                ("MaterialDocumentYear", "MaterialDocument"),
                "MaterialDocumentYear MaterialDocument InventoryTransactionType DocumentDate:date PostingDate:date"
                " CreationDate:date CreationTime:time MaterialDocumentHeaderText ReferenceDocument GoodsMovementCode",
                self._material_documents,
                lists=("to_MaterialDocumentItem",),
            ),
            "API_OPLACCTGDOCITEMCUBE_SRV/A_OperationalAcctgDocItemCube": _indexed(
                "DocumentReferenceID",
                ("CompanyCode", "FiscalYear", "AccountingDocument", "AccountingDocumentItem"),
                "CompanyCode FiscalYear AccountingDocument AccountingDocumentItem FinancialAccountType DebitCreditCode"
                " GLAccount CostCenter PostingDate:date DocumentDate:date FiscalPeriod AccountingDocumentType"
                " DocumentReferenceID AccountingDocumentHeaderText Reference1InDocumentHeader"
                " Reference2InDocumentHeader AssignmentReference DocumentItemText CompanyCodeCurrency"
                " AmountInCompanyCodeCurrency:decimal TransactionCurrency AmountInTransactionCurrency:decimal"
                " IsReversal:boolean IsReversed:boolean AccountingDocumentCreationDate:date LastChangeDate:date",
                self._document_items,
            ),
        }

    # The company in SAP's words

    @cached_property
    def _accounts(self) -> dict[str, SimAccount]:
        return {_account(account.code): account for account in self.company.accounts}

    @cached_property
    def _centers(self) -> frozenset[str]:
        return frozenset(outlet.cost_center for outlet in self._outlets)

    def _company_codes(self) -> list[Row]:
        return [
            {
                "CompanyCode": code,
                "CompanyCodeName": name[:25],
                "Country": "ID",
                "Currency": self._entity.currency,
                "Language": "EN",
                "ChartOfAccounts": CHART,
                "FiscalYearVariant": "K4",
                "ControllingArea": CONTROLLING_AREA,
            }
            for code, name in ((COMPANY_CODE, self._entity.name), ("9010", "Dormant holding"))
        ]

    def _gl_accounts(self) -> list[Row]:
        return [
            {
                "ChartOfAccounts": CHART,
                "GLAccount": number,
                "IsBalanceSheetAccount": account.statement == "BS",
                "IsProfitLossAccount": account.statement == "PL",
                "GLAccountType": "X" if account.statement == "BS" else "P",
                "GLAccountGroup": "SAKO" if account.statement == "BS" else "ERG.",
                "AccountIsMarkedForDeletion": False,
                "AccountIsBlockedForPosting": False,
                "LastChangeDateTime": datetime(2019, 12, 2, 1, 30, tzinfo=UTC),
            }
            for number, account in self._accounts.items()
        ]

    def _gl_account_texts(self) -> list[Row]:
        return [
            {
                "ChartOfAccounts": CHART,
                "GLAccount": number,
                "Language": language,
                "GLAccountName": f"{prefix}{account.name}"[:20],
                "GLAccountLongName": f"{prefix}{account.name}"[:50],
            }
            for number, account in self._accounts.items()
            for language, prefix in (("EN", ""), ("ID", "Akun "))
        ]

    def _validities(self) -> Iterable[tuple[SimOutlet, str, date, date]]:
        """Cost centres with name and validity; the first one was renamed once."""
        for position, outlet in enumerate(self._outlets):
            if position == 0:
                yield outlet, f"Kiosk {outlet.city}", date(2015, 1, 1), date(2017, 12, 31)
            yield outlet, outlet.name, date(2018, 1, 1), FOREVER

    def _cost_centers(self) -> list[Row]:
        return [
            {
                "ControllingArea": CONTROLLING_AREA,
                "CostCenter": outlet.cost_center,
                "ValidityEndDate": end,
                "ValidityStartDate": start,
                "CompanyCode": COMPANY_CODE,
                "ProfitCenter": _profit_center(outlet),
                "CostCenterCategory": "F",
                "CostCenterCurrency": self._entity.currency,
                "IsBlkdForPrimaryCostsPosting": "",
            }
            for outlet, _, start, end in self._validities()
        ]

    def _cost_center_texts(self) -> list[Row]:
        return [
            {
                "CostCenter": outlet.cost_center,
                "ControllingArea": CONTROLLING_AREA,
                "Language": language,
                "ValidityEndDate": end,
                "ValidityStartDate": start,
                "CostCenterName": f"{prefix}{name}"[:20],
                "CostCenterDescription": f"{prefix}{name}"[:40],
            }
            for outlet, name, start, end in self._validities()
            for language, prefix in (("EN", ""), ("ID", "Gerai "))
        ]

    def _suppliers(self) -> list[Row]:
        """A sole proprietor ("UD") is a natural person."""
        return [
            {
                "Supplier": _supplier(supplier.number),
                "SupplierName": supplier.name,
                "SupplierFullName": supplier.name,
                "SupplierAccountGroup": "SUPL",
                "IsNaturalPerson": "X" if supplier.name.startswith("UD ") else "",
                "TaxNumber1": f"01.234.567.{supplier.number}-012.000"[:16],
                "CreationDate": date(2019, 12, 2),
                "PaymentIsBlockedForSupplier": False,
                "PostingIsBlocked": False,
                "DeletionIndicator": False,
            }
            for supplier in self.company.suppliers
        ]

    @cached_property
    def _plan(self) -> list[Row]:
        """The budget, signed like actuals; and a forecast that nobody asked for."""
        own = {outlet.outlet_id for outlet in self._outlets}
        rows = []
        for number, budget in enumerate(b for b in self.company.budgets() if b.outlet.outlet_id in own):
            for category, amount in ((PLAN, budget.amount), (FORECAST, budget.amount + 1000)):
                rows.append(
                    {
                        "ID": f"{category}.{number}",
                        "Ledger": LEADING_LEDGER,
                        "PlanningCategory": category,
                        "CompanyCode": COMPANY_CODE,
                        "GLAccount": _account(budget.account.code),
                        "CostCenter": budget.outlet.cost_center,
                        "ProfitCenter": _profit_center(budget.outlet),
                        "LedgerFiscalYear": f"{budget.month:%Y}",
                        "FiscalPeriod": f"0{budget.month:%m}",
                        "FiscalYearPeriod": f"{budget.month:%Y}0{budget.month:%m}",
                        "CompanyCodeCurrency": self._entity.currency,
                        "AmountInCompanyCodeCurrency": -amount if budget.account.normal_side == "C" else amount,
                    }
                )
        return rows

    @cached_property
    def _human_documents(self) -> list[Document]:
        """What people posted, numbered in the order of entry."""
        lines = [line for line in self.company.ledger_lines() if line.entity.entity_id == self._entity.entity_id]
        grouped = [
            (max(line.known_at for line in group), name, group)
            for name, found in groupby(sorted(lines, key=lambda line: line.document), key=lambda line: line.document)
            for group in [sorted(found, key=lambda line: line.line_no)]
        ]
        return [
            Document(
                f"{100000000 + number:010d}",
                "SA",
                name[:16].upper(),
                posting_date=group[0].posting_date,
                document_date=group[0].posting_date,
                created_at=known_at,
                items=tuple(
                    Item(
                        line.line_no,
                        _account(line.account.code),
                        line.amount,
                        line.outlet.cost_center if line.account.statement == "PL" else "",
                        line.text[:50],
                    )
                    for line in group
                ),
                currency=self._entity.currency,
                origin="BKPF",
                header_text=group[0].text[:25],
            )
            for number, (known_at, name, group) in enumerate(sorted(grouped, key=lambda found: found[:2]))
        ]

    def _documents(self, references: frozenset[str] | None = None) -> list[Document]:
        """Every document (of some references) that is known at the clock."""
        now = self.clock.now()
        with self.lock:
            if references is None:
                found = [*self._human_documents, *self._posted]
            else:
                found = [document for document in self._human_documents if document.reference in references]
                found += [document for name in references for document in self._by_reference.get(name, ())]
        return [document for document in found if document.created_at <= now]

    def _ledger_rows(self) -> list[Row]:
        return [
            {
                "ID": f"{document.number}.{item.number}.{ledger}",
                "SourceLedger": ledger,
                "Ledger": ledger,
                "ChartOfAccounts": CHART,
                "LedgerGLLineItem": f"{item.number:06d}",
                "ProfitCenter": "",
                "FiscalYearPeriod": f"{document.posting_date:%Y}0{document.posting_date:%m}",
                "ReferenceDocumentType": document.origin,
                "CreationDateTime": document.created_at,
                "LastChangeDateTime": document.reversed_at or document.created_at,
                **self._line(document, item),
            }
            for document in self._documents()
            for item in document.items
            for ledger in (LEADING_LEDGER, LOCAL_LEDGER)
        ]

    def _document_items(self, references: frozenset[str] | None) -> list[Row]:
        return [
            {
                "FinancialAccountType": "S",
                "DocumentReferenceID": document.reference,
                "AccountingDocumentHeaderText": document.header_text,
                "Reference1InDocumentHeader": document.reference1,
                "Reference2InDocumentHeader": document.reference2,
                "AccountingDocumentCreationDate": _local(document.created_at).date(),
                "LastChangeDate": _local(document.reversed_at).date() if document.reversed_at else None,
                **self._line(document, item),
            }
            for document in self._documents(references)
            for item in document.items
        ]

    def _line(self, document: Document, item: Item) -> Row:
        return {
            "CompanyCode": COMPANY_CODE,
            "FiscalYear": f"{document.posting_date:%Y}",
            "AccountingDocument": document.number,
            "AccountingDocumentItem": f"{item.number:03d}",
            "GLAccount": item.account,
            "CostCenter": item.cost_center,
            "PostingDate": document.posting_date,
            "DocumentDate": document.document_date,
            "FiscalPeriod": f"0{document.posting_date:%m}",
            "AccountingDocumentType": document.kind,
            "DebitCreditCode": "S" if item.amount > 0 else "H",
            "CompanyCodeCurrency": document.currency,
            "AmountInCompanyCodeCurrency": item.amount,
            "TransactionCurrency": document.currency,
            "AmountInTransactionCurrency": item.amount,
            "DocumentItemText": item.text,
            "AssignmentReference": item.assignment,
            "IsReversal": document.is_reversal,
            "IsReversed": document.reversed_at is not None,
        }

    @cached_property
    def _stock(self) -> list[tuple[datetime, list[SimStockMovement]]]:
        """Movements by document, in the order in which they were entered."""
        own = {outlet.outlet_id for outlet in self._outlets}
        documents: dict[str, list[SimStockMovement]] = {}
        for movement in self.company.stock_movements():
            if movement.outlet.outlet_id in own:
                documents.setdefault(movement.document, []).append(movement)
        known = [(max(line.known_at for line in lines), name, lines) for name, lines in documents.items()]
        return [(at, lines) for at, _, lines in sorted(known, key=lambda found: found[:2])]

    def _material_documents(self) -> list[Row]:
        now = self.clock.now()
        rows = []
        for number, (at, lines) in enumerate(self._stock):
            if at > now:
                break
            first = lines[0]
            header: Row = {
                "MaterialDocumentYear": f"{first.posting_date:%Y}",
                "MaterialDocument": f"{4900000001 + number}",
                "InventoryTransactionType": "WE" if first.kind == "receipt" else "WA",
                "DocumentDate": first.posting_date,
                "PostingDate": first.posting_date,
                "CreationDate": _local(at).date(),
                "CreationTime": _local(at).time(),
                "MaterialDocumentHeaderText": "",
                "ReferenceDocument": first.document[:16],
                "GoodsMovementCode": MOVEMENTS[first.kind][1],
            }
            header["to_MaterialDocumentItem"] = [self._material_item(header, line, number) for line in lines]
            rows.append(header)
        return rows

    def _material_item(self, header: Row, line: SimStockMovement, number: int) -> Row:
        kind, _, sign = MOVEMENTS[line.kind]
        is_receipt = line.kind == "receipt"
        return {
            "MaterialDocumentYear": header["MaterialDocumentYear"],
            "MaterialDocument": header["MaterialDocument"],
            "MaterialDocumentItem": f"{line.line_no:04d}",
            "Material": line.material.upper().replace(" ", "-"),
            "Plant": _plant(line.outlet),
            "StorageLocation": "0001",
            "GoodsMovementType": kind,
            "Supplier": _supplier(line.supplier.number) if line.supplier else "",
            "PurchaseOrder": f"{4500000001 + number}" if is_receipt else "",
            "CostCenter": "" if is_receipt else line.outlet.cost_center,
            "GLAccount": _account({"receipt": "1410", "issue": "5010", "waste": "5080"}[line.kind]),
            "MaterialBaseUnit": line.unit,
            "QuantityInBaseUnit": line.quantity,
            "EntryUnit": line.unit,
            "QuantityInEntryUnit": line.quantity,
            "CompanyCodeCurrency": self._entity.currency,
            "GdsMvtExtAmtInCoCodeCrcy": line.amount,
            "GoodsMovementIsCancelled": False,
            "MaterialDocumentItemText": line.material[:50],
            "DebitCreditCode": sign,
        }


def _entity_set(
    key: tuple[str, ...],
    properties: str,
    rows: Callable[[], list[Row]],
    *,
    aggregate: bool = False,
    lists: tuple[str, ...] = (),
) -> EntitySet:
    pairs = (name.partition(":") for name in properties.split())
    return EntitySet(key, {name: kind or "text" for name, _, kind in pairs}, lambda _: rows(), aggregate, lists)


def _indexed(
    index: str, key: tuple[str, ...], properties: str, rows: Callable[[frozenset[str] | None], list[Row]]
) -> EntitySet:
    return replace(_entity_set(key, properties, list), rows=rows, index=index)


def _account(code: str) -> str:
    return code.zfill(10)


def _supplier(number: int) -> str:
    return f"{17300000 + number:010d}"


def _plant(outlet: SimOutlet) -> str:
    return f"{1000 + outlet.number:04d}"


def _profit_center(outlet: SimOutlet) -> str:
    return f"P{outlet.cost_center[1:]}"


def _local(at: datetime) -> datetime:
    return at.astimezone(SYSTEM_ZONE)


def _authorized(request: Request) -> bool:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    try:
        return scheme == "Basic" and base64.b64decode(token, validate=True).decode() == f"{USER}:{PASSWORD}"
    except (binascii.Error, UnicodeDecodeError):
        return False


# OData V2


def _rendered(row: Row, selected: list[str], expanded: list[str], entity: EntitySet, uri: str) -> Row:
    key = ",".join(f"{name}='{_value(row[name])}'" for name in entity.key if name in row)
    address = f"{uri}({key})"
    data: Row = {"__metadata": {"id": address, "uri": address, "type": uri.rsplit("/", 1)[-1] + "Type"}}
    for name in selected:
        if name not in entity.lists:
            data[name] = _value(row[name])
        elif name in expanded:
            data[name] = {"results": [{k: _value(v) for k, v in child.items()} for child in row[name]]}
        else:
            data[name] = {"__deferred": {"uri": f"{address}/{name}"}}
    return data


def _value(value: Any) -> Any:
    """A Python value as OData V2 writes it in JSON."""
    if isinstance(value, datetime):
        return f"/Date({int(value.timestamp() * 1000)}+0000)/"
    if isinstance(value, date):
        return f"/Date({(value - date(1970, 1, 1)).days * 86_400_000})/"
    if isinstance(value, time):
        return f"PT{value:%H}H{value:%M}M{value:%S}S"
    if isinstance(value, Decimal):
        return f"{value:.3f}"
    return value


def _added_up(rows: list[Row], selected: list[str], entity: EntitySet) -> list[Row]:
    dimensions = [name for name in selected if entity.types[name] != "decimal"]
    groups: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        group = tuple(row[name] for name in dimensions)
        if group not in groups:
            groups[group] = {name: row[name] for name in selected}
        else:
            for name in selected:
                if entity.types[name] == "decimal":
                    groups[group][name] += row[name]
    return list(groups.values())


_TOKEN = re.compile(
    r"\s*(?:datetime'(?P<date>[^']*)'|datetimeoffset'(?P<instant>[^']*)'|(?P<text>'(?:[^']|'')*')"
    r"|(?P<decimal>-?\d+(?:\.\d+)?)[MmLlDd]?|(?P<word>\w+)|(?P<mark>[(),]))"
)
_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": lambda left, right: left == right,
    "ne": lambda left, right: left != right,
    "ge": lambda left, right: left >= right,
    "gt": lambda left, right: left > right,
    "le": lambda left, right: left <= right,
    "lt": lambda left, right: left < right,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """What a filter accepts, and to which values of the indexed property that limits it (None: to none)."""

    accepts: Callable[[Row], bool]
    wanted: frozenset[str] | None = None


class _Filter:
    """`$filter`: comparisons, startswith and substringof, and, or, not, parentheses. Literals must fit the property."""

    def __init__(self, text: str, entity: EntitySet) -> None:
        self._entity = entity
        self._tokens: list[tuple[str, str]] = []
        position = 0
        while text[position:].strip():
            match = _TOKEN.match(text, position)
            if match is None or match.lastgroup is None:
                raise BadRequest(f"Invalid filter near {text[position : position + 20]!r}")
            self._tokens.append((match.lastgroup, match[match.lastgroup]))
            position = match.end()

    def parse(self) -> Condition:
        condition = self._either()
        if self._tokens:
            raise BadRequest(f"Invalid filter near {self._tokens[0][1]!r}")
        return condition

    def _either(self) -> Condition:
        options = [self._both()]
        while self._accept("word", "or"):
            options.append(self._both())
        if len(options) == 1:
            return options[0]
        tests = [option.accepts for option in options]
        limits = [option.wanted for option in options if option.wanted is not None]
        wanted = frozenset[str]().union(*limits) if len(limits) == len(options) else None
        return Condition(lambda row: any(test(row) for test in tests), wanted)

    def _both(self) -> Condition:
        parts = [self._one()]
        while self._accept("word", "and"):
            parts.append(self._one())
        tests = [part.accepts for part in parts]
        wanted = next((part.wanted for part in parts if part.wanted is not None), None)
        return Condition(lambda row: all(test(row) for test in tests), wanted)

    def _one(self) -> Condition:
        if self._accept("word", "not"):
            inner = self._one().accepts
            return Condition(lambda row: not inner(row))
        if self._accept("mark", "("):
            condition = self._either()
            self._expect("mark", ")")
            return condition
        name = self._expect("word")
        if name in ("startswith", "substringof"):
            return self._function(name)
        kind = self._kind(name)
        word = self._expect("word")
        operator = _OPERATORS.get(word)
        if operator is None:
            raise BadRequest(f"Invalid operator {word} after {name}")
        value = self._literal(kind)
        wanted = frozenset([value]) if word == "eq" and name == self._entity.index else None
        return Condition(lambda row: row[name] is not None and operator(row[name], value), wanted)

    def _function(self, function: str) -> Condition:
        self._expect("mark", "(")
        if function == "startswith":
            name = self._expect("word")
            self._expect("mark", ",")
            part = self._literal(self._kind(name))
        else:
            part = self._literal("text")
            self._expect("mark", ",")
            name = self._expect("word")
            self._kind(name)
        self._expect("mark", ")")
        wanted = self._literal("boolean") if self._accept("word", "eq") else True
        if function == "startswith":
            return Condition(lambda row: (row[name] or "").startswith(part) is wanted)
        return Condition(lambda row: (part in (row[name] or "")) is wanted)

    def _kind(self, name: str) -> str:
        kind = self._entity.types.get(name)
        if kind is None:
            raise BadRequest(f"Property {name} not found")
        if self._entity.aggregate and (name == "ID" or kind == "decimal"):
            raise BadRequest(f"Property {name} is not filterable")
        return kind

    def _literal(self, kind: str) -> Any:
        found, text = self._tokens.pop(0) if self._tokens else ("end", "")
        try:
            if kind == "boolean" and found == "word":
                return {"true": True, "false": False}[text]
            if found != kind:
                raise ValueError
            if kind == "text":
                return text[1:-1].replace("''", "'")
            if kind == "date":
                return datetime.fromisoformat(text).date()
            if kind == "instant":
                moment = datetime.fromisoformat(text)
                return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return Decimal(text)
        except (ValueError, KeyError, InvalidOperation):
            raise BadRequest(f"Invalid literal {text!r} for a property of type {kind}") from None

    def _accept(self, kind: str, text: str) -> bool:
        if self._tokens and self._tokens[0] == (kind, text):
            self._tokens.pop(0)
            return True
        return False

    def _expect(self, kind: str, text: str | None = None) -> str:
        if not self._tokens or self._tokens[0][0] != kind or text not in (None, self._tokens[0][1]):
            raise BadRequest(f"Invalid filter near {self._tokens[0][1] if self._tokens else 'its end'!r}")
        return self._tokens.pop(0)[1]


# SOAP. Each sequence: (element, required, maximum length), in the order of the WSDL.

Sequence = tuple[tuple[str, bool, int], ...]


def _sequence(text: str) -> Sequence:
    """`Name*20`: required, at most 20 characters; `Name20`: optional; without a number: no limit."""
    parts = (re.fullmatch(r"([A-Za-z0-9]*?[A-Za-z])(\*?)(\d*)", word) for word in text.split())
    return tuple((part[1], bool(part[2]), int(part[3] or 1000)) for part in parts if part)


_HEADER = _sequence(
    "ID35 UUID36 ReferenceID35 ReferenceUUID36 CreationDateTime* TestDataIndicator ReconciliationIndicator"
    " SenderBusinessSystemID60 RecipientBusinessSystemID60 SenderParty RecipientParty BusinessScope"
)
_REQUEST = _sequence("MessageHeader* JournalEntry*")
_ENTRY = _sequence(
    "OriginalReferenceDocumentType*5 OriginalReferenceDocument20 OriginalReferenceDocumentLogicalSystem10"
    " BusinessTransactionType*4 AccountingDocumentType*5 AccountingDocument10 DocumentReferenceID16"
    " OriginalPredecessorRefDocument20 DocumentHeaderText25 CreatedByUser*12 CompanyCode*4 DocumentDate* PostingDate*"
    " TaxReportingDate TaxDeterminationDate InvoiceReceiptDate ExchangeRateDate ExchangeRate IndirectQuotedExchangeRate"
    " SourceSystemCompanyCode20 SourceSystemAccountingDocument35 Reference1InDocumentHeader20"
    " Reference2InDocumentHeader20 Item DebtorItem CreditorItem ProductTaxItem WithholdingTaxItem"
)
_ITEM = _sequence(
    "ReferenceDocumentItem10 ItemGroup6 CompanyCode4 GLAccount*10 AmountInTransactionCurrency*"
    " AmountInCompanyCodeCurrency AmountInGroupCurrency AmountInFreeDefinedCurrency1 DebitCreditCode1"
    " DocumentItemText50 ReasonCode3 OplAcctgDocItmCntrySpcfcRef1 AssignmentReference18 FinancialTransactionType3 Tax"
    " Plant4 Material QuantityInEntryUnit IsNotCashDiscountLiable TradingPartner ValueDate AccountAssignment"
    " ProfitabilitySupplement AdditionalAttributes"
)
_ASSIGNMENT = _sequence(
    "AccountAssignmentType ProfitCenter10 PartnerProfitCenter10 Segment10 PartnerSegment10 CostCenter10"
    " CostCtrActivityType WBSElement24 MasterFixedAsset FixedAsset SalesOrder SalesOrderItem FunctionalArea16"
    " ServiceDocType ServiceDocID ServiceDocItemID"
)
_PATTERNS = {
    "CreationDateTime": re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,7})?Z"),
    "DocumentDate": re.compile(r"\d{4}-\d{2}-\d{2}"),
    "PostingDate": re.compile(r"\d{4}-\d{2}-\d{2}"),
    "AmountInTransactionCurrency": re.compile(r"-?\d{1,22}(\.\d{1,6})?"),
    "DebitCreditCode": re.compile("[SH]"),
}


def _message(content: bytes) -> Any:
    """The request in a SOAP 1.1 envelope, checked against the published sequences. Raises ValueError."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise ValueError(f"the envelope is not XML: {error.msg}") from error
    message = root.find(f"{{{SOAP}}}Body/{{{SFIN}}}JournalEntryBulkCreateRequest")
    if message is None:
        raise ValueError("the body holds no JournalEntryBulkCreateRequest")
    _check(message, _sequence("MessageHeader* JournalEntryCreateRequest*"))
    _check(message.find("MessageHeader"), _HEADER)
    for request in message.findall("JournalEntryCreateRequest"):
        _check(request, _REQUEST)
        _check(request.find("MessageHeader"), _HEADER)
        entry = request.find("JournalEntry")
        _check(entry, _ENTRY)
        for item in entry.findall("Item"):
            _check(item, _ITEM)
            if len(item.find("AmountInTransactionCurrency").get("currencyCode", "")) != 3:
                raise ValueError("AmountInTransactionCurrency: currencyCode has three characters")
            for assignment in item.findall("AccountAssignment"):
                _check(assignment, _ASSIGNMENT)
    return message


def _check(element: Any, sequence: Sequence) -> None:
    order = {name: position for position, (name, _, _) in enumerate(sequence)}
    limits = {name: limit for name, _, limit in sequence}
    last = -1
    for child in element:
        if child.tag not in order:
            raise ValueError(f"{element.tag}: element {child.tag} is unknown")
        if order[child.tag] < last:
            raise ValueError(f"{element.tag}: element {child.tag} is out of sequence")
        last = order[child.tag]
        text = child.text or ""
        if len(child) == 0 and len(text) > limits[child.tag]:
            raise ValueError(f"{child.tag}: longer than {limits[child.tag]} characters")
        if child.tag in _PATTERNS and not _PATTERNS[child.tag].fullmatch(text):
            raise ValueError(f"{child.tag}: {text!r} does not fit its type")
    for name, required, _ in sequence:
        if required and element.find(name) is None:
            raise ValueError(f"{element.tag}: element {name} is missing")


def _answer_header(parent: Any, message: Any, now: datetime) -> None:
    header = etree.SubElement(parent, "MessageHeader")
    if reference := message.findtext("MessageHeader/ID"):
        _add(header, "ReferenceID", reference)
    _add(header, "CreationDateTime", f"{now:%Y-%m-%dT%H:%M:%SZ}")


def _result(part: Any, number: str, year: str, severity: str, notes: list[tuple[str, str]]) -> None:
    entry = etree.SubElement(part, "JournalEntryCreateConfirmation")
    _add(entry, "AccountingDocument", number)
    _add(entry, "CompanyCode", COMPANY_CODE)
    _add(entry, "FiscalYear", year)
    log = etree.SubElement(part, "Log")
    _add(log, "MaximumLogItemSeverityCode", severity)
    for message, text in notes:
        item = etree.SubElement(log, "Item")
        _add(item, "TypeID", message)
        _add(item, "SeverityCode", severity)
        _add(item, "Note", text[:200])


def _fault(reason: str) -> Response:
    """A technical error: SAP tells the reason in its own log only; here it stands in the detail."""
    fault = etree.Element(f"{{{SOAP}}}Fault", nsmap={"soap-env": SOAP})
    _add(fault, "faultcode", "soap-env:Server")
    _add(fault, "faultstring", "Web service processing error; more details in the web service error log")
    _add(etree.SubElement(fault, "detail"), "reason", reason)
    return Response(500, _soap(fault), "text/xml; charset=utf-8")


def _soap(body: Any) -> bytes:
    root = etree.Element(f"{{{SOAP}}}Envelope", nsmap={"soap-env": SOAP})
    etree.SubElement(root, f"{{{SOAP}}}Header")
    etree.SubElement(root, f"{{{SOAP}}}Body").append(body)
    return etree.tostring(root, xml_declaration=True, encoding="utf-8")


def _add(parent: Any, name: str, text: str) -> None:
    etree.SubElement(parent, name).text = text


SANDBOX = SapSandbox
