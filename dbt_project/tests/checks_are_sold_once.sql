{{ config(meta={'dagster': {'ref': {'name': 'fct_checks'}}}) }}
-- A check twice is sold twice, on one day or on two of them. It is looked for in all of history, so that only the tills'
-- reports and what is closed by them (journals, outlet-days) wait for it: depends_on: {{ ref('int_close__control_sums') }}
select integration_id, check_id, count(*) as occurrences
from {{ ref('fct_checks') }}
where (integration_id, check_id) in (
    select integration_id, check_id from {{ ref('fct_checks') }} as t where {{ untested('t') }}
)
group by integration_id, check_id
having count(*) > 1
