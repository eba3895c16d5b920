-- Service charges of every kind with what was given back of them; a gratuity is a tip that the check imposes.
select
    s.integration_id,
    s.check_guid,
    s.guid,
    case
        when coalesce(s.gratuity, false) then 'tip'
        when s.service_charge_category = 'CASH_ROUNDING' then 'rounding'
        when s.service_charge_category = 'FUNDRAISING_CAMPAIGN' then 'donation'
        else 'service_charge'
    end as kind,
    s.charge_amount,
    cast((cast(s.refund_details as json) ->> 'refundTransaction') as json) ->> 'guid' as refund_guid,
    coalesce(cast((cast(s.refund_details as json) ->> 'refundAmount') as decimal(18, 4)), 0) as refund_amount,
    coalesce(cast((cast(s.refund_details as json) ->> 'taxRefundAmount') as decimal(18, 4)), 0) as tax_refund_amount
from {{ current_children(
    delivered(source('raw_toast', 'service_charges')),
    ref('stg_toast__current_checks'),
    {'root_guid': 'order_guid', 'check_guid': 'check_guid'}
) }} as s
