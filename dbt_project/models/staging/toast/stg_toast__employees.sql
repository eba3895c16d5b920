-- Staff per restaurant. Toast allows several jobs: the one of the last clocked shift is told, before the first shift the
-- first by title. A GUID is not promised to be another one in every restaurant, so the restaurant is part of the id.
-- Archived staff have left; neither day is known.
with clocked as (
    select
        integration_id,
        source_outlet_id,
        employee_reference,
        job_reference,
        row_number() over (
            partition by integration_id, source_outlet_id, employee_reference
            order by in_date desc, guid desc
        ) as place
    from {{ source('raw_toast', 'time_entries') }}
    where job_reference is not null and deleted is not true
),

assigned as (
    select e.integration_id, e.root_source_outlet_id as source_outlet_id, e.root_guid, min(j.title) as title
    from {{ current_children(source('raw_toast', 'employee_jobs'), source('raw_toast', 'employees')) }} as e
    inner join {{ source('raw_toast', 'jobs') }} as j
        on j.integration_id = e.integration_id
        and j.source_outlet_id = e.root_source_outlet_id
        and j.guid = e.guid
    group by e.integration_id, e.root_source_outlet_id, e.root_guid
)

select
    e.integration_id,
    e.source_outlet_id || ':' || e.guid as employee_id,
    e.source_outlet_id,
    coalesce(j.title, a.title) as job_title,
    cast(null as varchar) as department,
    cast(null as varchar) as manager_id,
    case when coalesce(e.deleted, false) then 'archived' else 'active' end as employment_status,
    cast(null as date) as hired_on,
    cast(null as date) as left_on
from {{ source('raw_toast', 'employees') }} as e
left join clocked as c
    on c.integration_id = e.integration_id
    and c.source_outlet_id = e.source_outlet_id
    and c.employee_reference = e.guid
    and c.place = 1
left join {{ source('raw_toast', 'jobs') }} as j
    on j.integration_id = c.integration_id
    and j.source_outlet_id = c.source_outlet_id
    and j.guid = c.job_reference
left join assigned as a
    on a.integration_id = e.integration_id
    and a.source_outlet_id = e.source_outlet_id
    and a.root_guid = e.guid
