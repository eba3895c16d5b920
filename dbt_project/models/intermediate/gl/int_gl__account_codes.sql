-- A target's account code in our chart: by target_accounts, else the same code.
select
    i.integration_id,
    coalesce(nullif(ltrim(t.target_account, '0'), ''), a.account_code) as target_account,
    min(a.account_code) as account_code
from {{ source('raw_c4', 'integrations') }} as i
cross join {{ source('raw_c4', 'accounts') }} as a
left join {{ source('raw_c4', 'target_accounts') }} as t
    on t.integration_id = i.integration_id
    and t.account_code = a.account_code
where i.category in ('erp', 'accounting')
group by i.integration_id, coalesce(nullif(ltrim(t.target_account, '0'), ''), a.account_code)
