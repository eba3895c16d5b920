-- Payments by the tender that they report as; one whose master is missing is called by its number. Type 11 is none.
select
    p.integration_id,
    c.check_id,
    c.source_outlet_id || '/' || cast(c.dob as varchar) || '/' || cast(p.id as varchar) as payment_id,
    coalesce(t.name, cast(p.tender as varchar)) as source_tender,
    p.amount,
    coalesce(p.tip, 0) as tip,
    {{ instant_at('p.paid', 'c.timezone') }} as paid_at,
    coalesce(p.auto_grat, 0) as service_charge,
    coalesce(t.round_to, 0) as round_to
from {{ current_children(
    source('raw_ncr_aloha', 'payments'), ref('stg_ncr_aloha__current_checks'), {'root_seq': 'root_seq', 'check_id': 'check_id'}
) }} as p
inner join {{ ref('stg_ncr_aloha__current_checks') }} as c
    on c.integration_id = p.integration_id
    and c.check_id = p.check_id
left join {{ ref('stg_ncr_aloha__current_tenders') }} as t
    on t.integration_id = c.integration_id
    and t.source_outlet_id = c.source_outlet_id
    and t.id = p.tender
where p.type <> 11
