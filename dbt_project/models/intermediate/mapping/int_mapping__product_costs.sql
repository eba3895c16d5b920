{{ config(materialized='table') }}

-- Standard cost of one sold unit by entity, product and span of dates; the entity's own row beats "*".
with candidates as (
    select
        e.entity_id,
        m.product_code,
        m.category_group,
        m.unit_cost,
        case when m.entity_id = '*' then 0 else 1 end as specificity,
        m.valid_from,
        m.valid_to
    from {{ source('raw_c4', 'product_costs') }} as m
    inner join {{ source('raw_c4', 'entities') }} as e
        on m.entity_id in (e.entity_id, '*')
)

{{ dated_lookup('candidates', ['entity_id', 'product_code'], ['category_group', 'unit_cost']) }}
