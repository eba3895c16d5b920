-- Staff per location: numbers are a location's own. The job is that of the last clocked shift, before the first one the
-- employee class. Neither the first nor the last day is told, and who has left is in no list.
with clocked as (
    select
        integration_id,
        source_outlet_id,
        emp_num,
        jc_num,
        row_number() over (
            partition by integration_id, source_outlet_id, emp_num
            order by clk_in_utc desc, tc_id desc
        ) as place
    from {{ source('raw_oracle_micros', 'time_cards') }}
    where jc_num is not null
),

staff as (
    select *, max(read_until) over (partition by integration_id, source_outlet_id) as staff_read_until
    from {{ source('raw_oracle_micros', 'employees') }}
)

select
    e.integration_id,
    e.source_outlet_id || '-' || cast(e.num as varchar) as employee_id,
    e.source_outlet_id,
    coalesce(j.name, e.class_name) as job_title,
    cast(null as varchar) as department,
    cast(null as varchar) as manager_id,
    case when e.read_until < e.staff_read_until then 'left' else 'active' end as employment_status,
    cast(null as date) as hired_on,
    cast(null as date) as left_on
from staff as e
left join clocked as c
    on c.integration_id = e.integration_id
    and c.source_outlet_id = e.source_outlet_id
    and c.emp_num = e.num
    and c.place = 1
left join {{ source('raw_oracle_micros', 'job_codes') }} as j
    on j.integration_id = c.integration_id
    and j.source_outlet_id = c.source_outlet_id
    and j.num = c.jc_num
