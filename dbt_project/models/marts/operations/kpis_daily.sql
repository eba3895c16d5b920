{{ config(materialized='by_day') }}
{{ remade_with(source('raw_c4', 'outlets'), ['outlet_id', 'valid_from', 'valid_to', 'seats']) }}

-- Guests as the POS counts them; where it counts none, one guest per main item, flagged as an estimate.
with dine_in as (
    select outlet_id, business_date, count(*) as checks, sum(net_sales) as net_sales
    from {{ ref('fct_checks') }} as c
    where not is_voided and check_type = 'sale' and channel = 'dine_in' and net_sales <> 0 and {{ touched('c') }}
    group by outlet_id, business_date
),

products as (
    select
        outlet_id,
        business_date,
        sum(theoretical_cost) as cost_of_sales,
        sum(case when category_group = 'food' then quantity end) as main_items,
        {%- for group in ['food', 'beverage'] %}
        sum(case when category_group = '{{ group }}' then theoretical_cost end) as {{ group }}_cost,
        sum(case when category_group = '{{ group }}' then net_sales end) as {{ group }}_net_sales{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ ref('sales_by_product') }} as p
    where {{ touched('p') }}
    group by outlet_id, business_date
),

delivery as (
    select outlet_id, business_date, sum(net_sales) as net_sales
    from {{ ref('sales_by_channel') }} as c
    where channel in ('delivery_own', 'delivery_platform') and {{ touched('c') }}
    group by outlet_id, business_date
),

cash as (
    select outlet_id, business_date, amount + tips as amount
    from {{ ref('sales_by_tender') }} as t
    where tender = 'cash' and {{ touched('t') }}
),

days as (
    select
        s.outlet_id,
        s.entity_id,
        s.business_date,
        s.checks,
        s.gross_sales,
        s.discounts,
        s.comps,
        s.returns,
        s.net_sales,
        s.void_amount,
        case when s.covers > 0 then s.covers else coalesce(p.main_items, 0) end as covers,
        s.covers = 0 and coalesce(p.main_items, 0) <> 0 as is_covers_estimated,
        p.cost_of_sales,
        p.food_cost,
        p.food_net_sales,
        p.beverage_cost,
        p.beverage_net_sales
    from {{ ref('sales_daily') }} as s
    left join products as p
        on p.outlet_id = s.outlet_id
        and p.business_date = s.business_date
    where {{ touched('s') }}
)

select
    s.outlet_id,
    s.entity_id,
    s.business_date,
    s.net_sales,
    s.checks,
    cast(s.covers as integer) as covers,
    s.is_covers_estimated,
    {{ divide('d.net_sales', 'd.checks', 4) }} as average_check,
    {{ divide('s.net_sales', 's.covers', 4) }} as average_per_cover,
    {{ divide('s.comps', 's.gross_sales', 6) }} as comp_pct,
    {{ divide('s.discounts', 's.gross_sales', 6) }} as discount_pct,
    {{ divide('s.void_amount', 's.gross_sales + s.void_amount', 6) }} as void_pct,
    {{ divide('s.returns', 's.gross_sales', 6) }} as refund_pct,
    {{ divide('coalesce(v.net_sales, 0)', 's.net_sales', 6) }} as delivery_pct,
    {{ money('coalesce(s.cost_of_sales, 0)') }} as cost_of_sales,
    {{ divide('s.food_cost', 's.food_net_sales', 6) }} as food_cost_pct,
    {{ divide('s.beverage_cost', 's.beverage_net_sales', 6) }} as beverage_cost_pct,
    {{ money('coalesce(l.labor_cost, 0)') }} as labor_cost,
    {{ divide('coalesce(l.labor_cost, 0)', 's.net_sales', 6) }} as labor_pct,
    {{ money('coalesce(s.cost_of_sales, 0) + coalesce(l.labor_cost, 0)') }} as prime_cost,
    {{ divide('coalesce(s.cost_of_sales, 0) + coalesce(l.labor_cost, 0)', 's.net_sales', 6) }} as prime_cost_pct,
    {{ divide('s.net_sales', 'l.hours', 4) }} as splh,
    {{ divide('s.covers', 'l.hours', 4) }} as cplh,
    {{ divide('l.overtime_hours', 'l.hours', 6) }} as overtime_pct,
    cast(o.seats as integer) as seats,
    {{ divide('s.covers', 'o.seats', 4) }} as table_turn,
    {{ money('coalesce(c.amount, 0)') }} as cash_taken,
    k.short as cash_short,
    {{ divide('k.short * 1000000', 'c.amount', 4) }} as cash_short_per_million
from days as s
left join dine_in as d
    on d.outlet_id = s.outlet_id
    and d.business_date = s.business_date
left join delivery as v
    on v.outlet_id = s.outlet_id
    and v.business_date = s.business_date
left join (select * from {{ ref('labor_daily') }} as w where {{ touched('w') }}) as l
    on l.outlet_id = s.outlet_id
    and l.business_date = s.business_date
left join {{ source('raw_c4', 'outlets') }} as o
    on o.outlet_id = s.outlet_id
    and s.business_date between o.valid_from and o.valid_to
left join (select * from {{ ref('cash_counts') }} as n where {{ touched('n') }}) as k
    on k.outlet_id = s.outlet_id
    and k.business_date = s.business_date
left join cash as c
    on c.outlet_id = s.outlet_id
    and c.business_date = s.business_date
