{{ config(materialized='table') }}

-- What each source system's code means, by vendor and span of dates; a vendor's own row beats "*".
with candidates as (
    select
        vendors.vendor,
        m.domain,
        {{ code('m.source_code') }} as source_code,
        m.canonical,
        case when m.vendor = '*' then 0 else 1 end as specificity,
        m.valid_from,
        m.valid_to
    from {{ source('raw_c4', 'code_mapping') }} as m
    inner join (select distinct vendor from {{ source('raw_c4', 'integrations') }}) as vendors
        on m.vendor in (vendors.vendor, '*')
)

{{ dated_lookup('candidates', ['vendor', 'domain', 'source_code'], ['canonical']) }}
