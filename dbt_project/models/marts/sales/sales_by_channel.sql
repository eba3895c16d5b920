{{ config(materialized='by_day') }}

select
    outlet_id,
    entity_id,
    business_date,
    channel,
    cast(count(distinct case when check_type = 'sale' then integration_id || check_id end) as integer) as checks,
    {{ money('sum(gross_sales)') }} as gross_sales,
    {{ money('sum(discounts)') }} as discounts,
    {{ money('sum(comps)') }} as comps,
    {{ money('sum(returns)') }} as returns,
    {{ money('sum(net_sales)') }} as net_sales
from {{ ref('fct_check_lines') }} as f
where not is_voided and {{ touched('f') }}
group by outlet_id, entity_id, business_date, channel
