{{ config(materialized='table') }}

-- Standard hourly cost of a job by entity and span of dates; the entity's own row beats "*".
with candidates as (
    select
        e.entity_id,
        m.job,
        m.hourly_rate,
        m.burden,
        m.daily_normal_hours,
        case when m.entity_id = '*' then 0 else 1 end as specificity,
        m.valid_from,
        m.valid_to
    from {{ source('raw_c4', 'labor_rates') }} as m
    inner join {{ source('raw_c4', 'entities') }} as e
        on m.entity_id in (e.entity_id, '*')
)

{{ dated_lookup('candidates', ['entity_id', 'job'], ['hourly_rate', 'burden', 'daily_normal_hours']) }}
