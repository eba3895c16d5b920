{{ config(materialized='by_day') }}
{{ remade_with(source('raw_c4', 'accounts'), ['account_code', 'name']) }}
{{ remade_with(source('raw_c4', 'entities'), ['entity_id', 'currency']) }}

with lines as (
    select
        entity_id,
        outlet_id,
        business_date,
        journal_type,
        component,
        account_code,
        sum(amount) as amount,
        sum(source_rows) as source_rows
    from {{ ref('int_close__journal_totals') }} as t
    where {{ touched('t') }}
    group by entity_id, outlet_id, business_date, journal_type, component, account_code
)

select
    l.entity_id,
    l.outlet_id,
    l.business_date,
    l.journal_type,
    cast(row_number() over (
        partition by l.entity_id, l.outlet_id, l.business_date, l.journal_type
        order by case when l.amount > 0 then 0 else 1 end, l.account_code, l.component
    ) as integer) as line_no,
    l.component,
    l.account_code,
    {{ money('greatest(l.amount, 0)') }} as debit,
    {{ money('greatest(-l.amount, 0)') }} as credit,
    e.currency,
    coalesce(a.name, 'unknown account') || ' ' || l.outlet_id || ' ' || cast(l.business_date as varchar) as memo,
    cast(l.source_rows as integer) as source_rows
from lines as l
inner join {{ source('raw_c4', 'entities') }} as e
    on e.entity_id = l.entity_id
left join {{ source('raw_c4', 'accounts') }} as a
    on a.account_code = l.account_code
where l.amount <> 0
