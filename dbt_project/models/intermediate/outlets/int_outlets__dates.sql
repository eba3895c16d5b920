{{ config(materialized='table') }}

-- Every business date that an outlet needs: those on which it should trade, and those on which anything happened.
with settings as (
    select as_of, {{ utc_date('as_of') }} as today
    from {{ source('raw_c4', 'group_settings') }}
),

-- An integration that was switched off (a one-off import) expects no further days.
expected as (
    select
        outlets.outlet_id,
        {{ each_date('outlets.first_date', 'settings.today + 1') }} as business_date,
        true as is_expected
    from (
        select m.outlet_id, min(i.start_date) as first_date
        from {{ source('raw_c4', 'integration_outlets') }} as m
        inner join {{ source('raw_c4', 'integrations') }} as i
            on i.integration_id = m.integration_id
            and i.category in ('pos', 'files')
            and i.enabled
        group by m.outlet_id
    ) as outlets
    cross join settings
),

-- A business date lies within two days of the UTC date of the sale, whatever the zone and the cut-off.
traded as (
    select distinct
        m.outlet_id,
        c.source_business_date,
        c.utc_date
    from {{ ref('int_sales__traded_dates') }} as c
    inner join {{ source('raw_c4', 'integration_outlets') }} as m
        on m.integration_id = c.integration_id
        and m.source_outlet_id = c.source_outlet_id
),

worked as (
    select distinct
        m.outlet_id,
        p.work_date,
        {{ utc_date('p.started_at') }} as utc_date
    from {{ ref('int_labor__punches') }} as p
    inner join {{ ref('int_unified__employees') }} as e
        on e.integration_id = p.integration_id
        and e.employee_id = p.employee_id
    inner join {{ source('raw_c4', 'integration_outlets') }} as m
        on m.integration_id = e.integration_id
        and m.source_outlet_id = e.source_outlet_id
),

happened as (
    select outlet_id, source_business_date as business_date from traded
    union
    select outlet_id, work_date as business_date from worked
    union
    select a.outlet_id, a.utc_date + offsets.days as business_date
    from (
        select outlet_id, utc_date from traded
        union
        select outlet_id, utc_date from worked
    ) as a
    cross join (values (-2), (-1), (0), (1)) as offsets (days)
)

select
    outlet_id,
    business_date,
    max(case when is_expected then 1 else 0 end) = 1 as is_expected
from (
    select outlet_id, business_date, is_expected from expected
    union all
    select outlet_id, business_date, false as is_expected from happened
    where business_date is not null
) as dates
group by outlet_id, business_date
