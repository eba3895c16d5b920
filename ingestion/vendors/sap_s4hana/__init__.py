"""SAP S/4HANA: master data, plan, ledger and stock of one company code; journal entries to it."""

from __future__ import annotations

from datetime import timedelta

from ingestion.core.auth import basic
from ingestion.core.spec import Category, Connector, Cursor, Evidence, Limit, Table
from ingestion.vendors.sap_s4hana import records as wire
from ingestion.vendors.sap_s4hana.journals import JOURNAL_ITEMS, SapJournals
from ingestion.vendors.sap_s4hana.transport import ODATA, entity_set, error_reason

COMPANY = "CompanyCode eq '{company_code}'"
CHART = "ChartOfAccounts eq '{chart_of_accounts}'"
AREA = "ControllingArea eq '{controlling_area}'"
LANGUAGE = "Language eq '{language}'"
SINCE_DAY = "datetime'{since:%Y-%m-%dT00:00:00}'"
CHANGED = (
    "LastChangeDateTime ge datetimeoffset'{since:%Y-%m-%dT%H:%M:%SZ}'"
    " and LastChangeDateTime le datetimeoffset'{until:%Y-%m-%dT%H:%M:%SZ}'"
)
LOOKBACK = Cursor(lookback=timedelta(days=2))  # creation dates are days of the system's own time zone
OPEN_ENDED = Cursor(lookback=LOOKBACK.lookback, open_ended=True)

CONNECTOR = Connector(
    name="sap-s4hana",
    category=Category.ERP,
    title="SAP S/4HANA",
    auth=lambda credentials, *_: basic(credentials["username"], credentials["password"]),
    credential_fields=("username", "password"),
    headers={"Accept": "application/json"},  # the default is Atom XML
    limit=Limit(per_second=5, concurrent=4, evidence=Evidence.INFERRED),
    probe=f"{ODATA}/API_COMPANYCODE_SRV/A_CompanyCode/$count",
    business_errors=error_reason,
    journals=SapJournals,
    journals_evidence=Evidence.SPEC,
    readback=("journal_items", "gl_line_items"),
    streams=(
        entity_set(
            "API_COMPANYCODE_SRV/A_CompanyCode",
            Table("company_codes", wire.CompanyCode, key=("company_code",)),
            where=COMPANY,
            description="The company code: currency, chart of accounts, fiscal year variant.",
        ),
        entity_set(
            "API_GLACCOUNTINCHARTOFACCOUNTS_SRV/A_GLAccountInChartOfAccounts",
            Table("gl_accounts", wire.GlAccount, key=("chart_of_accounts", "gl_account")),
            where=CHART,
            description="Chart of accounts. Accounts are blocked or marked for deletion, never deleted.",
        ),
        entity_set(
            "API_GLACCOUNTINCHARTOFACCOUNTS_SRV/A_GLAccountText",
            Table("gl_account_texts", wire.GlAccountText, key=("chart_of_accounts", "gl_account", "language")),
            where=f"{CHART} and {LANGUAGE}",
            description="Names of the accounts in the integration's language.",
        ),
        entity_set(
            "API_COSTCENTER_SRV/A_CostCenter",
            Table("cost_centers", wire.CostCenter, key=("controlling_area", "cost_center", "validity_end_date")),
            where=f"{AREA} and {COMPANY}",
            write="replace",  # a new validity changes the key of the old one
            description="Cost centres (an outlet each), one row per validity.",
        ),
        entity_set(
            "API_COSTCENTER_SRV/A_CostCenterText",
            Table(
                "cost_center_texts",
                wire.CostCenterText,
                key=("controlling_area", "cost_center", "validity_end_date", "language"),
            ),
            where=f"{AREA} and {LANGUAGE}",
            write="replace",
            description="Names of the cost centres in the integration's language, one row per validity.",
        ),
        entity_set(
            "API_BUSINESS_PARTNER/A_Supplier",
            Table("suppliers", wire.Supplier, key=("supplier",)),
            description="Suppliers of all company codes; no tax numbers, contacts or names of natural persons.",
        ),
        entity_set(
            "API_FINPLANNINGENTRYITEM_SRV/A_FinPlanningEntryItem",
            Table("budget", wire.BudgetLine, key=("ledger_fiscal_year", "fiscal_period", "gl_account", "cost_center")),
            where=f"Ledger eq '{{ledger}}' and PlanningCategory eq '{{plan_category}}' and {COMPANY}",
            write="replace",  # a new plan has no rows for what is planned no longer
            evidence=Evidence.CLIENT,
            description="Planned amounts of one plan category by account, cost centre and period.",
        ),
        entity_set(
            "API_GLACCOUNTLINEITEM/GLAccountLineItem",
            Table(
                "gl_line_items",
                wire.GlLineItem,
                key=("source_ledger", "company_code", "fiscal_year", "accounting_document", "ledger_gl_line_item"),
                version="last_change_date_time",
            ),
            where=f"Ledger eq '{{ledger}}' and {COMPANY} and {CHANGED}",
            cursor=LOOKBACK,
            description="Ledger lines of the leading ledger that were posted or changed in the window.",
        ),
        entity_set(
            "API_MATERIAL_DOCUMENT_SRV/A_MaterialDocumentHeader",
            Table("material_documents", wire.MaterialDocument, key=("material_document_year", "material_document")),
            Table(
                "material_document_items",
                wire.MaterialDocumentItem,
                key=("material_document_item",),
                path="to_material_document_item",
            ),
            where=f"CreationDate ge {SINCE_DAY}",
            cursor=OPEN_ENDED,
            description="Goods movements with their items.",
        ),
        entity_set(
            JOURNAL_ITEMS,
            Table(
                "journal_items",
                wire.JournalItem,
                key=("company_code", "fiscal_year", "accounting_document", "accounting_document_item"),
            ),
            where=f"{COMPANY} and startswith(DocumentReferenceID,'C4')"
            f" and (AccountingDocumentCreationDate ge {SINCE_DAY} or LastChangeDate ge {SINCE_DAY})",
            cursor=OPEN_ENDED,
            description="Our own journals as SAP holds them, line by line: the read-back.",
        ),
    ),
)
