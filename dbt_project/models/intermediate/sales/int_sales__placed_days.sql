{{ config(materialized='table') }}

-- What lies at each outlet and business date, and what has no place: the one pass over all kept checks.
select
    outlet_id,
    business_date,
    vendor,
    integration_id,
    stands_in,
    case when outlet_id is null then source_outlet_id end as source_outlet_id,
    count(*) as checks,
    sum(bill_total) as bill_total,
    sum(content) as content,
    min(c4_seq) as first_delivery,
    max(c4_seq) as last_delivery
from {{ ref('int_sales__located_checks') }}
group by
    outlet_id, business_date, vendor, integration_id, stands_in, case when outlet_id is null then source_outlet_id end
