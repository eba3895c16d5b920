-- Clocked shifts. Toast knows no approval: a shift that has ended counts as approved, one that lasts has no hours yet.
select
    integration_id,
    guid as punch_id,
    source_outlet_id || ':' || employee_reference as employee_id,
    business_date as work_date,
    in_date as started_at,
    out_date as ended_at,
    case when out_date is null then 0 else coalesce(regular_hours, 0) + coalesce(overtime_hours, 0) end as hours,
    out_date is not null as is_approved,
    modified_date as updated_at
from {{ source('raw_toast', 'time_entries') }}
where deleted is not true
