-- One row per employee as of the logical time of the build: the job row and the employment spell in effect. Rows that
-- take effect later (a move, a notice given) wait; a row without a date has always been in effect.
with logical_time as (
    select cast(as_of at time zone 'UTC' as date) as today
    from {{ source('raw_c4', 'group_settings') }}
),

job_rows as (
    select
        job_info.integration_id,
        job_info.employee_id,
        nullif(job_info.location, '') as location,
        nullif(job_info.job_title, '') as job_title,
        nullif(job_info.department, '') as department,
        row_number() over (
            partition by job_info.integration_id, job_info.employee_id
            order by coalesce(job_info.date, date '1900-01-01') desc, job_info.c4_seq desc
        ) as newest
    from {{ source('raw_bamboohr', 'job_info') }} as job_info
    cross join logical_time
    where job_info.date is null or job_info.date <= logical_time.today
),

status_rows as (
    select
        employment_status.integration_id,
        employment_status.employee_id,
        employment_status.date as valid_from,
        employment_status.employment_status,
        employment_status.c4_seq,
        coalesce(lower(employment_status.employment_status), '') = 'terminated' as is_end
    from {{ source('raw_bamboohr', 'employment_status') }} as employment_status
    cross join logical_time
    where employment_status.date is null or employment_status.date <= logical_time.today
),

-- A spell ends with its "Terminated" row; somebody hired again begins the next one.
spells as (
    select
        *,
        coalesce(
            sum(case when is_end then 1 else 0 end) over (
                partition by integration_id, employee_id
                order by coalesce(valid_from, date '1900-01-01'), c4_seq
                rows between unbounded preceding and 1 preceding
            ), 0
        ) as spell,
        row_number() over (
            partition by integration_id, employee_id
            order by coalesce(valid_from, date '1900-01-01') desc, c4_seq desc
        ) as newest
    from status_rows
),

statuses as (
    select
        spells.integration_id,
        spells.employee_id,
        max(case when spells.newest = 1 then spells.employment_status end) as employment_status,
        min(case when not spells.is_end then spells.valid_from end) as hired_on,
        max(case when spells.is_end then spells.valid_from end) as left_on
    from spells
    inner join spells as current_row
        on spells.integration_id = current_row.integration_id
        and spells.employee_id = current_row.employee_id
        and spells.spell = current_row.spell
        and current_row.newest = 1
    group by spells.integration_id, spells.employee_id
),

jobs as (
    select * from job_rows
    where newest = 1
)

select
    coalesce(jobs.integration_id, statuses.integration_id) as integration_id,
    coalesce(jobs.employee_id, statuses.employee_id) as employee_id,
    jobs.location as source_outlet_id,
    jobs.job_title,
    jobs.department,
    nullif(reporting_lines.supervisor_eid, '') as manager_id,
    statuses.employment_status,
    statuses.hired_on,
    statuses.left_on
from jobs
full outer join statuses
    on jobs.integration_id = statuses.integration_id
    and jobs.employee_id = statuses.employee_id
left join {{ source('raw_bamboohr', 'reporting_lines') }} as reporting_lines
    on coalesce(jobs.integration_id, statuses.integration_id) = reporting_lines.integration_id
    and coalesce(jobs.employee_id, statuses.employee_id) = reporting_lines.id
