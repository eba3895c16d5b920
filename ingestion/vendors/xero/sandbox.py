"""A local Xero organisation over the simulated company: the entity whose journals go to Xero.

Written from the vendor's published OpenAPI file (paths, shapes, error bodies) and its documentation on limits,
scopes and idempotency; wordings of errors that neither gives are inferred. Its manners on purpose: XML unless JSON
is asked for, listings without lines unless they are paged, budgets listed without their lines, `/Date(...)/` dates,
a refused journal inside an HTTP 200 answer, and nothing that stops a journal from being created twice once the
Idempotency-Key is forgotten.
"""

from __future__ import annotations

import base64
import hashlib
import json
import operator
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode
from uuid import NAMESPACE_URL, UUID, uuid5
from xml.sax.saxutils import escape

from ingestion.sandbox.clock import Clock
from ingestion.sandbox.model import SimAccount, SimLedgerLine
from ingestion.sandbox.server import Request, Response, Sandbox, json_response

if TYPE_CHECKING:
    from ingestion.sandbox.company import Company

CLIENT_ID = "C4SANDBOX0CLIENT0ID0OF0XERO00000"
CLIENT_SECRET = "c4-sandbox-xero-secret"
TOKEN_LIFE = timedelta(seconds=1800)
KEY_LIFE = timedelta(minutes=6)
KEY_LENGTH = 128
DAY_LIMIT, APP_MINUTE_LIMIT, MINUTE_LIMIT = 5000, 10_000, 60
PAGE_SIZE, MAX_PAGE_SIZE = 100, 1000
API = "/api.xro/2.0/"
CATEGORY = "Outlet"
NO_ID = str(UUID(int=0))
CENT = Decimal("0.01")
LONG_AGO = datetime(2026, 1, 5, 2, 30, tzinfo=UTC)  # when the organisation was set up

# Scopes as they are since 2026: one family each. Whoever may write may read.
SCOPES = {
    "Accounts": "accounting.settings",
    "TrackingCategories": "accounting.settings",
    "Organisation": "accounting.settings",
    "Contacts": "accounting.contacts",
    "Budgets": "accounting.budgets",
    "ManualJournals": "accounting.manualjournals",
}
CONNECTED = (  # what the person who connects the app consents to
    "offline_access accounting.settings.read accounting.contacts.read accounting.budgets.read accounting.manualjournals"
)
CLASSES = {
    "BANK": "ASSET",
    "CURRENT": "ASSET",
    "PREPAYMENT": "ASSET",
    "CURRLIAB": "LIABILITY",
    "EQUITY": "EQUITY",
    "REVENUE": "REVENUE",
    "OTHERINCOME": "REVENUE",
    "DIRECTCOSTS": "EXPENSE",
    "OVERHEADS": "EXPENSE",
    "DEPRECIATN": "EXPENSE",
}
BANKS = {"1100"}
PREPAYMENTS = {"1510"}
SYSTEM_ACCOUNTS = {"2010": "CREDITORS", "3020": "RETAINEDEARNINGS"}
DEPRECIATION = {"8040"}

Item = dict[str, Any]  # a resource in the vendor's names; dates and Decimals are rendered when it is sent


