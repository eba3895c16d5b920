{{ config(materialized='by_day') }}

select
    p.integration_id,
    p.check_id,
    p.payment_id,
    c.outlet_id,
    c.entity_id,
    c.business_date,
    c.check_type,
    c.is_voided,
    coalesce(tenders.canonical, 'unmapped') as tender,
    {{ code('p.source_tender') }} as source_tender,
    p.paid_at,
    {{ money(translate('p.amount', 'c')) }} as amount,
    {{ money(translate('coalesce(p.tip, 0)', 'c')) }} as tip,
    {{ money('p.amount') }} as local_amount,
    {{ money('coalesce(p.tip, 0)') }} as local_tip
from {{ ref('int_unified__check_payments') }} as p
inner join {{ ref('int_sales__checks') }} as c
    on c.integration_id = p.integration_id
    and c.check_id = p.check_id
    and c.outlet_id is not null
    and {{ touched('c') }}
left join {{ ref('int_mapping__codes') }} as tenders
    on tenders.domain = 'tender'
    and tenders.vendor = c.vendor
    and tenders.source_code = {{ code('p.source_tender') }}
    and c.business_date between tenders.valid_from and tenders.valid_to
