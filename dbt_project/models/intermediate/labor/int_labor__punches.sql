-- The hours of an outlet come from one clock: where an HR system keeps them, those of the till are left out.
with kept_by_hr as (
    select distinct m.outlet_id
    from {{ source('raw_c4', 'integration_outlets') }} as m
    inner join {{ source('raw_c4', 'integrations') }} as i
        on i.integration_id = m.integration_id
        and i.category = 'hr'
),

on_tills as (
    select e.integration_id, e.employee_id, m.outlet_id
    from {{ ref('int_unified__employees') }} as e
    inner join {{ source('raw_c4', 'integrations') }} as i
        on i.integration_id = e.integration_id
        and i.category = 'pos'
    inner join {{ source('raw_c4', 'integration_outlets') }} as m
        on m.integration_id = e.integration_id
        and m.source_outlet_id = e.source_outlet_id
)

select p.*
from {{ ref('int_unified__punches') }} as p
left join on_tills as t
    on t.integration_id = p.integration_id
    and t.employee_id = p.employee_id
left join kept_by_hr as k
    on k.outlet_id = t.outlet_id
where k.outlet_id is null
