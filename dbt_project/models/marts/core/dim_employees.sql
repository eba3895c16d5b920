select
    e.integration_id,
    e.employee_id,
    m.outlet_id,
    coalesce(j.canonical, e.job_title) as job,
    e.department,
    e.manager_id,
    e.employment_status,
    e.hired_on,
    e.left_on
from {{ ref('int_unified__employees') }} as e
inner join {{ source('raw_c4', 'integrations') }} as i
    on i.integration_id = e.integration_id
cross join {{ source('raw_c4', 'group_settings') }} as s
left join {{ source('raw_c4', 'integration_outlets') }} as m
    on m.integration_id = e.integration_id
    and m.source_outlet_id = e.source_outlet_id
left join {{ ref('int_mapping__codes') }} as j
    on j.domain = 'job'
    and j.vendor = i.vendor
    and j.source_code = {{ code('e.job_title') }}
    and {{ utc_date('s.as_of') }} between j.valid_from and j.valid_to
