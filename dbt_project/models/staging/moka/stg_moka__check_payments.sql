{%- set receipts = delivered(source('raw_moka', 'transactions')) -%}

-- Moka shows one tender per receipt, and a refund goes back through it. What was collected is without change.
select
    integration_id,
    id as check_id,
    id as payment_id,
    coalesce(payment_type_label, payment_type) as source_tender,
    total_collected as amount,
    cast(0 as decimal(18, 4)) as tip,
    created_at as paid_at
from {{ receipts }}
union all
select
    refund.integration_id,
    refund.uuid as check_id,
    refund.uuid as payment_id,
    coalesce(receipt.payment_type_label, receipt.payment_type) as source_tender,
    refund.total_collected_amount as amount,
    cast(0 as decimal(18, 4)) as tip,
    refund.refunded_at as paid_at
from {{ current_children(delivered(source('raw_moka', 'payment_refunds')), receipts) }} as refund
inner join {{ receipts }} as receipt
    on receipt.integration_id = refund.integration_id
    and receipt.id = refund.root_id
