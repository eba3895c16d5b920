{{ config(materialized='table') }}

-- Whether the journals of an outlet-day may be posted, and in a controller's words why not: `sales_hold`, `cogs_hold`
-- and `labor_hold` are null when nothing stands in the way. One row per business date that has ended.
with days as (
    select
        c.*,
        case when c.business_date < e.posts_from
            then 'its books are kept elsewhere: posting begins on ' || cast(e.posts_from as varchar)
        end as before_posting
    from {{ ref('dim_outlet_dates') }} as c
    inner join {{ source('raw_c4', 'entities') }} as e
        on e.entity_id = c.entity_id
    where c.is_ended and (
        c.is_expected
        or exists (
            select 1 from {{ ref('sales_daily') }} as s
            where s.outlet_id = c.outlet_id and s.business_date = c.business_date
        )
        or exists (
            select 1 from {{ ref('labor_daily') }} as l
            where l.outlet_id = c.outlet_id and l.business_date = c.business_date
        )
    )
),

feeds as (
    select
        m.outlet_id,
        m.integration_id,
        i.enabled,
        i.start_date,
        case when i.category = 'hr' then 'labor' else 'sales' end as feeds,
        i.category,
        m.source_outlet_id
    from {{ source('raw_c4', 'integration_outlets') }} as m
    inner join {{ source('raw_c4', 'integrations') }} as i
        on i.integration_id = m.integration_id
        and i.category in ('pos', 'files', 'hr')
),

-- Sales are complete up to the least of the streams that prove it; timesheets up to the least of all streams.
loaded as (
    select
        f.outlet_id,
        f.integration_id,
        min(w.complete_until) as complete_until
    from feeds as f
    inner join {{ source('raw_c4', 'watermarks') }} as w
        on w.integration_id = f.integration_id
        and w.source_outlet_id in ('', f.source_outlet_id)
        and (w.marks_complete or f.feeds = 'labor')
    group by f.outlet_id, f.integration_id
),

reports as (
    select
        integration_id,
        outlet_id,
        business_date,
        count(case when difference <> 0 and not is_outdated then 1 end) as differences,
        min(case when difference <> 0 and not is_outdated then measure || ' by ' || cast(difference as varchar) end) as first_difference,
        max(case when measure in ('checks', 'gross_sales', 'bill_total') and expected = 0 then 1 else 0 end)
            = 1 as shows_no_sales
    from {{ ref('int_close__pos_controls') }}
    group by integration_id, outlet_id, business_date
),

reporting as (
    select distinct integration_id from {{ ref('int_unified__pos_control_totals') }}
),

open_rejects as (
    select r.integration_id, f.outlet_id, r.business_date, count(*) as rejects
    from {{ source('raw_c4', 'rejects') }} as r
    inner join feeds as f
        on f.integration_id = r.integration_id
        and r.source_outlet_id in ('', f.source_outlet_id)
    where r.status = 'open'
    group by r.integration_id, f.outlet_id, r.business_date
),

rejected as (
    select d.outlet_id, d.business_date, r.integration_id, sum(r.rejects) as rejects
    from days as d
    inner join open_rejects as r
        on r.outlet_id = d.outlet_id
        and (r.business_date is null or r.business_date = d.business_date)
    group by d.outlet_id, d.business_date, r.integration_id
),

-- What each feed of the outlet holds against the day.
feed_days as (
    select
        d.outlet_id,
        d.business_date,
        f.feeds,
        case
            when not f.enabled or d.business_date < f.start_date then null
            when l.complete_until >= d.ends_at then null
            when f.category = 'files' and p.outlet_id is not null then null
            else 'waiting for ' || case f.feeds when 'labor' then 'timesheets' else 'sales' end || ' of '
                || f.integration_id || coalesce(
                    ' (loaded until ' || {{ iso_utc('l.complete_until') }} || ')', ' (never loaded)'
                )
        end as waits,
        case
            when r.rejects = 1 then '1 rejected record of ' || f.integration_id || ' is open'
            when r.rejects > 1 then cast(r.rejects as varchar) || ' rejected records of ' || f.integration_id || ' are open'
        end as rejects,
        case
            when p.differences > 0 then 'POS report differs: ' || p.first_difference
            when f.feeds = 'sales' and g.integration_id is not null and p.outlet_id is null
                then 'POS report of the day is missing'
        end as report,
        p.shows_no_sales
    from days as d
    inner join feeds as f
        on f.outlet_id = d.outlet_id
    left join loaded as l
        on l.outlet_id = d.outlet_id
        and l.integration_id = f.integration_id
    left join reports as p
        on p.outlet_id = d.outlet_id
        and p.integration_id = f.integration_id
        and p.business_date = d.business_date
    left join reporting as g
        on g.integration_id = f.integration_id
    left join rejected as r
        on r.outlet_id = d.outlet_id
        and r.integration_id = f.integration_id
        and r.business_date = d.business_date
),

