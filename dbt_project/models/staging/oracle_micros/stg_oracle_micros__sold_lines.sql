-- Items with their condiments and their part of the discounts. An item's own discount is its own; a discount of the
-- whole check is spread over its items by what they cost, the remainder on the dearest. The greatest discount of an
-- item names its reduction. A price is what the line came to: the menu's may be another one since.
{%- set of_check = ['integration_id', 'check_id'] %}
with items as (
    select * from {{ ref('stg_oracle_micros__current_lines') }} where kind = 'item' and not is_taken_back
),

-- A condiment without its item is sold by itself.
owners as (
    select i.*, m.line_id as owner_id
    from items as i
    left join items as m
        on m.integration_id = i.integration_id
        and m.check_id = i.check_id
        and m.dtl_id = i.par_dtl_id
        and not m.is_condiment
        and i.is_condiment
),

condiments as (
    select integration_id, owner_id, sum(amount) as amount
    from owners
    where owner_id is not null
    group by integration_id, owner_id
),

mains as (
    select o.*, o.amount + coalesce(c.amount, 0) as gross
    from owners as o
    left join condiments as c
        on c.integration_id = o.integration_id
        and c.owner_id = o.line_id
    where o.owner_id is null
),

discounts as (
    select
        d.integration_id,
        d.check_id,
        d.amount,
        coalesce(n.name, 'discount ' || cast(d.num as varchar)) as name,
        coalesce(o.owner_id, o.line_id) as owner_id
    from {{ ref('stg_oracle_micros__current_lines') }} as d
    left join owners as o
        on o.integration_id = d.integration_id
        and o.check_id = d.check_id
        and o.dtl_id = d.par_dtl_id
    left join {{ source('raw_oracle_micros', 'discounts') }} as n
        on n.integration_id = d.integration_id
        and n.source_outlet_id = d.source_outlet_id
        and n.num = d.num
    where d.kind = 'discount'
),

own_discounts as (
    select integration_id, owner_id, sum(amount) as amount
    from discounts
    where owner_id is not null
    group by integration_id, owner_id
),

check_discounts as (
    select integration_id, check_id, sum(amount) as amount
    from discounts
    where owner_id is null
    group by integration_id, check_id
),

names as (
    select
        integration_id,
        check_id,
        owner_id,
        name,
        row_number() over (partition by integration_id, check_id, owner_id order by sum(amount), name) as place
    from discounts
    group by integration_id, check_id, owner_id, name
),

weighed as (
    select
        m.*,
        coalesce(o.amount, 0) as own_discount,
        coalesce(c.amount, 0) as check_discount,
        abs(m.gross + coalesce(o.amount, 0)) as weight
    from mains as m
    left join own_discounts as o
        on o.integration_id = m.integration_id
        and o.owner_id = m.line_id
    left join check_discounts as c
        on c.integration_id = m.integration_id
        and c.check_id = m.check_id
),

summed as (
    select
        *,
        sum(weight) over (partition by {{ of_check | join(', ') }}) as total_weight,
        row_number() over (partition by {{ of_check | join(', ') }} order by weight desc, line_id) as place
    from weighed
),

shared as (
    select
        *,
        coalesce({{ divide(multiply('check_discount', 'weight'), 'total_weight') }}, 0) as share
    from summed
),

reduced as (
    select
        *,
        own_discount + share + case
            when place = 1 then check_discount - sum(share) over (partition by {{ of_check | join(', ') }})
            else 0
        end as reduction
    from shared
)

select
    r.integration_id,
    r.check_id,
    r.source_outlet_id,
    r.line_id,
    r.num,
    r.quantity,
    {{ divide('r.gross', 'r.quantity') }} as unit_price,
    r.is_return,
    r.is_check_voided,
    cast(case when r.is_return then 0 else r.gross end as decimal(18, 4)) as gross_sales,
    cast(case when r.is_return then 0 else -r.reduction end as decimal(18, 4)) as discounts,
    cast(case when r.is_return then -(r.gross + r.reduction) else 0 end as decimal(18, 4)) as returns,
    cast(r.gross + r.reduction as decimal(18, 4)) as net_sales,
    case when not r.is_return and r.reduction <> 0 then coalesce(own.name, whole.name) end as discount_name
from reduced as r
left join names as own
    on own.integration_id = r.integration_id
    and own.owner_id = r.line_id
    and own.place = 1
left join names as whole
    on whole.integration_id = r.integration_id
    and whole.check_id = r.check_id
    and whole.owner_id is null
    and whole.place = 1