class XeroSandbox(Sandbox):
    """`minute_limit` calls are answered per minute of the sandbox clock; None, for a night is one instant of it."""

    vendor = "xero"
    kept = ("_posted", "_locks")
    minute_limit: int | None = None
    max_page_size = MAX_PAGE_SIZE

    def __init__(self, company: Company, clock: Clock) -> None:
        super().__init__(company, clock)
        targets = {item.integration_id for item in company.config.integrations if item.vendor == self.vendor}
        rows = company.config.entities
        row = next((entity for entity in rows if entity.target in targets), rows[-1])
        self._entity = next(entity for entity in company.entities if entity.entity_id == row.entity_id)
        self._country = row.country
        self.tenant_id = _id("organisation", self._entity.entity_id)
        self._outlets = [outlet for outlet in company.outlets if outlet.entity == self._entity]
        self._accounts = {account.code: _account(account, self._entity.currency) for account in company.accounts}
        self._category = self._tracking_category()
        self._options = {option["Name"]: option for option in self._category["Options"]}
        self._contacts = [self._contact(supplier.number, supplier.name) for supplier in company.suppliers]
        self._budgets = self._all_budgets()
        self._by_people = self._journals_of_people()
        self._posted: list[Item] = []
        self._tokens: dict[str, tuple[datetime, frozenset[str]]] = {}
        self._tokens_made = 0
        self._codes: dict[str, tuple[str, str]] = {}  # authorisation code -> redirect URI, PKCE challenge
        self._refresh_token = ""
        self._replies: dict[str, tuple[bytes, Response, datetime]] = {}
        self._locks: dict[str, date] = {}
        self._minute = (LONG_AGO, 0)

    def credentials(self) -> dict[str, str]:
        return {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}

    def settings(self, base_url: str) -> dict[str, str]:
        return {
            "base_url": base_url,
            "identity_url": base_url,
            "login_url": base_url,
            "tenant_id": self.tenant_id,
            "tracking_category": CATEGORY,
        }

    def outlets(self) -> dict[str, str]:
        """An outlet is an option of the tracking category; lines name it by its name."""
        return {outlet.tracking_option: outlet.outlet_id for outlet in self._outlets}

    # What tests look at and do

    def live_documents(self) -> dict[str, list[Item]]:
        """Posted journals that came through the API, by the first word of their narration."""
        with self.lock:
            found: dict[str, list[Item]] = defaultdict(list)
            for journal in self._posted:
                if journal["Status"] == "POSTED":
                    found[journal["Narration"].split(" ", 1)[0]].append(journal)
            return dict(found)

    def balances(self) -> dict[str, Decimal]:
        """Account code -> balance (debit positive) over the live documents."""
        totals: dict[str, Decimal] = defaultdict(Decimal)
        for journals in self.live_documents().values():
            for journal in journals:
                for line in journal["JournalLines"]:
                    totals[line["AccountCode"]] += line["LineAmount"]
        return dict(totals)

    def lock_until(self, day: date | None, *, end_of_year: bool = False) -> None:
        """Lock the books up to and including a date; None opens them."""
        with self.lock:
            name = "EndOfYearLockDate" if end_of_year else "PeriodLockDate"
            self._locks.pop(name, None)
            if day is not None:
                self._locks[name] = day

    def void(self, journal_id: str) -> None:
        """A person voids a posted journal in Xero."""
        with self.lock:
            journal = next(item for item in self._posted if item["ManualJournalID"] == journal_id)
            journal["Status"], journal["UpdatedDateUTC"] = "VOIDED", self.clock.now()

    def expire_tokens(self) -> None:
        with self.lock:
            self._tokens.clear()

    # Requests

    def handle(self, request: Request) -> Response:
        with self.lock:
            if request.path == "/connect/token" and request.method == "POST":
                return self._token(request)
            if request.path == "/identity/connect/authorize":
                return self._authorize(request)
            if request.path == "/connect/revocation" and request.method == "POST":
                return self._revoke(request)
            if not request.path.startswith(API):
                return Response(404, b"The resource you're looking for cannot be found", "text/plain")
            name, _, key = request.path.removeprefix(API).rstrip("/").partition("/")
            answer = self._refusal(request, name) or self._routed(request, name, key)
            if "application/json" not in request.headers.get("Accept", "") and answer.status == 200:
                return Response(200, _xml("Response", json.loads(answer.body)).encode(), "text/xml", answer.headers)
            return answer

    def _authorize(self, request: Request) -> Response:
        """The login page; this person logs in and consents at once."""
        if request.arg("client_id") != CLIENT_ID or request.arg("code_challenge_method", "S256") != "S256":
            return json_response({"error": "unauthorized_client"}, 400)
        self._tokens_made += 1
        code = _id("code", str(self._tokens_made))
        self._codes[code] = (request.arg("redirect_uri"), request.arg("code_challenge"))
        answer = urlencode({"code": code, "state": request.arg("state")})
        return Response(302, headers={"Location": f"{request.arg('redirect_uri')}?{answer}"})

    def _revoke(self, request: Request) -> Response:
        if parse_qs(request.body.decode()).get("token") == [self._refresh_token]:
            self._refresh_token = ""
        return Response(200)

    def _granted(self, form: dict[str, str]) -> bool:
        """Whether a code or a refresh token is good; either is good once."""
        if form.get("grant_type") == "refresh_token":
            return form.get("refresh_token", "") == self._refresh_token != ""
        sent_to, challenge = self._codes.pop(form.get("code", ""), ("", ""))
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        proof = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        return sent_to != "" and sent_to == form.get("redirect_uri") and challenge in ("", proof)

    def _token(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        client = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {client}":
            return json_response({"error": "invalid_client"}, 400)
        if form.get("grant_type") in ("authorization_code", "refresh_token"):
            if not self._granted(form):
                return json_response({"error": "invalid_grant"}, 400)
            self._tokens_made += 1
            token, self._refresh_token = _id("token", str(self._tokens_made)), _id("refresh", str(self._tokens_made))
            self._tokens[token] = (self.clock.now() + TOKEN_LIFE, frozenset(CONNECTED.split()))
            told = {"expires_in": int(TOKEN_LIFE.total_seconds()), "token_type": "Bearer", "scope": CONNECTED}
            return json_response({"access_token": token, "refresh_token": self._refresh_token, **told})
        if form.get("grant_type") != "client_credentials":
            return json_response({"error": "unsupported_grant_type"}, 400)
        scopes = frozenset(form.get("scope", "").split())
        known = {name for scope in SCOPES.values() for name in (scope, f"{scope}.read")} - {"accounting.budgets"}
        if not scopes <= known:
            return json_response({"error": "invalid_scope"}, 400)
        self._tokens_made += 1
        token = _id("token", str(self._tokens_made))
        self._tokens[token] = (self.clock.now() + TOKEN_LIFE, scopes)
        return json_response(
            {
                "access_token": token,
                "expires_in": int(TOKEN_LIFE.total_seconds()),
                "token_type": "Bearer",
                "scope": " ".join(sorted(scopes)),
            }
        )

    def _refusal(self, request: Request, name: str) -> Response | None:
        """Who may not, and who asks too often."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        until, scopes = self._tokens.get(token, (LONG_AGO, frozenset()))
        if until <= self.clock.now():
            return _denied(401, "Unauthorized", "AuthenticationUnsuccessful")
        if request.headers.get("xero-tenant-id", "") not in ("", self.tenant_id):  # a custom connection has one
            return _denied(403, "Forbidden", "AuthenticationUnsuccessful")
        now = self.clock.now()
        begun, calls = self._minute
        if now - begun >= timedelta(minutes=1):
            begun, calls = now, 0
        if self.minute_limit is not None and calls >= self.minute_limit:
            wait = int((begun + timedelta(minutes=1) - now).total_seconds())
            headers = {"Retry-After": str(wait), "X-Rate-Limit-Problem": "minute", **self._remaining(calls)}
            return Response(429, headers=headers)
        self._minute = (begun, calls + 1)
        scope = SCOPES.get(name, "")
        wanted = {scope} if request.method != "GET" else {scope, f"{scope}.read"}
        if scope and not wanted & scopes:
            return _denied(401, "Unauthorized", "AuthorizationUnsuccessful")
        return None

    def _remaining(self, calls: int) -> dict[str, str]:
        return {
            "X-MinLimit-Remaining": str(max((self.minute_limit or MINUTE_LIMIT) - calls, 0)),
            "X-DayLimit-Remaining": str(DAY_LIMIT),
            "X-AppMinLimit-Remaining": str(APP_MINUTE_LIMIT),
        }

    def _routed(self, request: Request, name: str, key: str) -> Response:
        try:
            if (request.method, name, key) == ("PUT", "ManualJournals", ""):
                return self._once(request)
            routes: dict[str, Callable[[Request, str], Response]] = {
                "Accounts": lambda request, _: self._list(request, name, self._accounts.values()),
                "TrackingCategories": self._get_tracking,
                "Contacts": self._get_contacts,
                "Budgets": self._get_budgets,
                "ManualJournals": self._get_journals,
                "Organisation": lambda request, _: self._list(request, "Organisations", [self._organisation()]),
            }
            if request.method == "GET" and name in routes:
                return routes[name](request, key)
        except QueryError as error:
            return _failure(16, "QueryParseException", str(error))
        return Response(404, b"The resource you're looking for cannot be found", "text/plain")

    def _list(
        self, request: Request, name: str, items: Iterable[Item], id_field: str = "", lines: str = ""
    ) -> Response:
        """A listing: where, If-Modified-Since, order, then a page. Without a page there are no `lines`."""
        where = parse_where(request.arg("where"))
        since = _since(request.headers.get("If-Modified-Since", ""))
        chosen = [item for item in items if where(item) and (not since or item["UpdatedDateUTC"] >= since)]
        for part in reversed([part for part in request.arg("order").split(",") if part]):
            field, _, direction = part.strip().partition(" ")
            if any(field not in item for item in chosen):
                raise QueryError(f"No property or field '{field}' exists")
            chosen.sort(key=lambda item: item[field], reverse=direction.upper() == "DESC")
        envelope: Item = {}
        if id_field and request.arg("page"):
            page = max(int(request.arg("page")), 1)
            size = min(int(request.arg("pageSize", str(PAGE_SIZE))), self.max_page_size)
            envelope["pagination"] = {
                "page": page,
                "pageSize": size,
                "pageCount": -(-len(chosen) // size),
                "itemCount": len(chosen),
            }
            chosen = chosen[(page - 1) * size : page * size]
        elif lines:
            chosen = [item | {lines: []} for item in chosen]
        return self._answer(envelope | {name: chosen})

    def _answer(self, content: Item) -> Response:
        now = self.clock.now()
        envelope = {"Id": NO_ID, "Status": "OK", "ProviderName": "C4", "DateTimeUTC": f"/Date({_ms(now)})/"}
        return json_response(_wire(envelope | content), headers=self._remaining(self._minute[1]))

    # What the organisation has

    def _organisation(self) -> Item:
        return {
            "OrganisationID": self.tenant_id,
            "Name": self._entity.name,
            "LegalName": self._entity.name,
            "Version": "GLOBAL",
            "OrganisationType": "COMPANY",
            "BaseCurrency": self._entity.currency,
            "CountryCode": self._country,
            "OrganisationStatus": "ACTIVE",
            "FinancialYearEndDay": 31,
            "FinancialYearEndMonth": 12,
            "Timezone": "SINGAPORESTANDARDTIME",
            "ShortCode": "!c4nbt",
            **self._locks,
        }

    def _tracking_category(self) -> Item:
        return {
            "TrackingCategoryID": _id("category", CATEGORY),
            "Name": CATEGORY,
            "Status": "ACTIVE",
            "Options": [
                {
                    "TrackingOptionID": _id("option", outlet.tracking_option),
                    "Name": outlet.tracking_option,
                    "Status": "ACTIVE",
                }
                for outlet in self._outlets
            ],
        }

    def _get_tracking(self, request: Request, _: str) -> Response:
        category = self._category
        if request.arg("includeArchived") != "true":
            active = [option for option in category["Options"] if option["Status"] == "ACTIVE"]
            category = category | {"Options": active}
        return self._list(request, "TrackingCategories", [category])

    def _contact(self, number: int, name: str) -> Item:
        return {
            "ContactID": _id("contact", str(number)),
            "ContactNumber": f"SUP-{number:03d}",
            "ContactStatus": "ARCHIVED" if number % 8 == 0 else "ACTIVE",
            "Name": name,
            "FirstName": "Dewi",
            "LastName": f"Kontak{number}",
            "EmailAddress": f"kontak{number}@example.co.id",
            "BankAccountDetails": f"8810{number:06d}",
            "TaxNumber": f"01.234.567.{number}-801.000",
            "Addresses": [{"AddressType": "STREET", "AddressLine1": f"Jalan Contoh {number}", "City": "Makassar"}],
            "Phones": [{"PhoneType": "DEFAULT", "PhoneNumber": f"0411-55500{number}"}],
            "IsSupplier": True,
            "IsCustomer": False,
            "UpdatedDateUTC": LONG_AGO + timedelta(minutes=number),
        }

    def _get_contacts(self, request: Request, _: str) -> Response:
        archived = request.arg("includeArchived") == "true"
        shown = [item for item in self._contacts if archived or item["ContactStatus"] == "ACTIVE"]
        return self._list(request, "Contacts", shown, "ContactID")

    def _all_budgets(self) -> list[Item]:
        """One budget per outlet, as people make them, and the overall one, which adds them up."""
        amounts: dict[str, dict[str, dict[str, Decimal]]] = defaultdict(lambda: defaultdict(dict))
        for budget in self.company.budgets():
            if budget.entity != self._entity:
                continue
            period = f"{budget.month:%Y-%m}"
            for owner in (budget.outlet.tracking_option, ""):
                months = amounts[owner][budget.account.code]
                months[period] = months.get(period, Decimal(0)) + budget.amount
        return [
            {
                "BudgetID": _id("budget", owner),
                "Type": "TRACKING" if owner else "OVERALL",
                "Description": f"Budget {owner}" if owner else "Overall Budget",
                "UpdatedDateUTC": LONG_AGO,
                "Tracking": self._tracking_of(owner) if owner else [],
                "BudgetLines": [
                    {
                        "AccountID": self._accounts[code]["AccountID"],
                        "AccountCode": code,
                        "BudgetBalances": [
                            {"Period": period, "Amount": amount, "Notes": ""} for period, amount in months.items()
                        ],
                    }
                    for code, months in lines.items()
                ],
            }
            for owner, lines in amounts.items()
        ]

    def _get_budgets(self, request: Request, key: str) -> Response:
        if not key:
            return self._list(
                request, "Budgets", [item | {"BudgetLines": [], "Tracking": []} for item in self._budgets]
            )
        first, last = request.arg("DateFrom", "0000")[:7], request.arg("DateTo", "9999")[:7]
        found = [
            item
            | {
                "BudgetLines": [
                    line | {"BudgetBalances": [b for b in line["BudgetBalances"] if first <= b["Period"] <= last]}
                    for line in item["BudgetLines"]
                ]
            }
            for item in self._budgets
            if item["BudgetID"] == key
        ]
        return self._answer({"Budgets": found}) if found else Response(404, b"Not found", "text/plain")

    # Manual journals

    def _journals_of_people(self) -> list[Item]:
        documents: dict[str, list[SimLedgerLine]] = defaultdict(list)
        for line in self.company.ledger_lines():
            if line.entity == self._entity:
                documents[line.document].append(line)
        return [
            {
                "ManualJournalID": _id("journal", document),
                "Narration": lines[0].text,
                "Date": lines[0].posting_date,
                "Status": "POSTED",
                "LineAmountTypes": "NoTax",
                "ShowOnCashBasisReports": True,
                "HasAttachments": False,
                "UpdatedDateUTC": lines[0].known_at,
                "JournalLines": [
                    self._line(
                        line.account.code, line.amount, line.text, self._tracking_of(line.outlet.tracking_option)
                    )
                    for line in lines
                ],
            }
            for document, lines in documents.items()
        ]

    def _get_journals(self, request: Request, key: str) -> Response:
        known = [item for item in self._by_people if item["UpdatedDateUTC"] <= self.clock.now()] + self._posted
        if key:
            found = [item for item in known if item["ManualJournalID"] == key]
            return self._answer({"ManualJournals": found}) if found else Response(404, b"Not found", "text/plain")
        return self._list(request, "ManualJournals", known, "ManualJournalID", "JournalLines")

    def _once(self, request: Request) -> Response:
        """Idempotency-Key: the stored reply for the same body, an error for another body, and soon forgotten."""
        key = request.headers.get("Idempotency-Key", "")
        if len(key) > KEY_LENGTH:
            return _failure(10, "ValidationException", f"Idempotency-Key cannot exceed {KEY_LENGTH} characters")
        now = self.clock.now()
        self._replies = {name: kept for name, kept in self._replies.items() if kept[2] + KEY_LIFE > now}
        digest = hashlib.sha256(request.body + str(request.query).encode()).digest()
        if key in self._replies:
            seen, reply, _ = self._replies[key]
            if seen != digest:
                return _failure(10, "ValidationException", "Idempotency-Key was used with a different request")
            return reply
        reply = self._create(request)
        if key:
            self._replies[key] = (digest, reply, now)
        return reply

    def _create(self, request: Request) -> Response:
        try:
            body = request.json()
            wanted = body.get("ManualJournals", [body])
            echoes = [self._judged(dict(item)) for item in wanted]
        except (ValueError, TypeError, AttributeError, ArithmeticError) as error:
            return _failure(14, "PostDataInvalidException", f"JSON for post data was invalid: {error}")
        bad = [echo for echo in echoes if echo.get("ValidationErrors")]
        if bad and request.arg("summarizeErrors") != "false":
            return _failure(10, "ValidationException", "A validation exception occurred", echoes)
        for echo in echoes:
            echo["StatusAttributeString"] = "ERROR" if echo.get("ValidationErrors") else "OK"
            if echo not in bad:
                echo["ManualJournalID"] = _id("posted journal", str(len(self._posted) + 1))
                self._posted.append({k: v for k, v in echo.items() if k not in ("StatusAttributeString", "Warnings")})
        return self._answer({"ManualJournals": echoes})

    def _judged(self, item: Item) -> Item:
        """The journal as it will be stored, with what is wrong with it."""
        errors: list[str] = []
        warnings: list[str] = []
        status = item.get("Status", "DRAFT")
        day = date.fromisoformat(item["Date"][:10]) if item.get("Date") else self.clock.now().date()
        lines = [self._judged_line(line, status, errors, warnings) for line in item.get("JournalLines", [])]
        debits = sum((line["LineAmount"] for line in lines if line["LineAmount"] > 0), Decimal(0))
        credits = sum((line["LineAmount"] for line in lines if line["LineAmount"] < 0), Decimal(0))
        if not str(item.get("Narration") or "").strip():
            errors.append("Narration must be specified")
        if status not in ("DRAFT", "POSTED"):
            errors.append(f"Status {status} is not valid for a new manual journal")
        if len(lines) < 2:
            errors.append("At least two journal lines are required")
        if debits + credits:
            errors.append(f"The total debits ({debits:.2f}) must equal total credits ({credits:.2f})")
        for name, words in (("EndOfYearLockDate", "end of year lock date"), ("PeriodLockDate", "period lock date")):
            if name in self._locks and day <= self._locks[name]:
                errors.append(
                    f"The document date cannot be before the {words}, currently set at {self._locks[name]:%d %b %Y}"
                )
        return {
            "Date": day,
            "Status": status,
            "LineAmountTypes": item.get("LineAmountTypes", "NoTax"),
            "UpdatedDateUTC": self.clock.now(),
            "ManualJournalID": NO_ID,
            "Narration": item.get("Narration", ""),
            "JournalLines": lines,
            "ShowOnCashBasisReports": item.get("ShowOnCashBasisReports", True),
            "HasAttachments": False,
            **({"Url": item["Url"]} if item.get("Url") else {}),
            **({"ValidationErrors": [{"Message": text} for text in errors]} if errors else {}),
            **({"Warnings": [{"Message": text} for text in warnings]} if warnings else {}),
        }

    def _judged_line(self, line: Item, status: str, errors: list[str], warnings: list[str]) -> Item:
        code = str(line.get("AccountCode", ""))
        account = self._accounts.get(code)
        if account is None and status == "DRAFT":
            warnings.append(f"Account code '{code}' has been removed as it does not match a recognised account.")
            code = ""
        elif account is None or account["Status"] != "ACTIVE":
            errors.append(f"Account code '{code}' is not a valid code for this document.")
        elif account["Type"] == "BANK":
            errors.append(f"Account code '{code}' is a bank account and cannot be used in a manual journal.")
        elif account.get("SystemAccount"):
            errors.append(f"Account code '{code}' is a system account and cannot be used in a manual journal.")
        asked = line.get("Tracking") or []
        if len(asked) > 2:
            errors.append("A journal line can have at most 2 tracking categories.")
        tracking = []
        for item in asked:
            option = self._options.get(item.get("Option", ""))
            if item.get("Name") != CATEGORY or option is None or option["Status"] != "ACTIVE":
                errors.append(f"The tracking option '{item.get('Option')}' of '{item.get('Name')}' does not exist.")
            else:
                tracking += self._tracking_of(option["Name"])
        amount = Decimal(line.get("LineAmount", 0)).quantize(CENT, ROUND_HALF_UP)
        return self._line(code, amount, line.get("Description", ""), tracking)

    def _line(self, code: str, amount: Decimal, text: str, tracking: list[Item]) -> Item:
        return {
            "Description": text,
            "TaxType": "NONE",
            "TaxAmount": Decimal("0.00"),
            "LineAmount": amount.quantize(CENT),
            "AccountCode": code,
            "AccountID": self._accounts[code]["AccountID"] if code in self._accounts else NO_ID,
            "Tracking": tracking,
            "IsBlank": False,
        }

    def _tracking_of(self, option: str) -> list[Item]:
        return [
            {
                "Name": CATEGORY,
                "Option": option,
                "TrackingCategoryID": self._category["TrackingCategoryID"],
                "TrackingOptionID": self._options[option]["TrackingOptionID"],
            }
        ]


class QueryError(Exception):
    """A `where` or `order` that the organisation does not understand."""


CONDITION = (
    r'(?P<field>\w+)(?:\.(?P<method>StartsWith|EndsWith|Contains)\("(?P<text>[^"]*)"\)'
    r'|\s*(?P<sign>==|!=|>=|<=|>|<)\s*(?:"(?P<word>[^"]*)"|DateTime\((?P<day>\d+,\s*\d+,\s*\d+)\)))'
)
OR, AND = re.compile(r"\s+OR\s+"), re.compile(r"\s+AND\s+")
METHODS: dict[str, Callable[[str, str], bool]] = {
    "StartsWith": str.startswith,
    "EndsWith": str.endswith,
    "Contains": str.__contains__,
}
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


def parse_where(text: str) -> Callable[[Item], bool]:
    """The subset of the filter language that is used: text methods and comparisons with texts and DateTime(y,m,d),
    joined by OR and AND without brackets. Raises QueryError.
    """
    if not text.strip():
        return lambda item: True
    alternatives = OR.split(text.strip())
    searched = [re.fullmatch(CONDITION, part) for part in alternatives]
    fields = {found["field"] if found and found["method"] == "StartsWith" else "" for found in searched}
    if fields != {""} and len(fields) == 1:  # how references are looked up: the real thing has an index for it
        (field,), beginnings = fields, tuple(found["text"] for found in searched if found)
        return lambda item: _field(item, field).startswith(beginnings)
    either = [[_condition(part) for part in AND.split(parts)] for parts in alternatives]
    return lambda item: any(all(holds(item) for holds in both) for both in either)


def _condition(text: str) -> Callable[[Item], bool]:
    found = re.fullmatch(CONDITION, text)
    if found is None:
        raise QueryError(f"Syntax error in '{text}'")
    field = found["field"]
    if found["method"]:
        return lambda item: METHODS[found["method"]](_field(item, field), found["text"])
    value: Any = found["word"]
    if found["day"]:
        value = datetime(*map(int, found["day"].split(",")), tzinfo=UTC)  # type: ignore[arg-type,misc]
    return lambda item: COMPARE[found["sign"]](_comparable(_field(item, field)), value)


def _field(item: Item, name: str) -> Any:
    if name not in item:
        raise QueryError(f"No property or field '{name}' exists")
    return item[name]


def _comparable(value: Any) -> Any:
    """A calendar date as the instant that it is stored as."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time(), UTC)
    return value


def _account(account: SimAccount, currency: str) -> Item:
    """Debit accounts of the profit and loss are costs: discounts are kept as a cost of sales, not as revenue below
    zero, so that Xero's class tells the normal side.
    """
    if account.code in BANKS:
        kind = "BANK"
    elif account.statement == "BS" and account.normal_side == "D":
        kind = "PREPAYMENT" if account.code in PREPAYMENTS else "CURRENT"
    elif account.statement == "BS":
        kind = "EQUITY" if account.code.startswith("3") else "CURRLIAB"
    elif account.normal_side == "C":
        kind = "OTHERINCOME" if account.line == "Other income" else "REVENUE"
    elif account.line in ("Sales", "Cost of sales"):
        kind = "DIRECTCOSTS"
    else:
        kind = "DEPRECIATN" if account.code in DEPRECIATION else "OVERHEADS"
    bank = {"BankAccountNumber": "8810001234567", "BankAccountType": "BANK", "CurrencyCode": currency}
    return {
        "AccountID": _id("account", account.code),
        "Code": account.code,
        "Name": account.name,
        "Status": "ACTIVE",
        "Type": kind,
        "TaxType": "NONE",
        "Class": CLASSES[kind],
        "EnablePaymentsToAccount": False,
        "UpdatedDateUTC": LONG_AGO,
        **(bank if kind == "BANK" else {"BankAccountType": ""}),
        **({"SystemAccount": SYSTEM_ACCOUNTS[account.code]} if account.code in SYSTEM_ACCOUNTS else {}),
    }


def _id(kind: str, name: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"https://sandbox.xero/{kind}/{name}"))