held_by_feeds as (
    select
        outlet_id,
        business_date,
        min(case when feeds = 'sales' then waits end) as sales_waits,
        min(case when feeds = 'sales' then rejects end) as sales_rejects,
        min(report) as report,
        max(case when shows_no_sales then 1 else 0 end) = 1 as shows_no_sales,
        min(case when feeds = 'labor' then waits end) as labor_waits,
        min(case when feeds = 'labor' then rejects end) as labor_rejects
    from feed_days
    group by outlet_id, business_date
),

-- An entity's policy may let unmapped amounts through to suspense; an amount without a rate cannot be booked at all.
exceptions as (
    select
        x.outlet_id,
        x.business_date,
        {%- for journal_type in ['DSJ', 'COG', 'LAB'] %}
        min(case when x.journal_type = '{{ journal_type }}' then
            'not mapped: ' || replace(x.domain, '_', ' ') || ' ' || x.source_code
        end) as {{ journal_type }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ ref('int_mapping__exceptions') }} as x
    inner join {{ source('raw_c4', 'entities') }} as e
        on e.entity_id = x.entity_id
    where e.unmapped_policy = 'hold' or x.domain in ('exchange_rate', 'currency')
    group by x.outlet_id, x.business_date
),

gathered as (
    select
        d.outlet_id,
        d.entity_id,
        d.business_date,
        d.starts_at,
        d.ends_at,
        d.cost_center,
        d.tracking_option,
        f.sales_waits,
        f.labor_waits,
        d.before_posting is not null as is_before_posting,
        s.outlet_id is not null as has_sales,
        k.reason as closed_reason,
        coalesce(f.shows_no_sales, false) or k.outlet_id is not null as is_proven_closed,
        concat_ws(
            '; ',
            d.before_posting,
            f.sales_waits,
            f.sales_rejects,
            f.report,
            x.DSJ,
            case
                when s.outlet_id is null and f.shows_no_sales is not true and k.outlet_id is null
                    then 'no sales arrived and nothing proves that the outlet was closed'
                when s.outlet_id is not null and k.outlet_id is not null
                    then 'sales arrived although the outlet is listed as closed'
            end
        ) as sales_hold,
        x.COG as cogs_exception,
        concat_ws(
            '; ',
            d.before_posting,
            f.labor_waits,
            f.labor_rejects,
            case when l.unapproved_punches > 0
                then cast(l.unapproved_punches as varchar) || ' shifts wait for approval'
            end,
            x.LAB
        ) as labor_hold
    from days as d
    left join held_by_feeds as f
        on f.outlet_id = d.outlet_id
        and f.business_date = d.business_date
    left join {{ ref('sales_daily') }} as s
        on s.outlet_id = d.outlet_id
        and s.business_date = d.business_date
    left join {{ ref('labor_daily') }} as l
        on l.outlet_id = d.outlet_id
        and l.business_date = d.business_date
    left join {{ source('raw_c4', 'closed_days') }} as k
        on k.outlet_id = d.outlet_id
        and k.business_date = d.business_date
    left join exceptions as x
        on x.outlet_id = d.outlet_id
        and x.business_date = d.business_date
)

select
    outlet_id,
    entity_id,
    business_date,
    starts_at,
    ends_at,
    cost_center,
    tracking_option,
    sales_waits is null and labor_waits is null as is_complete,
    is_before_posting,
    has_sales,
    is_proven_closed,
    closed_reason,
    nullif(sales_hold, '') as sales_hold,
    nullif(concat_ws('; ', nullif(sales_hold, ''), cogs_exception), '') as cogs_hold,
    nullif(labor_hold, '') as labor_hold
from gathered
