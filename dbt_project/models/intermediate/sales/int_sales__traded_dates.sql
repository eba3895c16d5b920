{{ config(materialized='by_run') }}

-- The dates of the checks that a run brought: the till's own, and those of UTC.
select distinct
    dataset,
    run,
    integration_id,
    source_outlet_id,
    source_business_date,
    {{ utc_date('opened_at') }} as utc_date
from (select *, {{ run_of('c4_seq') }} as run from {{ delivered(ref('int_sales__staged_checks')) }} as c) as checks
where {{ of_touched_runs() }}
