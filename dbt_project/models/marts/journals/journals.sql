with totals as (
    select
        entity_id,
        outlet_id,
        business_date,
        journal_type,
        min(currency) as currency,
        sum(debit) as debit_total,
        sum(credit) as credit_total,
        count(*) as line_count
    from {{ ref('journal_lines') }}
    group by entity_id, outlet_id, business_date, journal_type
),

judged as (
    select
        t.*,
        concat_ws(
            '; ',
            case t.journal_type when 'DSJ' then r.sales_hold when 'COG' then r.cogs_hold else r.labor_hold end,
            case when t.debit_total <> t.credit_total then 'debits and credits differ' end
        ) as hold_reason,
        r.cost_center,
        r.tracking_option
    from totals as t
    inner join {{ ref('int_close__readiness') }} as r
        on r.outlet_id = t.outlet_id
        and r.business_date = t.business_date
)

select
    j.entity_id,
    j.outlet_id,
    j.business_date,
    j.journal_type,
    j.currency,
    {{ money('j.debit_total') }} as debit_total,
    {{ money('j.credit_total') }} as credit_total,
    cast(j.line_count as integer) as line_count,
    j.debit_total = j.credit_total as is_balanced,
    j.hold_reason = '' as is_postable,
    j.hold_reason,
    j.cost_center,
    j.tracking_option,
    e.target
from judged as j
inner join {{ source('raw_c4', 'entities') }} as e
    on e.entity_id = j.entity_id
