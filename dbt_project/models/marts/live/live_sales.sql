{{ config(tags=['live'], pre_hook="{{ read_live(ref('int_live__checks')) }}") }}

-- Sales as they are known now, from the day before the last night on. It reads staging and configuration only, so that it can be built
-- alone within seconds, while the other marts show the last night. Amounts are the outlet's own: nothing is translated.
-- A check with several tenders has one in this mart: the lines of a check are not paid one by one.
with tenders as (
    select
        p.integration_id,
        p.check_id,
        case
            when count(distinct coalesce(t.canonical, 'unmapped')) = 1 then min(coalesce(t.canonical, 'unmapped'))
            else 'split'
        end as tender
    from {{ ref('int_unified__check_payments') }} as p
    inner join {{ ref('int_live__checks') }} as c
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
from {{ ref('int_live__checks') }} as c
inner join {{ ref('int_unified__check_lines') }} as l
    on l.integration_id = c.integration_id
    and l.check_id = c.check_id
    and l.line_type = 'item'
    and l.is_voided is not true
left join tenders as t
    on t.integration_id = c.integration_id
    and t.check_id = c.check_id
where c.outlet_id is not null
group by
    c.outlet_id,
    c.entity_id,
    c.business_date,
    cast(extract(hour from c.opened_local) as integer),
    coalesce(l.product_code, l.source_product_id, '(none)'),
    coalesce(t.tender, 'none')
