-- Time cards that count: of the current reading of their day, before it is ground of the socket. Aloha knows no
-- approval: a shift that has ended counts as approved, one that lasts has no hours yet.
select
    p.integration_id,
    p.punch_id,
    p.source_outlet_id || ':' || cast(p.employee as varchar) as employee_id,
    p.work_date,
    {{ instant_at('p.started', 'p.timezone') }} as started_at,
    {{ instant_at('p.ended', 'p.timezone') }} as ended_at,
    case when p.ended is null then 0 else coalesce(p.hours, 0) end as hours,
    p.ended is not null as is_approved,
    {{ instant_at('coalesce(p.ended, p.started)', 'p.timezone') }} as updated_at
from {{ source('raw_ncr_aloha', 'punches') }} as p
left join {{ source('raw_ncr_aloha', 'business_days') }} as d
    on d.integration_id = p.integration_id
    and d.source_outlet_id = p.source_outlet_id
    and d.dob = p.dob
where
    (d.reading_id is null or d.reading_id = p.reading_id)
    and not coalesce(p.is_invalid, false)
