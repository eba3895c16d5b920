-- Overtime counts from the normal hours of a day, over all shifts of an employee on one business date
-- (PP 35/2021 art. 31, workday: the first hour at 1.5 times the rate, further hours at twice).
with placed as (
    select
        p.integration_id,
        p.punch_id,
        p.employee_id,
        p.started_at,
        p.ended_at,
        coalesce(p.hours, 0) as hours,
        coalesce(p.is_approved, false) as is_approved,
        i.vendor,
        e.job_title,
        m.outlet_id,
        -- a shift belongs to the business date on which it starts; typed-in hours to the date they were typed for
        coalesce(w.business_date, p.work_date) as business_date,
        p.updated_at
    from {{ ref('int_labor__punches') }} as p
    left join {{ source('raw_c4', 'integrations') }} as i
        on i.integration_id = p.integration_id
    left join {{ ref('int_unified__employees') }} as e
        on e.integration_id = p.integration_id
        and e.employee_id = p.employee_id
    left join {{ source('raw_c4', 'integration_outlets') }} as m
        on m.integration_id = e.integration_id
        and m.source_outlet_id = e.source_outlet_id
    left join {{ ref('int_outlets__windows') }} as w
        on w.outlet_id = m.outlet_id
        and w.utc_date = {{ utc_date('p.started_at') }}
        and p.started_at >= w.starts_at
        and p.started_at < w.ends_at
),

rated as (
    select
        p.*,
        d.entity_id,
        d.currency_exponent,
        jobs.canonical as job,
        r.hourly_rate,
        r.burden,
        {{ money('r.daily_normal_hours') }} as normal_hours,
        {{ money('sum(p.hours) over shifts_so_far') }} as hours_after,
        {{ money('sum(p.hours) over shifts_so_far - p.hours') }} as hours_before
    from placed as p
    left join {{ ref('dim_outlet_dates') }} as d
        on d.outlet_id = p.outlet_id
        and d.business_date = p.business_date
    left join {{ ref('int_mapping__codes') }} as jobs
        on jobs.domain = 'job'
        and jobs.vendor = p.vendor
        and jobs.source_code = {{ code('p.job_title') }}
        and p.business_date between jobs.valid_from and jobs.valid_to
    left join {{ ref('int_mapping__labor_rates') }} as r
        on r.entity_id = d.entity_id
        and r.job = jobs.canonical
        and p.business_date between r.valid_from and r.valid_to
    window shifts_so_far as (
        partition by p.integration_id, p.employee_id, p.outlet_id, p.business_date
        order by p.started_at, p.punch_id
        rows between unbounded preceding and current row
    )
),

-- The cost of the day up to and before each shift, rounded: the difference is the shift's, and the shifts of a day
-- sum to the rounded cost of the day.
costed as (
    select
        *,
        {% for moment in ['before', 'after'] -%}
        {%- set overtime = 'greatest(hours_' ~ moment ~ ' - normal_hours, 0)' -%}
        {%- set weighted = '(1.5 * least(' ~ overtime ~ ', 1) + 2 * greatest(hours_' ~ moment ~ ' - normal_hours - 1, 0))' -%}
        {{ overtime }} as overtime_hours_{{ moment }},
        {{ round_to_currency(labor_amount(weighted), 'currency_exponent') }} as overtime_cost_{{ moment }},
        {{ round_to_currency(
            labor_amount('least(hours_' ~ moment ~ ', normal_hours) + ' ~ weighted), 'currency_exponent'
        ) }} as labor_cost_{{ moment }}{{ ',' if not loop.last }}
        {% endfor %}
    from rated
)

select
    integration_id,
    punch_id,
    employee_id,
    outlet_id,
    entity_id,
    business_date,
    coalesce(job, 'unmapped') as job,
    {{ code('job_title') }} as source_job,
    started_at,
    ended_at,
    is_approved,
    {{ money('hours') }} as hours,
    {{ money('overtime_hours_after - overtime_hours_before') }} as overtime_hours,
    {{ money('labor_cost_after - labor_cost_before') }} as labor_cost,
    {{ money('overtime_cost_after - overtime_cost_before') }} as overtime_cost,
    updated_at
from costed
where outlet_id is not null and entity_id is not null
