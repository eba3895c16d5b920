{{ config(materialized='view') }}

-- Sources are asked for by outlet and date, and are all in the facts: stored again they were the greatest table of all.
select entity_id, outlet_id, business_date, journal_type, component, account_code, amount, source_type, integration_id,
    source_id, check_id
from ({{ journal_amounts() }}) as sources
