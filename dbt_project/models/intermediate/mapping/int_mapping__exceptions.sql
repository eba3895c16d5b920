{{ config(materialized='table') }}

-- What no mapping covers, by outlet and business date. `journal_type` is the journal that it holds; '' holds none.
with integrations as (
    select integration_id, vendor from {{ source('raw_c4', 'integrations') }}
),

found as (
    select
        domain, integration_id, source_code, outlet_id, entity_id, business_date, journal_type, occurrences, amount
    from {{ ref('int_mapping__exceptions_daily') }}

    union all
    select 'outlet', d.integration_id, d.source_outlet_id, null, null, null, '', d.checks, d.bill_total
    from {{ ref('int_sales__placed_days') }} as d
    where d.outlet_id is null

    union all
    select
        'outlet', p.integration_id, coalesce(e.source_outlet_id, '(no location)'), null, null, p.work_date, '', 1, p.hours
    from {{ ref('int_labor__punches') }} as p
    left join {{ ref('int_unified__employees') }} as e
        on e.integration_id = p.integration_id
        and e.employee_id = p.employee_id
    left join {{ source('raw_c4', 'integration_outlets') }} as m
        on m.integration_id = e.integration_id
        and m.source_outlet_id = e.source_outlet_id
    where m.outlet_id is null
)

select
    f.domain,
    coalesce(i.vendor, '') as vendor,
    f.source_code,
    f.outlet_id,
    f.entity_id,
    f.business_date,
    f.journal_type,
    cast(sum(f.occurrences) as bigint) as occurrences,
    {{ money('sum(f.amount)') }} as amount
from found as f
left join integrations as i
    on i.integration_id = f.integration_id
group by f.domain, coalesce(i.vendor, ''), f.source_code, f.outlet_id, f.entity_id, f.business_date, f.journal_type
