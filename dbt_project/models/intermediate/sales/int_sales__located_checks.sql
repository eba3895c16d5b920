-- Kept checks at the outlet that configuration gives them and at their business date: the till's own, else the one whose
-- window holds the time. A check for which there is none of either has no outlet.

-- Put together before checks are looked at, whatever a planner thinks of it: all checks of a date met by all outlets that
-- were open on it are as many as their product.
with places as materialized (
    select * from {{ ref('int_outlets__places') }}
)

select
    c.*,
    i.vendor,
    coalesce(i.stands_in, false) as stands_in,
    p.outlet_id,
    p.business_date
from {{ delivered(ref('int_sales__staged_checks')) }} as c
left join {{ source('raw_c4', 'integrations') }} as i
    on i.integration_id = c.integration_id
left join places as p
    on p.integration_id = c.integration_id
    and p.source_outlet_id = c.source_outlet_id
    and p.is_told = (c.source_business_date is not null)
    and p.on_date = coalesce(c.source_business_date, {{ utc_date('c.opened_at') }})
    and (p.is_told or (c.opened_at >= p.starts_at and c.opened_at < p.ends_at))
