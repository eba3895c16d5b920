-- Items sold and returned, and money taken in trust. Checks know items by number: names and groups are the menu's.
select
    s.integration_id,
    s.check_id,
    s.line_id,
    'item' as line_type,
    s.source_outlet_id || '-' || cast(s.num as varchar) as source_product_id,
    p.product_code,
    p.product_name,
    p.source_category,
    s.quantity,
    s.unit_price,
    s.gross_sales,
    s.discounts,
    cast(0 as decimal(18, 4)) as comps,
    s.returns,
    s.net_sales,
    s.discount_name,
    c.source_channel,
    s.is_check_voided as is_voided
from {{ ref('stg_oracle_micros__sold_lines') }} as s
inner join {{ ref('stg_oracle_micros__current_checks') }} as c
    on c.integration_id = s.integration_id
    and c.check_id = s.check_id
left join {{ ref('stg_oracle_micros__products') }} as p
    on p.integration_id = s.integration_id
    and p.source_product_id = s.source_outlet_id || '-' || cast(s.num as varchar)
union all
select
    h.integration_id,
    h.check_id,
    h.line_id,
    'deposit' as line_type,
    cast(null as varchar) as source_product_id,
    cast(null as varchar) as product_code,
    h.name as product_name,
    cast(null as varchar) as source_category,
    1 as quantity,
    cast(null as decimal(18, 4)) as unit_price,
    h.amount as gross_sales,
    cast(0 as decimal(18, 4)) as discounts,
    cast(0 as decimal(18, 4)) as comps,
    cast(0 as decimal(18, 4)) as returns,
    h.amount as net_sales,
    cast(null as varchar) as discount_name,
    c.source_channel,
    h.is_check_voided as is_voided
from {{ ref('stg_oracle_micros__charges') }} as h
inner join {{ ref('stg_oracle_micros__current_checks') }} as c
    on c.integration_id = h.integration_id
    and c.check_id = h.check_id
where h.charge_kind = 'deposit'
