{{ config(meta={'dagster': {'ref': {'name': 'fct_checks'}}}) }}
-- A check twice is sold twice, on one day or on two of them.
select integration_id, check_id, count(*) as occurrences
from {{ ref('fct_checks') }}
where (integration_id, check_id) in (
    select integration_id, check_id from {{ ref('fct_checks') }} as t where {{ untested('t') }}
)
group by integration_id, check_id
having count(*) > 1
