{{ config(materialized='by_run') }}

{#- decides where checks lie, by way of a view -#}
{%- do ref('int_outlets__places') %}

-- What a run brought to each outlet and business date, and what has no place.
select
    dataset,
    run,
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
from (select c.*, {{ run_of('c4_seq') }} as run from {{ ref('int_sales__located_checks') }} as c) as checks
where {{ of_touched_runs() }}
group by
    dataset, run, outlet_id, business_date, vendor, integration_id, stands_in,
    case when outlet_id is null then source_outlet_id end
