{%- set receipts = delivered(source('raw_pawoon', 'transactions')) -%}

-- Payments have no ids: they are numbered within their receipt. A receipt that tells none has one of its final amount,
-- whose tender nobody knows.
with payments as (
    select
        *,
        row_number() over (partition by integration_id, root_id order by method, amount) as place
    from {{ current_children(delivered(source('raw_pawoon', 'transaction_payments')), receipts) }} as child
)

select
    receipt.integration_id,
    receipt.id as check_id,
    receipt.id || '-' || cast(coalesce(p.place, 1) as varchar) as payment_id,
    coalesce(p.method, 'unknown') as source_tender,
    case when coalesce(receipt.status, '') = 'refund' then -1 else 1 end * coalesce(p.amount, receipt.final_amount)
        as amount,
    cast(0 as decimal(18, 4)) as tip,
    {{ instant_at('coalesce(p.paid_at, receipt.device_timestamp)', 'receipt.timezone') }} as paid_at
from {{ receipts }} as receipt
left join payments as p
    on p.integration_id = receipt.integration_id
    and p.root_id = receipt.id
