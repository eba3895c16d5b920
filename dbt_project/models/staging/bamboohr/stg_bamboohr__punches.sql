-- Clocked shifts and typed-in hours. The vendor deletes without a trace: when the last read of a day lacks an entry
-- that an earlier read had, the entry is gone. A shift that is still open counts no hours yet and is not approved.
with entries as (
    select
        *,
        max(read_until) over (partition by integration_id, date) as day_read_until
    from {{ source('raw_bamboohr', 'timesheet_entries') }}
)

select
    integration_id,
    cast(id as varchar) as punch_id,
    cast(employee_id as varchar) as employee_id,
    date as work_date,
    start as started_at,
    "end" as ended_at,
    coalesce(hours, 0) as hours,
    approved and hours is not null as is_approved,
    coalesce(updated_at, created_at) as updated_at
from entries
where read_until = day_read_until
