{%- set days = delivered(source('raw_olsera', 'order_days')) -%}

-- Orders of the last reading of each store and day, at their instant, with one id over all stores.
select
    child.integration_id,
    child.root_source_outlet_id as source_outlet_id,
    child.root_day as day,
    child.root_source_outlet_id || '-' || child.id as check_id,
    child.id as order_id,
    child.order_no,
    child.root_source_outlet_id || '-' || child.return_of_order_id as returned_check_id,
    {{ instant_at('child.order_time', 'day.timezone') }} as ordered_at,
    lower(child.order_source) as source_channel,
    coalesce(child.is_void, false) as is_voided,
    child.sales_by_name as staff_ref,
    coalesce(
        child.total_amount, child.grand_total, child.total_after_discount, child.total, child.nett_sales,
        child.total_payment
    ) as total,
    child.tax_amount,
    child.service_charge_amount,
    child.rounding,
    cast(day.read_until as timestamp with time zone) as read_until,
    child.c4_seq
from {{ current_children(delivered(source('raw_olsera', 'orders')), days) }} as child
inner join {{ days }} as day
    on day.integration_id = child.integration_id
    and day.source_outlet_id = child.root_source_outlet_id
    and day.day = child.root_day
