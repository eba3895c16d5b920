-- A line that a check has twice is sold twice, and a payment is collected twice; a check without a time has no hour,
-- and one without its delivery is never read.
select integration_id, check_id, doubled_lines, doubled_payments
from {{ ref('int_sales__staged_checks') }}
where doubled_lines > 0 or doubled_payments > 0 or opened_at is null or c4_seq is null
