-- Payments that took money, with the refund that each of them tells. Cards that were refused took none; a payment
-- that was voided counts only in a check that was voided with it.
select
    p.integration_id,
    p.check_guid,
    p.guid,
    case p.type when 'OTHER' then coalesce(a.name, p.type) else p.type end as tender,
    p.amount,
    coalesce(p.tip_amount, 0) as tip,
    p.paid_date,
    c.source_outlet_id,
    coalesce(p.refund_status, 'NONE') <> 'NONE' and p.refund is not null as is_refunded,
    coalesce(
        cast((cast(p.refund as json) ->> 'refundTransaction') as json) ->> 'guid', p.guid || '-refund'
    ) as refund_guid,
    cast((cast(p.refund as json) ->> 'refundAmount') as decimal(18, 4)) as refund_amount,
    cast((cast(p.refund as json) ->> 'tipRefundAmount') as decimal(18, 4)) as tip_refund_amount,
    cast((cast(p.refund as json) ->> 'refundDate') as timestamp with time zone) as refunded_at,
    (cast(p.refund as json) ->> 'refundBusinessDate') as refund_day
from {{ current_children(
    delivered(source('raw_toast', 'payments')),
    ref('stg_toast__current_checks'),
    {'root_guid': 'order_guid', 'check_guid': 'check_guid'}
) }} as p
inner join {{ ref('stg_toast__current_checks') }} as c
    on c.integration_id = p.integration_id
    and c.check_guid = p.check_guid
left join {{ source('raw_toast', 'alternate_payment_types') }} as a
    on a.integration_id = c.integration_id
    and a.source_outlet_id = c.source_outlet_id
    and a.guid = p.other_payment
where
    (p.void_info is null or c.is_voided)
    and (coalesce(p.payment_status, '') not in ('DENIED', 'ERROR', 'ERROR_NETWORK', 'CANCELLED', 'VOIDED') or c.is_voided)
