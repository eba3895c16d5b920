{%- set sales = delivered(source('raw_qasir', 'sales')) -%}

-- What was applied, without change. A refund goes back through the greatest payment of its sale.
with payments as (
    select
        *,
        row_number() over (partition by integration_id, root_id order by amount desc, id) as place
    from {{ current_children(delivered(source('raw_qasir', 'payments')), sales) }} as child
)

select
    integration_id,
    cast(root_id as varchar) as check_id,
    cast(id as varchar) as payment_id,
    payment_mode as source_tender,
    amount,
    cast(0 as decimal(18, 4)) as tip,
    paid_at
from payments
union all
select
    refund.integration_id,
    cast(refund.id as varchar) as check_id,
    'refund-' || cast(refund.id as varchar) as payment_id,
    paid.payment_mode as source_tender,
    -refund.amount as amount,
    cast(0 as decimal(18, 4)) as tip,
    refund.refunded_at as paid_at
from {{ current_children(delivered(source('raw_qasir', 'refunds')), sales) }} as refund
left join payments as paid
    on paid.integration_id = refund.integration_id
    and paid.root_id = refund.root_id
    and paid.place = 1
