{%- set items = source('raw_moka', 'items') -%}

-- What is sold is the variant of an item; every outlet has items of its own.
select
    variant.integration_id,
    cast(variant.id as varchar) as source_product_id,
    nullif(variant.sku, '') as product_code,
    trim(item.name || ' ' || coalesce(variant.name, '')) as product_name,
    category.name as source_category,
    variant.price as list_price,
    coalesce(item.is_deleted, false) or coalesce(variant.is_deleted, false) as is_deleted
from {{ current_children(source('raw_moka', 'item_variants'), items) }} as variant
inner join {{ items }} as item
    on item.integration_id = variant.integration_id
    and item.id = variant.root_id
left join {{ source('raw_moka', 'categories') }} as category
    on category.integration_id = item.integration_id
    and category.id = item.category_id
