select
    p.integration_id,
    p.source_product_id,
    coalesce(p.product_code, p.source_product_id) as product_code,
    p.product_name,
    p.source_category,
    coalesce(c.canonical, 'unmapped') as category_group,
    {{ money('p.list_price') }} as list_price,
    coalesce(p.is_deleted, false) as is_deleted
from {{ ref('int_unified__products') }} as p
inner join {{ source('raw_c4', 'integrations') }} as i
    on i.integration_id = p.integration_id
cross join {{ source('raw_c4', 'group_settings') }} as s
left join {{ ref('int_mapping__codes') }} as c
    on c.domain = 'category'
    and c.vendor = i.vendor
    and c.source_code = {{ code('p.source_category') }}
    and {{ utc_date('s.as_of') }} between c.valid_from and c.valid_to
