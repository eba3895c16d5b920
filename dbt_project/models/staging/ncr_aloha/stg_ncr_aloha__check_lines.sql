{%- set checks = ref('stg_ncr_aloha__current_checks') -%}
{%- set of_check = {'root_seq': 'root_seq', 'check_id': 'check_id'} -%}

-- Items with their modifiers, entries that were voided, and gift certificates sold. What an entry lost is
-- named by the comp or promo that took the most.
with reductions as (
    select
        e.integration_id,
        e.check_id,
        e.line_entry_id,
        case r.type when 5 then 'CMP' else 'PRO' end as kind,
        r.type_id,
        row_number() over (
            partition by e.integration_id, e.check_id, e.line_entry_id
            order by sum(abs(r.amount)) desc, r.type, r.type_id
        ) as place
    from {{ ref('stg_ncr_aloha__current_entries') }} as e
    inner join {{ current_children(source('raw_ncr_aloha', 'amounts'), checks, of_check) }} as r
        on r.integration_id = e.integration_id
        and r.check_id = e.check_id
        and r.entry_id = e.entry_id
        and r.type in (5, 6)
    group by e.integration_id, e.check_id, e.line_entry_id, r.type, r.type_id
),

sold as (
    select
        e.integration_id,
        e.check_id,
        e.line_entry_id,
        max(case when e.entry_id = e.line_entry_id then e.type end) as type,
        max(case when e.entry_id = e.line_entry_id then e.item end) as item,
        max(case when e.entry_id = e.line_entry_id then e.category end) as category,
        max(case when e.entry_id = e.line_entry_id then e.mode end) as mode,
        max(case when e.entry_id = e.line_entry_id then abs(e.quantity) end) as units,
        max(case when e.entry_id = e.line_entry_id then coalesce(e.org_price, abs(e.price)) end) as unit_price,
        sum(e.gross) as gross,
        sum(e.net) as net
    from {{ ref('stg_ncr_aloha__current_entries') }} as e
    group by e.integration_id, e.check_id, e.line_entry_id
),

lines as (
    select
        s.integration_id,
        s.check_id,
        cast(s.line_entry_id as varchar) as entry,
        case when s.type in (2, 3) then 'deposit' else 'item' end as line_type,
        s.item,
        s.category,
        s.mode,
        case when s.type in (1, 3) then -s.units else s.units end as quantity,
        case when s.type in (1, 3) then 0 else s.gross end as gross_sales,
        case when s.type in (1, 3) then 0 else s.gross - s.net end as discounts,
        case when s.type in (1, 3) then -s.net else 0 end as returns,
        s.net as net_sales,
        s.unit_price,
        r.kind,
        r.type_id,
        cast(null as varchar) as own_name,
        false as is_voided
    from sold as s
    left join reductions as r
        on r.integration_id = s.integration_id
        and r.check_id = s.check_id
        and r.line_entry_id = s.line_entry_id
        and r.place = 1
    union all
    select
        integration_id, check_id, cast(entry_id as varchar) || '/void', 'item', item,
        cast(null as bigint), cast(null as bigint), 1, price, 0, 0, price, price,
        cast(null as varchar), cast(null as bigint), cast(null as varchar), true
    from {{ current_children(source('raw_ncr_aloha', 'voids'), checks, of_check) }} as v
    union all
    select
        integration_id, check_id, 'certificate/' || cast(type_id as varchar), 'gift_card', cast(null as bigint),
        cast(null as bigint), cast(null as bigint), 1, amount, 0, 0, amount, amount,
        cast(null as varchar), cast(null as bigint), 'gift certificate', false
    from {{ current_children(source('raw_ncr_aloha', 'amounts'), checks, of_check) }} as a
    where type = 23
)

select
    l.integration_id,
    c.check_id,
    c.check_id || '/' || l.entry as line_id,
    l.line_type,
    c.source_outlet_id || ':' || cast(l.item as varchar) as source_product_id,
    m.sku as product_code,
    coalesce(m.long_name, m.short_name, l.own_name) as product_name,
    category.name as source_category,
    l.quantity,
    l.unit_price,
    l.gross_sales,
    l.discounts,
    cast(0 as decimal(18, 4)) as comps,
    l.returns,
    l.net_sales,
    reduction.name as discount_name,
    lower(order_mode.name) as source_channel,
    l.is_voided
from lines as l
inner join {{ checks }} as c
    on c.integration_id = l.integration_id
    and c.check_id = l.check_id
left join {{ source('raw_ncr_aloha', 'menu_items') }} as m
    on m.integration_id = c.integration_id
    and m.source_outlet_id = c.source_outlet_id
    and m.id = l.item
left join {{ source('raw_ncr_aloha', 'codes') }} as category
    on category.integration_id = c.integration_id
    and category.source_outlet_id = c.source_outlet_id
    and category.kind = 'CAT'
    and category.id = coalesce(l.category, m.category)
left join {{ source('raw_ncr_aloha', 'codes') }} as order_mode
    on order_mode.integration_id = c.integration_id
    and order_mode.source_outlet_id = c.source_outlet_id
    and order_mode.kind = 'ODR'
    and order_mode.id = l.mode
left join {{ source('raw_ncr_aloha', 'codes') }} as reduction
    on reduction.integration_id = c.integration_id
    and reduction.source_outlet_id = c.source_outlet_id
    and reduction.kind = l.kind
    and reduction.id = l.type_id
