{%- set receipts = delivered(source('raw_pawoon', 'transactions')) -%}

-- A refund is a receipt of its own in positive amounts: its quantities are turned negative, its net becomes returns.
-- SKUs stand in the menu only.
with lines as (
    select
        item.*,
        receipt.source_outlet_id,
        lower(receipt.company_sales_type) as source_channel,
        coalesce(receipt.status, '') = 'void' as is_voided,
        coalesce(receipt.status, '') = 'refund' as is_refund
    from {{ current_children(delivered(source('raw_pawoon', 'transaction_items')), receipts) }} as item
    inner join {{ receipts }} as receipt
        on receipt.integration_id = item.integration_id
        and receipt.id = item.root_id
)

select
    line.integration_id,
    line.root_id as check_id,
    line.id as line_id,
    'item' as line_type,
    line.source_outlet_id || '-' || coalesce(line.variant_id, line.product_id) as source_product_id,
    product.product_code,
    coalesce(product.product_name, line.name) as product_name,
    line.category as source_category,
    case when line.is_refund then -line.qty else line.qty end as quantity,
    line.price + line.modifier_price as unit_price,
    case when line.is_refund then 0 else line.amount + coalesce(line.discount, 0) end as gross_sales,
    case when line.is_refund then 0 else coalesce(line.discount, 0) end as discounts,
    cast(0 as decimal(18, 4)) as comps,
    case when line.is_refund then line.amount else 0 end as returns,
    case when line.is_refund then -line.amount else line.amount end as net_sales,
    case when not line.is_refund then line.discount_name end as discount_name,
    line.source_channel,
    line.is_voided
from lines as line
left join {{ ref('stg_pawoon__products') }} as product
    on product.integration_id = line.integration_id
    and product.source_product_id = line.source_outlet_id || '-' || coalesce(line.variant_id, line.product_id)
