-- Where a check of an integration's outlet lies by configuration: by the business date that the till tells (`is_told`), else
-- on a UTC date between two times.
with places as (
    select outlet_id, business_date, false as is_told, utc_date as on_date, starts_at, ends_at
    from {{ ref('int_outlets__windows') }}
    union all
    select outlet_id, business_date, true as is_told, business_date as on_date, starts_at, ends_at
    from {{ ref('dim_outlet_dates') }}
)

select
    m.integration_id,
    m.source_outlet_id,
    i.vendor,
    coalesce(i.stands_in, false) as stands_in,
    p.outlet_id,
    p.business_date,
    p.is_told,
    p.on_date,
    p.starts_at,
    p.ends_at
from {{ source('raw_c4', 'integration_outlets') }} as m
inner join places as p
    on p.outlet_id = m.outlet_id
left join {{ source('raw_c4', 'integrations') }} as i
    on i.integration_id = m.integration_id
