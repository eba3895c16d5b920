-- What is sold is the variant of a product where it has any. Prices and, for copied menus, ids differ by outlet.
select
    product.integration_id,
    product.source_outlet_id || '-' || coalesce(variant.id, product.id) as source_product_id,
    coalesce(nullif(variant.sku, ''), nullif(product.sku, '')) as product_code,
    trim(product.name || ' ' || coalesce(variant.name, '')) as product_name,
    product.category as source_category,
    coalesce(variant.price, product.price) as list_price,
    not coalesce(product.is_active, true) as is_deleted
from {{ source('raw_pawoon', 'products') }} as product
left join {{ source('raw_pawoon', 'variants') }} as variant
    on variant.integration_id = product.integration_id
    and variant.source_outlet_id = product.source_outlet_id
    and variant.product_id = product.id
    and product.has_variant
