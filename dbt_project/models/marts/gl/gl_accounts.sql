-- The accounts of each entity: the target's chart where there is one, else ours.
select
    e.entity_id,
    t.integration_id,
    t.account_code as target_account,
    coalesce(m.account_code, t.account_code) as account_code,
    t.account_name as name,
    coalesce(t.statement, a.statement) as statement,
    coalesce(t.normal_side, a.normal_side) as normal_side,
    coalesce(a.line, 'Not in our chart') as line,
    t.is_active
from {{ ref('int_unified__gl_accounts') }} as t
inner join {{ source('raw_c4', 'entities') }} as e
    on e.target = t.integration_id
left join {{ ref('int_gl__account_codes') }} as m
    on m.integration_id = t.integration_id
    and m.target_account = t.account_code
left join {{ source('raw_c4', 'accounts') }} as a
    on a.account_code = m.account_code

union all

select
    e.entity_id, e.target, a.account_code, a.account_code, a.name, a.statement, a.normal_side, a.line, true
from {{ source('raw_c4', 'accounts') }} as a
cross join {{ source('raw_c4', 'entities') }} as e
where not exists (
    select 1 from {{ ref('int_unified__gl_accounts') }} as t where t.integration_id = e.target
)
