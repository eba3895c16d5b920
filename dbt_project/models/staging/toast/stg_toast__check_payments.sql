-- Payments, and what was given back of them. A tender of the restaurant's own is called by its name.
select
    integration_id,
    check_guid as check_id,
    guid as payment_id,
    tender as source_tender,
    amount,
    tip,
    paid_date as paid_at
from {{ ref('stg_toast__current_payments') }}
union all
select
    integration_id,
    refund_guid as check_id,
    guid || '-refund' as payment_id,
    tender as source_tender,
    -refund_amount as amount,
    -tip_refund_amount as tip,
    refunded_at as paid_at
from {{ ref('stg_toast__current_payments') }}
where is_refunded
