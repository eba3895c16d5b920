{{ config(severity='warn', tags=['close']) }}
-- The books of an entity whose balances do not sum to zero: a document in the target is one-sided or half read.
select entity_id, period, sum(balance) as difference
from {{ ref('trial_balance') }}
group by entity_id, period
having sum(balance) <> 0
