{%- set receipts = delivered(source('raw_moka', 'transactions')) -%}

-- Lines of sales and of refunds. A line's discount is what lies between its gross and its net; of several discounts
-- the greatest gives the name. Lines given back have negative quantities, and their net as returns.
with named_discounts as (
    select
        integration_id,
        root_id,
        checkout_uuid,
        discount_name,
        row_number() over (
            partition by integration_id, root_id, checkout_uuid
            order by discount_amount desc, discount_name
        ) as place
    from {{ current_children(delivered(source('raw_moka', 'checkout_discounts')), receipts) }} as child
),

lines as (
    select
        line.integration_id,
        line.root_id as check_id,
        line.uuid,
        line.item_id,
        line.item_variant_id,
        line.sku,
        line.item_name,
        line.item_variant_name,
        line.category_name,
        line.quantity,
        line.item_price,
        line.gross_sales,
        cast(0 as decimal(18, 4)) as returns,
        line.net_sales,
        discount.discount_name,
        line.sales_type_name,
        line.is_deleted
    from {{ current_children(delivered(source('raw_moka', 'checkouts')), receipts) }} as line
    left join named_discounts as discount
        on discount.integration_id = line.integration_id
        and discount.root_id = line.root_id
        and discount.checkout_uuid = line.uuid
        and discount.place = 1
    union all
    select
        integration_id,
        refund_uuid as check_id,
        uuid,
        item_id,
        item_variant_id,
        sku,
        item_name,
        item_variant_name,
        category_name,
        quantity,
        item_price,
        cast(0 as decimal(18, 4)) as gross_sales,
        -net_sales as returns,
        net_sales,
        cast(null as varchar) as discount_name,
        sales_type_name,
        is_deleted
    from {{ current_children(delivered(source('raw_moka', 'refund_checkouts')), receipts) }} as child
)

select
    integration_id,
    check_id,
    uuid as line_id,
    'item' as line_type,
    cast(coalesce(item_variant_id, item_id) as varchar) as source_product_id,
    nullif(sku, '') as product_code,
    trim(coalesce(item_name, '') || ' ' || coalesce(item_variant_name, '')) as product_name,
    category_name as source_category,
    quantity,
    item_price as unit_price,
    gross_sales,
    gross_sales - net_sales - returns as discounts,
    cast(0 as decimal(18, 4)) as comps,
    returns,
    net_sales,
    discount_name,
    lower(sales_type_name) as source_channel,
    coalesce(is_deleted, false) as is_voided
from lines
