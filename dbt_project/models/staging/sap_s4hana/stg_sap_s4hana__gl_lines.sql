-- Ledger lines of the leading ledger in company code currency. A line of ours carries our reference as its assignment;
-- should a person have changed that, the read-back still knows the document.
with ours as (
    select distinct integration_id, company_code, fiscal_year, accounting_document, document_reference_id
    from {{ source('raw_sap_s4hana', 'journal_items') }}
)

select
    lines.integration_id,
    cast(null as varchar) as entity_id,
    lines.accounting_document || lines.company_code || lines.fiscal_year as document_id,
    lines.ledger_gl_line_item as line_id,
    lines.posting_date,
    ltrim(lines.gl_account, '0') as account_code,
    nullif(lines.cost_center, '') as source_outlet_id,
    lines.amount_in_company_code_currency as amount,
    lines.company_code_currency as currency,
    case
        when lines.assignment_reference like 'C4%' and length(lines.assignment_reference) = 16
            then lines.assignment_reference
        else ours.document_reference_id
    end as reference,
    nullif(lines.document_item_text, '') as text,
    lines.is_reversed or lines.is_reversal as is_reversed
from {{ source('raw_sap_s4hana', 'gl_line_items') }} as lines
left join ours
    on lines.integration_id = ours.integration_id
    and lines.company_code = ours.company_code
    and lines.fiscal_year = ours.fiscal_year
    and lines.accounting_document = ours.accounting_document
