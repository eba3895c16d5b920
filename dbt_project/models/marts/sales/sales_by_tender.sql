{{ config(materialized='by_day') }}

select
    outlet_id,
    entity_id,
    business_date,
    tender,
    cast(count(*) as integer) as payments,
    {{ money('sum(amount)') }} as amount,
    {{ money('sum(tip)') }} as tips
from {{ ref('fct_check_payments') }} as f
where not is_voided and {{ touched('f') }}
group by outlet_id, entity_id, business_date, tender
