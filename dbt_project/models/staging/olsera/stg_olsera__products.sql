{%- set products = source('raw_olsera', 'products') -%}

-- What is sold is the variant of a product where it has any; every store has products of its own.
select
    product.integration_id,
    product.source_outlet_id || '-' || product.id || coalesce('-' || variant.id, '') as source_product_id,
    coalesce(nullif(variant.sku, ''), nullif(product.sku, '')) as product_code,
    trim(product.name || ' ' || coalesce(variant.name, '')) as product_name,
    product.klasifikasi as source_category,
    coalesce(variant.price, product.price) as list_price,
    false as is_deleted
from {{ products }} as product
left join {{ current_children(source('raw_olsera', 'product_variants'), products) }} as variant
    on variant.integration_id = product.integration_id
    and variant.root_id = product.id
    and variant.root_source_outlet_id = product.source_outlet_id
