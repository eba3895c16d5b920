{{ config(materialized='by_day') }}

select
    outlet_id,
    entity_id,
    business_date,
    local_hour,
    cast(count(case when check_type = 'sale' then 1 end) as integer) as checks,
    cast(coalesce(sum(case when check_type = 'sale' then covers end), 0) as integer) as covers,
    {{ money('sum(gross_sales)') }} as gross_sales,
    {{ money('sum(net_sales)') }} as net_sales
from {{ ref('fct_checks') }} as f
where not is_voided and {{ touched('f') }}
group by outlet_id, entity_id, business_date, local_hour
