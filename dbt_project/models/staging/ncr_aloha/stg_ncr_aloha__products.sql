-- Items and modifiers of every site's menu; what the latest ground day no longer has is out of use.
select
    m.integration_id,
    m.source_outlet_id || ':' || cast(m.id as varchar) as source_product_id,
    m.sku as product_code,
    coalesce(m.long_name, m.short_name) as product_name,
    c.name as source_category,
    m.price as list_price,
    m.dob < max(m.dob) over (partition by m.integration_id, m.source_outlet_id) as is_deleted
from {{ source('raw_ncr_aloha', 'menu_items') }} as m
left join {{ source('raw_ncr_aloha', 'codes') }} as c
    on c.integration_id = m.integration_id
    and c.source_outlet_id = m.source_outlet_id
    and c.kind = 'CAT'
    and c.id = m.category
