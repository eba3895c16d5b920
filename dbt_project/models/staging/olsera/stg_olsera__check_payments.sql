{%- set days = delivered(source('raw_olsera', 'order_days')) -%}

-- Payments of each order. An order that tells none has one of its total, whose tender nobody knows.
with payments as (
    select *
    from {{ current_children(delivered(source('raw_olsera', 'order_payments')), days) }} as child
)

select
    o.integration_id,
    o.check_id,
    o.check_id || coalesce('-' || p.id, '') as payment_id,
    coalesce(p.payment_mode_name, 'unknown') as source_tender,
    coalesce(p.amount, o.total) as amount,
    cast(0 as decimal(18, 4)) as tip,
    o.ordered_at as paid_at
from {{ ref('stg_olsera__orders') }} as o
left join payments as p
    on p.integration_id = o.integration_id
    and p.root_source_outlet_id = o.source_outlet_id
    and p.root_day = o.day
    and p.order_id = o.order_id
