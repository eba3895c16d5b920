{{ config(materialized='by_day') }}

select
    outlet_id,
    entity_id,
    business_date,
    coalesce(product_code, '(none)') as product_code,
    max(product_name) as product_name,
    category_group,
    {{ money('sum(quantity)') }} as quantity,
    {{ money('sum(gross_sales)') }} as gross_sales,
    {{ money('sum(discounts)') }} as discounts,
    {{ money('sum(comps)') }} as comps,
    {{ money('sum(returns)') }} as returns,
    {{ money('sum(net_sales)') }} as net_sales,
    {{ money('coalesce(sum(theoretical_cost), 0)') }} as theoretical_cost
from {{ ref('fct_check_lines') }} as f
where not is_voided and line_type = 'item' and {{ touched('f') }}
group by outlet_id, entity_id, business_date, coalesce(product_code, '(none)'), category_group
