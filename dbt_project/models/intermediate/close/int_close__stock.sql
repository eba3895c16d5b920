-- R8: book value of the stock from one count to the next (opening count + receipts + transfers - waste - other issues
-- - theoretical usage) against the value counted. Amounts of transfers carry their sign.
with movements as (
    select
        m.integration_id,
        o.outlet_id,
        m.material,
        m.movement,
        m.posting_date,
        m.amount
    from {{ ref('int_unified__stock_movements') }} as m
    left join {{ ref('int_gl__outlet_codes') }} as o
        on o.integration_id = m.integration_id
        and o.source_outlet_id = {{ code('m.source_outlet_id') }}
),

counts as (
    select
        outlet_id,
        posting_date as counted_on,
        sum(amount) as counted,
        lag(posting_date) over (partition by outlet_id order by posting_date) as previous_on,
        lag(sum(amount)) over (partition by outlet_id order by posting_date) as opening
    from movements
    where movement = 'count'
    group by outlet_id, posting_date
),

flows as (
    select
        c.outlet_id,
        c.counted_on,
        sum(case
            when m.movement in ('receipt', 'transfer') then m.amount
            when m.movement in ('issue', 'waste') then -m.amount
            else 0
        end) as movement
    from counts as c
    inner join movements as m
        on m.outlet_id = c.outlet_id
        and m.posting_date > c.previous_on
        and m.posting_date <= c.counted_on
    group by c.outlet_id, c.counted_on
),

usage as (
    select c.outlet_id, c.counted_on, sum(j.credit - j.debit) as theoretical
    from counts as c
    inner join {{ ref('journal_lines') }} as j
        on j.outlet_id = c.outlet_id
        and j.journal_type = 'COG'
        and j.component like 'inventory:%'
        and j.business_date > c.previous_on
        and j.business_date <= c.counted_on
    group by c.outlet_id, c.counted_on
)

select
    c.outlet_id,
    c.counted_on,
    c.opening + coalesce(f.movement, 0) - coalesce(u.theoretical, 0) as expected,
    c.counted,
    coalesce(u.theoretical, 0) as theoretical_usage
from counts as c
left join flows as f
    on f.outlet_id = c.outlet_id
    and f.counted_on = c.counted_on
left join usage as u
    on u.outlet_id = c.outlet_id
    and u.counted_on = c.counted_on
where c.previous_on is not null
