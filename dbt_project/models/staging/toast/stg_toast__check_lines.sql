-- Lines of sales, and what refunds gave back of them. Prices are of the whole line with its modifiers.
with lines as (
    select
        *,
        check_guid as check_id,
        guid as line_id,
        quantity as units,
        pre_discount_price as gross_sales,
        cast(0 as decimal(18, 4)) as returns,
        price as net_sales,
        discount_name as reduced_by,
        is_voided as is_cancelled
    from {{ ref('stg_toast__current_selections') }}
    union all
    select
        *,
        refund_guid as check_id,
        guid || '-refund' as line_id,
        -quantity as units,
        cast(0 as decimal(18, 4)) as gross_sales,
        refund_amount as returns,
        -refund_amount as net_sales,
        cast(null as varchar) as reduced_by,
        is_voided as is_cancelled
    from {{ ref('stg_toast__current_selections') }}
    where refund_guid is not null
)

select
    integration_id,
    check_id,
    line_id,
    line_type,
    item as source_product_id,
    product_code,
    display_name as product_name,
    sales_category as source_category,
    units as quantity,
    receipt_line_price as unit_price,
    gross_sales,
    gross_sales - net_sales - returns as discounts,
    cast(0 as decimal(18, 4)) as comps,
    returns,
    net_sales,
    reduced_by as discount_name,
    lower(dining_option) as source_channel,
    is_cancelled as is_voided
from lines
