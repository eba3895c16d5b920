{%- set products = source('raw_qasir', 'products') -%}

-- What is sold is the variant of a product; every outlet has variants of its own.
select
    variant.integration_id,
    cast(variant.id as varchar) as source_product_id,
    nullif(variant.sku, '') as product_code,
    trim(product.name || ' ' || coalesce(variant.name, '')) as product_name,
    product.category as source_category,
    variant.price as list_price,
    not coalesce(product.is_active, true) as is_deleted
from {{ current_children(source('raw_qasir', 'product_variants'), products) }} as variant
inner join {{ products }} as product
    on product.integration_id = variant.integration_id
    and product.id = variant.root_id
    and product.source_outlet_id = variant.root_source_outlet_id
