{{ config(tags=['live']) }}

-- Sales as they are known now, from the day before the last night on. It reads staging and configuration only, so that it can be built
-- alone within seconds, while the other marts show the last night. Amounts are the outlet's own: nothing is translated.
-- Materialized: a plan that meets the outlets by date before it has met them by their key compares every check with all.
with places as materialized (
    select
        m.integration_id,
        m.source_outlet_id,
        i.vendor,
        v.outlet_id,
        v.entity_id,
        v.currency,
        v.cutoff,
        v.timezone,
        v.valid_from,
        v.valid_to
    from {{ source('raw_c4', 'integration_outlets') }} as m
    inner join {{ source('raw_c4', 'integrations') }} as i
        on i.integration_id = m.integration_id
        and not coalesce(i.stands_in, false)
    inner join {{ source('raw_c4', 'outlets') }} as v
        on v.outlet_id = m.outlet_id
),

recent as (
    select
        c.integration_id,
        c.check_id,
        c.check_type,
        c.opened_at,
        c.source_business_date,
        p.vendor,
        p.outlet_id,
        p.entity_id,
        p.currency,
        p.cutoff,
        {{ local_timestamp('c.opened_at', 'p.timezone') }} as opened_local
    from {{ ref('int_unified__checks') }} as c
    inner join places as p
        on p.integration_id = c.integration_id
        and p.source_outlet_id = c.source_outlet_id
        and {{ utc_date('c.opened_at') }} between p.valid_from and p.valid_to
    where
        not coalesce(c.is_voided, false)
        -- wide enough for every time zone: whole business dates are chosen below
        and c.opened_at >= (select min(as_of) from {{ source('raw_c4', 'group_settings') }}) - interval '4 days'
),

placed as materialized (
    select
        *,
        coalesce(
            source_business_date,
            case
                when opened_local < cast(opened_local as date) + cast(cutoff as time)
                    then cast(opened_local as date) - 1
                else cast(opened_local as date)
            end
        ) as business_date
    from recent
),

-- A check with several tenders has one in this mart: the lines of a check are not paid one by one.
tenders as (
    select
        p.integration_id,
        p.check_id,
        case
            when count(distinct coalesce(t.canonical, 'unmapped')) = 1 then min(coalesce(t.canonical, 'unmapped'))
            else 'split'
        end as tender
    from {{ ref('int_unified__check_payments') }} as p
    inner join placed as c
        on c.integration_id = p.integration_id
        and c.check_id = p.check_id
    left join {{ ref('int_mapping__codes') }} as t
        on t.domain = 'tender'
        and t.vendor = c.vendor
        and t.source_code = {{ code('p.source_tender') }}
        and c.business_date between t.valid_from and t.valid_to
    group by p.integration_id, p.check_id
)

select
    c.outlet_id,
    c.entity_id,
    c.business_date,
    cast(extract(hour from c.opened_local) as integer) as local_hour,
    coalesce(l.product_code, l.source_product_id, '(none)') as product_code,
    coalesce(t.tender, 'none') as tender,
    max(l.product_name) as product_name,
    max(c.currency) as local_currency,
    cast(count(distinct case when c.check_type = 'sale' then c.check_id end) as integer) as checks,
    {{ money('sum(l.quantity)') }} as quantity,
    {{ money('sum(coalesce(l.gross_sales, 0))') }} as local_gross_sales,
    {{ money('sum(coalesce(l.gross_sales, 0) - coalesce(l.discounts, 0) - coalesce(l.comps, 0) - coalesce(l.returns, 0))') }}
        as local_net_sales,
    max(c.opened_at) as last_opened_at
from placed as c
inner join {{ ref('int_unified__check_lines') }} as l
    on l.integration_id = c.integration_id
    and l.check_id = c.check_id
    and l.line_type = 'item'
    and not coalesce(l.is_voided, false)
left join tenders as t
    on t.integration_id = c.integration_id
    and t.check_id = c.check_id
where c.business_date >= (select min({{ utc_date('as_of') }}) from {{ source('raw_c4', 'group_settings') }}) - 1
group by
    c.outlet_id,
    c.entity_id,
    c.business_date,
    cast(extract(hour from c.opened_local) as integer),
    coalesce(l.product_code, l.source_product_id, '(none)'),
    coalesce(t.tender, 'none')
