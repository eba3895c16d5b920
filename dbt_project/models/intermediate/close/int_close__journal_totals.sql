{{ config(materialized='by_day') }}
{%- set key = 'entity_id, outlet_id, business_date, journal_type, component, account_code, integration_id' %}

-- The amounts behind the candidate entries, added up once for all that reads them.
select
    {{ key }},
    {{ money('sum(amount)') }} as amount,
    cast(count(*) as integer) as source_rows
from {{ ref('journal_line_sources') }} as s
where {{ touched('s') }}
group by {{ key }}
