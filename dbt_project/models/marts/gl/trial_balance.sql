{{ config(tags=['close']) }}

-- Every account in every period from its first movement on, so that the balances of a period sum to zero.
with movements as (
    select entity_id, account_code, period, sum(debit) as debit, sum(credit) as credit
    from {{ ref('gl_balances') }}
    group by entity_id, account_code, period
),

grid as (
    select a.entity_id, a.account_code, p.period
    from (select entity_id, account_code, min(period) as first_period from movements group by 1, 2) as a
    inner join (select distinct entity_id, period from movements) as p
        on p.entity_id = a.entity_id
        and p.period >= a.first_period
)

select
    g.entity_id,
    g.account_code,
    g.period,
    coalesce(a.name, 'not in our chart') as name,
    coalesce(a.statement, '') as statement,
    {{ money('coalesce(m.debit, 0)') }} as debit,
    {{ money('coalesce(m.credit, 0)') }} as credit,
    {{ money('sum(coalesce(m.debit, 0) - coalesce(m.credit, 0)) over (
        partition by g.entity_id, g.account_code order by g.period
    )') }} as balance
from grid as g
left join movements as m
    on m.entity_id = g.entity_id
    and m.account_code = g.account_code
    and m.period = g.period
left join {{ source('raw_c4', 'accounts') }} as a
    on a.account_code = g.account_code
