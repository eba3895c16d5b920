{{ config(severity='warn') }}
-- I1: an entry whose debits and credits differ. It is held by its own flag; this says that some rule is broken.
select entity_id, outlet_id, business_date, journal_type, debit_total, credit_total
from {{ ref('journals') }}
where not is_balanced