def _since(text: str) -> datetime | None:
    """If-Modified-Since as ISO 8601, UTC where it names no zone. Raises QueryError."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise QueryError(f"If-Modified-Since: {error}") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _ms(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def _wire(value: Any) -> Any:
    """As JSON holds it: a date is midnight as if it were UTC."""
    if isinstance(value, dict):
        return {name: _wire(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_wire(inner) for inner in value]
    if isinstance(value, date):
        return f"/Date({_ms(_comparable(value))}+0000)/"
    return value


def _xml(name: str, value: Any) -> str:
    if isinstance(value, list):
        return f"<{name}>{''.join(_xml(name.removesuffix('s'), inner) for inner in value)}</{name}>"
    if isinstance(value, dict):
        return f"<{name}>{''.join(_xml(inner, content) for inner, content in value.items())}</{name}>"
    return f"<{name}>{escape(str(value))}</{name}>"


def _denied(status: int, title: str, detail: str) -> Response:
    body: Item = {"Type": None, "Title": title, "Status": status, "Detail": detail, "Instance": NO_ID, "Extensions": {}}
    return json_response(body, status)


def _failure(number: int, kind: str, message: str, elements: Iterable[Item] = ()) -> Response:
    body: Item = {"ErrorNumber": number, "Type": kind, "Message": message, "Elements": _wire(list(elements))}
    return json_response(body, 400)


SANDBOX = XeroSandbox
