-- The outlet-days for which a stand-in has checks, and whether the till has told all of the day since.
with told_until as (
    select m.outlet_id, max(w.complete_until) as complete_until
    from {{ source('raw_c4', 'watermarks') }} as w
    inner join {{ source('raw_c4', 'integration_outlets') }} as m
        on m.integration_id = w.integration_id
        and w.source_outlet_id in (m.source_outlet_id, '')
    inner join {{ source('raw_c4', 'integrations') }} as i
        on i.integration_id = w.integration_id
        and i.stands_in is not true
    where w.marks_complete
    group by m.outlet_id
)

select s.outlet_id, s.business_date, coalesce(t.complete_until >= c.ends_at, false) as is_replaced
from (
    select distinct outlet_id, business_date
    from {{ ref('int_sales__placed_days') }}
    where stands_in and outlet_id is not null
) as s
left join {{ ref('dim_outlet_dates') }} as c
    on c.outlet_id = s.outlet_id
    and c.business_date = s.business_date
left join told_until as t
    on t.outlet_id = s.outlet_id
