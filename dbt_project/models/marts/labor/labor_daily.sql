{{ config(materialized='by_day') }}

with worked as (
    select
        outlet_id,
        entity_id,
        business_date,
        count(*) as shifts,
        count(distinct integration_id || employee_id) as employees,
        sum(hours) as hours,
        sum(overtime_hours) as overtime_hours,
        sum(labor_cost) as labor_cost,
        sum(overtime_cost) as overtime_cost,
        count(case when not is_approved then 1 end) as unapproved_punches
    from {{ ref('fct_punches') }} as p
    where {{ touched('p') }}
    group by outlet_id, entity_id, business_date
)

select
    w.outlet_id,
    w.entity_id,
    w.business_date,
    cast(w.shifts as integer) as shifts,
    cast(w.employees as integer) as employees,
    {{ money('w.hours') }} as hours,
    {{ money('coalesce(w.overtime_hours, 0)') }} as overtime_hours,
    {{ money('coalesce(w.labor_cost, 0)') }} as labor_cost,
    {{ money('coalesce(w.overtime_cost, 0)') }} as overtime_cost,
    {{ money('coalesce(s.net_sales, 0)') }} as net_sales,
    {{ divide('coalesce(w.labor_cost, 0)', 'coalesce(s.net_sales, 0)', 6) }} as labor_pct,
    {{ divide('coalesce(s.net_sales, 0)', 'w.hours', 4) }} as splh,
    cast(w.unapproved_punches as integer) as unapproved_punches
from worked as w
left join (select * from {{ ref('sales_daily') }} as d where {{ touched('d') }}) as s
    on s.outlet_id = w.outlet_id
    and s.business_date = w.business_date
