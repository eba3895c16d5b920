-- What posted manual journals put into the ledger. The vendor shows no line for the tax of a journal that has some: it
-- goes to the tax control account.
with lines as (
    select * from {{ ref('stg_xero__manual_journal_lines') }}
    where status = 'POSTED'
),

tax_accounts as (
    select integration_id, max(code) as account_code
    from {{ source('raw_xero', 'accounts') }}
    where system_account = 'GST'
    group by integration_id
),

booked as (
    select integration_id, manual_journal_id, line_id, account_code, amount
    from lines

    union all

    select lines.integration_id, lines.manual_journal_id, lines.line_id || '-tax', tax_accounts.account_code, lines.tax_amount
    from lines
    left join tax_accounts
        on tax_accounts.integration_id = lines.integration_id
    where lines.tax_amount <> 0
)

select
    booked.integration_id,
    cast(null as varchar) as entity_id,
    booked.manual_journal_id as document_id,
    booked.line_id,
    lines.posting_date,
    coalesce(nullif(ltrim(booked.account_code, '0'), ''), 'GST') as account_code,
    lines.source_outlet_id,
    booked.amount,
    organisation.base_currency as currency,
    lines.reference,
    coalesce(nullif(lines.description, ''), lines.narration) as text,
    false as is_reversed
from booked
inner join lines
    on lines.integration_id = booked.integration_id
    and lines.manual_journal_id = booked.manual_journal_id
    and lines.line_id = replace(booked.line_id, '-tax', '')
left join {{ source('raw_xero', 'organisation') }} as organisation
    on organisation.integration_id = booked.integration_id
