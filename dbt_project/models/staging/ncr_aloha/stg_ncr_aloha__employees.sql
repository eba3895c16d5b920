-- Staff by site and number, with their first job. No names; a day of leaving is not told.
select
    e.integration_id,
    e.source_outlet_id || ':' || cast(e.id as varchar) as employee_id,
    e.source_outlet_id,
    j.name as job_title,
    cast(null as varchar) as department,
    cast(null as varchar) as manager_id,
    case when e.is_terminated then 'terminated' else 'active' end as employment_status,
    e.hired_on,
    cast(null as date) as left_on
from {{ source('raw_ncr_aloha', 'employees') }} as e
left join {{ source('raw_ncr_aloha', 'codes') }} as j
    on j.integration_id = e.integration_id
    and j.source_outlet_id = e.source_outlet_id
    and j.kind = 'JOB'
    and j.id = e.job
