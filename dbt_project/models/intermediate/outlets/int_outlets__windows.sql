-- The calendar by UTC date: one row per UTC date that a business day touches, so that an instant finds its business
-- date by an equality on (outlet_id, utc_date) and a comparison.
select
    c.outlet_id,
    c.business_date,
    {{ utc_date('c.starts_at') }} + offsets.days as utc_date,
    c.starts_at,
    c.ends_at
from {{ ref('dim_outlet_dates') }} as c
cross join (values (0), (1), (2)) as offsets (days)
where {{ utc_date('c.starts_at') }} + offsets.days <= {{ utc_date('c.ends_at') }}
