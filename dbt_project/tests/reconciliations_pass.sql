{{ config(severity='warn', tags=['close']) }}
-- A comparison that failed; the row says which, by how much and on what evidence.
select *
from {{ ref('reconciliations') }}
where status = 'fail'
