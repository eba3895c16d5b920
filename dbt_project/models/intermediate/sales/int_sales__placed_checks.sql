-- The checks that count, at their outlet and business date. A check of an outlet or an integration that configuration does
-- not know has neither: it stands in mapping_exceptions and nowhere else. Checks of a stand-in (totals entered or files
-- uploaded while a till's integration was down) count in the place of the till's own until those of the day are complete,
-- and never beside them.
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
),

stand_ins as (
    select s.outlet_id, s.business_date, coalesce(t.complete_until >= c.ends_at, false) as is_replaced
    from (
        select distinct outlet_id, business_date
        from {{ ref('int_sales__located_checks') }}
        where stands_in and outlet_id is not null
    ) as s
    left join {{ ref('dim_outlet_dates') }} as c
        on c.outlet_id = s.outlet_id
        and c.business_date = s.business_date
    left join told_until as t
        on t.outlet_id = s.outlet_id
)

select c.*
from {{ ref('int_sales__located_checks') }} as c
left join stand_ins as s
    on s.outlet_id = c.outlet_id
    and s.business_date = c.business_date
where s.outlet_id is null or c.stands_in <> s.is_replaced
