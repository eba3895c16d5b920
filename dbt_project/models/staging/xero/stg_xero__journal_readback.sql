-- Our own journals as Xero holds them, line by line. Only a posted one is in the ledger.
select
    integration_id,
    reference,
    manual_journal_id as external_id,
    account_code as target_account,
    amount,
    posting_date,
    status = 'POSTED' as is_live
from {{ ref('stg_xero__manual_journal_lines') }}
where reference is not null
