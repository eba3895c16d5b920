{{ config(materialized='by_day') }}

-- Counted tills against the cash that the tenders say, in functional currency. `short` is positive when cash is
-- missing, negative when there is too much.
with cash as (
    select outlet_id, business_date, sum(local_amount + local_tip) as expected
    from {{ ref('fct_check_payments') }} as p
    where tender = 'cash' and not is_voided and {{ touched('p') }}
    group by outlet_id, business_date
),

counts as (
    select
        k.outlet_id,
        k.business_date,
        d.entity_id,
        d.is_foreign,
        d.exchange_rate,
        d.currency_exponent,
        k.paid_out,
        k.paid_out_reason,
        coalesce(cash.expected, 0) - k.paid_out - k.counted_cash as short
    from {{ source('raw_c4', 'cash_counts') }} as k
    inner join {{ ref('dim_outlet_dates') }} as d
        on d.outlet_id = k.outlet_id
        and d.business_date = k.business_date
    left join cash
        on cash.outlet_id = k.outlet_id
        and cash.business_date = k.business_date
    where {{ touched('k') }}
)

select
    outlet_id,
    business_date,
    entity_id,
    paid_out_reason,
    {{ money(translate('paid_out', 'counts')) }} as paid_out,
    {{ money(translate('short', 'counts')) }} as short
from counts
