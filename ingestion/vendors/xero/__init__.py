"""Xero: the chart of accounts, tracking, budgets, contacts and manual journals of one organisation, both ways."""

from __future__ import annotations

from datetime import timedelta

from ingestion.core.spec import Category, Connector, Cursor, Evidence, Limit, OAuth, Stream, Table
from ingestion.vendors.xero.journals import XeroJournals
from ingestion.vendors.xero.records import (
    Account,
    Budget,
    BudgetBalance,
    Contact,
    JournalLine,
    ManualJournal,
    Organisation,
    Tracking,
    TrackingCategory,
    TrackingOption,
)
from ingestion.vendors.xero.transport import API, IDENTITY, SCOPES, read_budgets, read_pages, xero_auth

CONNECTOR = Connector(
    name="xero",
    category=Category.ACCOUNTING,
    title="Xero",
    base_url="https://api.xero.com",
    auth=xero_auth,
    oauth=OAuth(
        authorize_url="{login_url}/identity/connect/authorize",
        token_url="{identity_url}/connect/token",  # noqa: S106 - an address
        revoke_url="{identity_url}/connect/revocation",
        scopes=f"offline_access {SCOPES}",
        pkce=True,
        defaults={"login_url": "https://login.xero.com", "identity_url": IDENTITY},
    ),
    credential_fields=("client_id", "client_secret"),
    headers={"Accept": "application/json", "xero-tenant-id": "{tenant_id}"},  # the default is XML
    limit=Limit(per_second=0.9, concurrent=4, evidence=Evidence.DOCS),  # the vendor's: 60 a minute, 5 at once
    probe=f"{API}/Organisation",
    journals=XeroJournals,
    journals_evidence=Evidence.SPEC,
    readback=("manual_journals",),
    streams=(
        Stream(
            name="accounts",
            path=f"{API}/Accounts",
            records="Accounts",
            tables=(Table("accounts", Account, key=("account_id",)),),
            write="replace",
            evidence=Evidence.SPEC,
            description="Chart of accounts, archived ones included.",
        ),
        Stream(
            name="tracking_categories",
            path=f"{API}/TrackingCategories",
            params={"includeArchived": "true"},
            records="TrackingCategories",
            constants={"outlet_category": "{tracking_category}"},
            tables=(
                Table("tracking_categories", TrackingCategory, key=("tracking_category_id",)),
                Table("tracking_options", TrackingOption, key=("tracking_option_id",), path="options"),
            ),
            write="replace",
            evidence=Evidence.SPEC,
            description="Tracking categories and their options; one option of the outlet category per outlet.",
        ),
        Stream(
            name="contacts",
            path=f"{API}/Contacts",
            params={"includeArchived": "true", "order": "ContactID ASC"},
            records="Contacts",
            fetch=read_pages,
            tables=(Table("contacts", Contact, key=("contact_id",), version="updated_date_utc"),),
            evidence=Evidence.SPEC,
            description="Suppliers and customers without personal data. Contacts are archived, never deleted.",
        ),
        Stream(
            name="budgets",
            path=f"{API}/Budgets",
            records="Budgets",
            fetch=read_budgets,
            tables=(
                Table("budgets", Budget, key=("budget_id",)),
                Table("budget_tracking", Tracking, key=("name",), path="tracking"),
                Table(
                    "budget_balances",
                    BudgetBalance,
                    key=("period",),
                    path="budget_lines.budget_balances",
                    inherit={"account_code": "budget_lines.account_code"},
                ),
            ),
            write="replace",
            evidence=Evidence.SPEC,
            description="Budgets with their monthly amounts per account, 24 months around the logical date.",
        ),
        Stream(
            name="manual_journals",
            path=f"{API}/ManualJournals",
            params={"order": "ManualJournalID ASC"},
            headers={"If-Modified-Since": "{since:%Y-%m-%dT%H:%M:%S}"},
            records="ManualJournals",
            fetch=read_pages,
            cursor=Cursor(lookback=timedelta(days=1), open_ended=True),
            tables=(
                Table("manual_journals", ManualJournal, key=("manual_journal_id",), version="updated_date_utc"),
                Table("manual_journal_lines", JournalLine, key=(), path="journal_lines"),
            ),
            evidence=Evidence.SPEC,
            description="Manual journals in every status, ours (read back) and people's, with their lines.",
        ),
        Stream(
            name="organisation",
            path=f"{API}/Organisation",
            records="Organisations",
            tables=(Table("organisation", Organisation, key=("organisation_id",)),),
            write="replace",
            evidence=Evidence.SPEC,
            description="The organisation: base currency and lock dates.",
        ),
    ),
)
