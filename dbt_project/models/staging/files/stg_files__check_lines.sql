select
    integration_id,
    root_check_id as check_id,
    line_id,
    line_type,
    product_id as source_product_id,
    product_code,
    product_name,
    category as source_category,
    quantity,
    unit_price,
    gross_sales,
    discounts,
    comps,
    returns,
    net_sales,
    discount_name,
    lower(channel) as source_channel,
    is_voided
from {{ current_children(
    delivered(source('raw_files', 'check_lines')), ref('stg_files__current_checks'), {'root_path': 'path', 'root_check_id': 'check_id'}
) }} as lines
