-- Tenders as they are reported: a button for a note of cash reports as cash, and rounds as it.
select
    t.integration_id,
    t.source_outlet_id,
    t.id,
    coalesce(r.name, t.name) as name,
    case when coalesce(r.rounds, t.rounds) then coalesce(r.round_to, t.round_to, 0) else 0 end as round_to
from {{ source('raw_ncr_aloha', 'codes') }} as t
left join {{ source('raw_ncr_aloha', 'codes') }} as r
    on r.integration_id = t.integration_id
    and r.source_outlet_id = t.source_outlet_id
    and r.kind = 'TDR'
    and r.id = t.report_as
where t.kind = 'TDR'
