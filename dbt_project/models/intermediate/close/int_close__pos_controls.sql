{{ config(materialized='table') }}

-- R1 and R2: what the POS itself reports for an outlet and day against the same figure from the marts, in local
-- currency. A report by local calendar day is compared on that basis; it speaks for the business date of that date.
with reported as (
    select
        r.integration_id,
        m.outlet_id,
        r.control_date,
        r.basis,
        case
            when r.measure like 'tender:%' then 'tender:' || {{ code('substr(r.measure, 8)') }}
            else r.measure
        end as measure,
        sum(r.amount) as amount,
        min(r.read_until) as read_until
    from {{ ref('int_unified__pos_control_totals') }} as r
    inner join {{ source('raw_c4', 'integration_outlets') }} as m
        on m.integration_id = r.integration_id
        and m.source_outlet_id = r.source_outlet_id
    group by 1, 2, 3, 4, 5
),

reported_days as (
    select distinct integration_id, outlet_id, control_date, basis from reported
),

-- A report speaks for one date, by either of its meanings; a local calendar day has parts of several business dates.
found as (
    {%- for basis in ['calendar', 'business'] %}
    select
        d.integration_id, d.outlet_id, d.control_date, d.basis, s.measure,
        sum(s.amount) as amount,
        max(s.changed_at) as changed_at
    from {{ ref('int_close__control_sums') }} as s
    inner join reported_days as d
        on d.basis = '{{ basis }}'
        and d.integration_id = s.integration_id
        and d.outlet_id = s.outlet_id
        and d.control_date = s.{{ basis }}_date
    group by d.integration_id, d.outlet_id, d.control_date, d.basis, s.measure
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

changes as (
    select integration_id, outlet_id, control_date, basis, max(changed_at) as changed_at
    from found
    group by integration_id, outlet_id, control_date, basis
),

-- A tender that the report does not list is a difference too; other measures that it lacks are not reported at all.
-- A report that is older than the last change of the day says nothing about it.
days as (
    select
        r.integration_id, r.outlet_id, r.control_date, r.basis,
        max(case when r.measure like 'tender:%' then 1 else 0 end) = 1 as lists_tenders,
        coalesce(min(r.read_until) < max(t.changed_at), false) as is_outdated
    from reported as r
    left join changes as t
        on t.integration_id = r.integration_id
        and t.outlet_id = r.outlet_id
        and t.control_date = r.control_date
        and t.basis = r.basis
    group by r.integration_id, r.outlet_id, r.control_date, r.basis
),

compared as (
    select integration_id, outlet_id, control_date, basis, measure, amount as expected, 0 as actual
    from reported
    union all
    select f.integration_id, f.outlet_id, f.control_date, f.basis, f.measure, 0, f.amount
    from found as f
    inner join days as d
        on d.integration_id = f.integration_id
        and d.outlet_id = f.outlet_id
        and d.control_date = f.control_date
        and d.basis = f.basis
    where
        (f.measure like 'tender:%' and d.lists_tenders)
        or exists (
            select 1 from reported as r
            where r.integration_id = f.integration_id
                and r.outlet_id = f.outlet_id
                and r.control_date = f.control_date
                and r.basis = f.basis
                and r.measure = f.measure
        )
),

summed as (
    select
        c.integration_id, c.outlet_id, c.control_date, c.basis, c.measure,
        sum(c.expected) as expected,
        sum(c.actual) as actual
    from compared as c
    group by c.integration_id, c.outlet_id, c.control_date, c.basis, c.measure
),

-- Both sides in whole units of the local currency: a report shows no fractions of them.
rounded as (
    select
        s.integration_id, s.outlet_id, s.control_date, s.basis, s.measure,
        {{ round_to_currency('s.expected', 'd.local_exponent') }} as expected,
        {{ round_to_currency('s.actual', 'd.local_exponent') }} as actual,
        days.is_outdated
    from summed as s
    inner join days
        on days.integration_id = s.integration_id
        and days.outlet_id = s.outlet_id
        and days.control_date = s.control_date
        and days.basis = s.basis
    inner join {{ ref('dim_outlet_dates') }} as d
        on d.outlet_id = s.outlet_id
        and d.business_date = s.control_date
)

select
    integration_id,
    outlet_id,
    control_date as business_date,
    basis,
    measure,
    case when measure = 'checks' then 'R1' else 'R2' end as rule,
    {{ money('expected') }} as expected,
    {{ money('actual') }} as actual,
    {{ money('actual - expected') }} as difference,
    is_outdated
from rounded
