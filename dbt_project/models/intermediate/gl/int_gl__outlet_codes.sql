-- How a target calls our outlets: its integration's outlet map, else the cost centre, the tracking option or our own id.
select integration_id, source_outlet_id, min(outlet_id) as outlet_id
from (
    select integration_id, {{ code('source_outlet_id') }} as source_outlet_id, outlet_id
    from {{ source('raw_c4', 'integration_outlets') }}
    union
    select e.integration_id, {{ code('codes.code') }}, codes.outlet_id
    from {{ source('raw_c4', 'integration_entities') }} as e
    inner join {{ source('raw_c4', 'integrations') }} as i
        on i.integration_id = e.integration_id
        and i.category in ('erp', 'accounting')
    inner join (
        select entity_id, outlet_id, cost_center as code from {{ source('raw_c4', 'outlets') }}
        union
        select entity_id, outlet_id, tracking_option from {{ source('raw_c4', 'outlets') }}
        union
        select entity_id, outlet_id, outlet_id from {{ source('raw_c4', 'outlets') }}
    ) as codes
        on codes.entity_id = e.entity_id
        and codes.code <> ''
) as all_codes
group by integration_id, source_outlet_id
