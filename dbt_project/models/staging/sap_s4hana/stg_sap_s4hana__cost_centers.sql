-- Cost centres, one row per validity.
with centers as (
    select
        *,
        row_number() over (
            partition by integration_id, controlling_area, cost_center, validity_end_date order by c4_seq desc
        ) as newest
    from {{ source('raw_sap_s4hana', 'cost_centers') }}
),

texts as (
    select
        *,
        row_number() over (
            partition by integration_id, controlling_area, cost_center, validity_end_date order by c4_seq desc
        ) as newest
    from {{ source('raw_sap_s4hana', 'cost_center_texts') }}
)

select
    centers.integration_id,
    centers.cost_center as source_outlet_id,
    coalesce(nullif(texts.cost_center_description, ''), texts.cost_center_name) as name,
    centers.validity_start_date as valid_from,
    centers.validity_end_date as valid_to
from centers
left join texts
    on centers.integration_id = texts.integration_id
    and centers.controlling_area = texts.controlling_area
    and centers.cost_center = texts.cost_center
    and centers.validity_end_date = texts.validity_end_date
    and texts.newest = 1
where centers.newest = 1
