-- Time off requests in every status. A request counted in days is told in hours of the standard working day.
select
    integration_id,
    cast(id as varchar) as request_id,
    cast(employee_id as varchar) as employee_id,
    start as start_date,
    "end" as end_date,
    (cast(type as json) ->> 'name') as kind,
    cast(
        cast((cast(amount as json) ->> 'amount') as decimal(18, 4))
        * case (cast(amount as json) ->> 'unit') when 'days' then {{ var('working_day_hours', 8) }} else 1 end
        as decimal(18, 4)
    ) as hours,
    (cast(status as json) ->> 'status') as status
from {{ source('raw_bamboohr', 'time_off_requests') }}
