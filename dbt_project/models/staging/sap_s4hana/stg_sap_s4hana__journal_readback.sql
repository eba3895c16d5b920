-- Our journals as SAP holds them. A document that a person reversed in SAP is not live, nor is its reversal.
select
    integration_id,
    document_reference_id as reference,
    accounting_document || company_code || fiscal_year as external_id,
    ltrim(gl_account, '0') as target_account,
    amount_in_company_code_currency as amount,
    posting_date,
    not is_reversed and not is_reversal as is_live
from {{ source('raw_sap_s4hana', 'journal_items') }}
