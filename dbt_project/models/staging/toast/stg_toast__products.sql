-- Items of the published menus, each restaurant with items of its own. What the last reading of a restaurant's menus no
-- longer showed is gone from them.
with items as (
    select
        *,
        max(read_until) over (partition by integration_id, source_outlet_id) as menu_read_until
    from {{ source('raw_toast', 'menu_items') }}
)

select
    integration_id,
    guid as source_product_id,
    nullif(coalesce(nullif(sku, ''), plu), '') as product_code,
    name as product_name,
    sales_category as source_category,
    price as list_price,
    read_until < menu_read_until as is_deleted
from items
