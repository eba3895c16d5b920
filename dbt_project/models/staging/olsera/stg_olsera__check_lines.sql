-- `amount` holds the add-ons and is after the discount. Lines given back have negative quantities. The category is the
-- product's: lines have none, and a product that is gone has none any more.
with lines as (
    select
        item.*,
        parent.check_id,
        parent.source_channel,
        parent.is_voided,
        case when item.qty < 0 then 0 else item.amount + coalesce(item.discount, 0) end as gross_sales,
        case when item.qty < 0 then -item.amount else 0 end as returns
    from {{ current_children(delivered(source('raw_olsera', 'order_items')), delivered(source('raw_olsera', 'order_days'))) }} as item
    inner join {{ ref('stg_olsera__orders') }} as parent
        on parent.integration_id = item.integration_id
        and parent.source_outlet_id = item.root_source_outlet_id
        and parent.day = item.root_day
        and parent.order_id = item.order_id
)

select
    line.integration_id,
    line.check_id,
    line.root_source_outlet_id || '-' || line.id as line_id,
    'item' as line_type,
    line.root_source_outlet_id || '-' || line.product_id || coalesce('-' || line.product_variant_id, '')
        as source_product_id,
    nullif(line.product_sku, '') as product_code,
    trim(line.product_name || ' ' || coalesce(line.product_variant_name, '')) as product_name,
    product.klasifikasi as source_category,
    line.qty as quantity,
    line.price + coalesce(line.addon_price, 0) as unit_price,
    line.gross_sales,
    line.gross_sales - line.returns - line.amount as discounts,
    cast(0 as decimal(18, 4)) as comps,
    line.returns,
    line.amount as net_sales,
    case when line.qty >= 0 then line.discount_name end as discount_name,
    line.source_channel,
    line.is_voided
from lines as line
left join {{ source('raw_olsera', 'products') }} as product
    on product.integration_id = line.integration_id
    and product.source_outlet_id = line.root_source_outlet_id
    and product.id = line.product_id
