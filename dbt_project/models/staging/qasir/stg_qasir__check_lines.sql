{%- set sales = delivered(source('raw_qasir', 'sales')) -%}

-- Lines of sales and of refunds. A refund tells of its lines how many units and how much was given back; what they are
-- stands in the sale. Categories stand in the menu only.
with sold as (
    select child.*
    from {{ current_children(delivered(source('raw_qasir', 'carts')), sales) }} as child
),

lines as (
    select
        integration_id,
        root_id,
        root_id as check_id,
        cast(id as varchar) as line_id,
        id as cart_id,
        quantity,
        sub_total as gross_sales,
        total_discount as discounts,
        cast(0 as decimal(18, 4)) as returns,
        discount_name
    from sold
    union all
    select
        integration_id,
        root_id,
        refund_id as check_id,
        cast(refund_id as varchar) || '-' || cast(cart_id as varchar) as line_id,
        cart_id,
        -quantity,
        cast(0 as decimal(18, 4)) as gross_sales,
        cast(0 as decimal(18, 4)) as discounts,
        amount as returns,
        cast(null as varchar) as discount_name
    from {{ current_children(delivered(source('raw_qasir', 'refund_carts')), sales) }} as child
)

select
    line.integration_id,
    cast(line.check_id as varchar) as check_id,
    line.line_id,
    'item' as line_type,
    cast(sold.variant as varchar) as source_product_id,
    nullif(sold.variant_sku, '') as product_code,
    trim(sold.product_name || ' ' || coalesce(sold.variant_name, '')) as product_name,
    product.category as source_category,
    line.quantity,
    sold.price_sell as unit_price,
    line.gross_sales,
    line.discounts,
    cast(0 as decimal(18, 4)) as comps,
    line.returns,
    line.gross_sales - line.discounts - line.returns as net_sales,
    line.discount_name,
    lower(sale.sales_type) as source_channel,
    sale.status = 'cancelled' as is_voided
from lines as line
inner join {{ sales }} as sale
    on sale.integration_id = line.integration_id
    and sale.id = line.root_id
inner join sold
    on sold.integration_id = line.integration_id
    and sold.root_id = line.root_id
    and sold.id = line.cart_id
left join {{ source('raw_qasir', 'products') }} as product
    on product.integration_id = line.integration_id
    and product.source_outlet_id = cast(sale.outlet_id as varchar)
    and product.id = sold.product_id
