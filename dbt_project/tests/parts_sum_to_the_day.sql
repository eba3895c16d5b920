{{ config(meta={'dagster': {'ref': {'name': 'sales_daily'}}}) }}
-- I11: channels, day parts, hours or products that do not add up to the day.
with parts as (
    {%- for part in ['channel', 'daypart', 'hour', 'product'] %}
    select '{{ part }}' as part, outlet_id, business_date, sum(net_sales) as net_sales
    from {{ ref('sales_by_' ~ part) }} as f
    where {{ untested('f') }}
    group by outlet_id, business_date
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select p.part, p.outlet_id, p.business_date, p.net_sales, s.net_sales as day
from parts as p
full outer join (select * from {{ ref('sales_daily') }} as d where {{ untested('d') }}) as s
    on s.outlet_id = p.outlet_id
    and s.business_date = p.business_date
where coalesce(p.net_sales, 0) <> coalesce(s.net_sales, 0)
