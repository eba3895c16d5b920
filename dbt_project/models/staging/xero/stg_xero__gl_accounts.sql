-- The chart of accounts. Accounts without a code (some bank accounts) are known by their id.
select
    integration_id,
    coalesce(nullif(ltrim(code, '0'), ''), account_id) as account_code,
    name as account_name,
    case when account_class in ('REVENUE', 'EXPENSE') then 'PL' else 'BS' end as statement,
    case when account_class in ('ASSET', 'EXPENSE') then 'D' else 'C' end as normal_side,
    status = 'ACTIVE' as is_active
from {{ source('raw_xero', 'accounts') }}
