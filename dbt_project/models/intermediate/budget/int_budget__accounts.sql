{{ config(materialized='table') }}

-- Budget, flexible budget and actual of every P&L account, positive in the direction of its statement line (sales
-- lines: credit; cost lines: debit). Sales, cost of sales and labor come from our own journals, day by day, so their
-- budget is taken for the days covered so far; other costs come from documents that people post once a month.
with as_of as (
    select {{ month_of(utc_date('as_of')) }} as this_month from {{ source('raw_c4', 'group_settings') }}
),

months as (
    select
        c.outlet_id,
        {{ month_of('c.business_date') }} as month,
        count(case when c.is_ended and c.is_expected then 1 end) as days_covered
    from {{ ref('dim_outlet_dates') }} as c
    group by c.outlet_id, {{ month_of('c.business_date') }}
),

volumes as (
    select
        s.outlet_id,
        {{ month_of('s.business_date') }} as month,
        sum(s.covers) as covers,
        sum(s.checks) as checks
    from {{ ref('sales_daily') }} as s
    inner join {{ ref('dim_outlet_dates') }} as c
        on c.outlet_id = s.outlet_id
        and c.business_date = s.business_date
        and c.is_ended
    group by s.outlet_id, {{ month_of('s.business_date') }}
),

budgets as (
    select
        coalesce(v.entity_id, e.entity_id) as entity_id,
        coalesce(o.outlet_id, '') as outlet_id,
        b.month,
        coalesce(a.account_code, b.account_code) as account_code,
        sum(b.amount) as amount
    from {{ ref('int_unified__budget_lines') }} as b
    inner join (
        select integration_id, min(entity_id) as entity_id
        from {{ source('raw_c4', 'integration_entities') }}
        group by integration_id
    ) as e
        on e.integration_id = b.integration_id
    left join {{ ref('int_gl__account_codes') }} as a
        on a.integration_id = b.integration_id
        and a.target_account = b.account_code
    left join {{ ref('int_gl__outlet_codes') }} as o
        on o.integration_id = b.integration_id
        and o.source_outlet_id = {{ code('b.source_outlet_id') }}
    left join {{ source('raw_c4', 'outlets') }} as v
        on v.outlet_id = o.outlet_id
        and b.month between v.valid_from and v.valid_to
    group by
        coalesce(v.entity_id, e.entity_id), coalesce(o.outlet_id, ''), b.month,
        coalesce(a.account_code, b.account_code)
),

booked as (
    select entity_id, outlet_id, {{ month_of('business_date') }} as month, account_code, debit - credit as amount
    from {{ ref('journal_lines') }}
    union all
    select entity_id, outlet_id, {{ month_of('posting_date') }}, account_code, amount
    from {{ ref('int_gl__human_lines') }}
),

actuals as (
    select entity_id, outlet_id, month, account_code, sum(amount) as amount
    from booked
    group by entity_id, outlet_id, month, account_code
),

keys as (
    select entity_id, outlet_id, month, account_code from budgets
    union
    select entity_id, outlet_id, month, account_code from actuals
),

lines as (
    select
        k.entity_id,
        k.outlet_id,
        k.month,
        k.account_code,
        a.line,
        a.line in ('Sales', 'Service charge', 'Other income') as is_income,
        a.line in ('Sales', 'Service charge', 'Cost of sales', 'Labor') as is_daily,
        -- budgets are positive in the account's normal direction; a contra account lowers its line
        coalesce(b.amount, 0) * case
            when a.normal_side = case when a.line in ('Sales', 'Service charge', 'Other income') then 'C' else 'D' end
                then 1
            else -1
        end as month_budget,
        coalesce(x.amount, 0)
        * case when a.line in ('Sales', 'Service charge', 'Other income') then -1 else 1 end as actual
    from keys as k
    inner join {{ source('raw_c4', 'accounts') }} as a
        on a.account_code = k.account_code
        and a.statement = 'PL'
    left join budgets as b
        on b.entity_id = k.entity_id
        and b.outlet_id = k.outlet_id
        and b.month = k.month
        and b.account_code = k.account_code
    left join actuals as x
        on x.entity_id = k.entity_id
        and x.outlet_id = k.outlet_id
        and x.month = k.month
        and x.account_code = k.account_code
    cross join as_of
    where k.month <= as_of.this_month
),

-- Days and volume of the month; where no volume was budgeted the budget does not flex.
driven as (
    select
        l.*,
        e.currency_exponent,
        case when l.is_daily then coalesce(m.days_covered, 0) else d.days end as days_covered,
        d.days as days_in_month,
        case when h.driver in ('covers', 'checks') then coalesce(h.variable_share, 0) else 0 end as variable_share,
        -- a POS that counts no guests is measured by its checks
        case when h.driver = 'covers' and v.covers > 0 and g.covers > 0 then v.covers else v.checks end as actual_volume,
        case when h.driver = 'covers' and v.covers > 0 and g.covers > 0 then g.covers else g.checks end as budget_volume,
        coalesce(m.days_covered, 0) as trading_days
    from lines as l
    inner join {{ source('raw_c4', 'entities') }} as e
        on e.entity_id = l.entity_id
    inner join (
        select month, extract(day from month + interval '1 month' - interval '1 day') as days
        from (select distinct month from keys) as months_used
    ) as d
        on d.month = l.month
    left join months as m
        on m.outlet_id = l.outlet_id
        and m.month = l.month
    left join volumes as v
        on v.outlet_id = l.outlet_id
        and v.month = l.month
    left join {{ source('raw_c4', 'budget_behaviour') }} as h
        on h.account_code = l.account_code
    left join {{ source('raw_c4', 'budget_drivers') }} as g
        on g.outlet_id = l.outlet_id
        and g.month = l.month
),

phased as (
    select
        *,
        {{ round_to_currency(divide('month_budget * days_covered', 'days_in_month', 4), 'currency_exponent') }} as budget
    from driven
),

split as (
    select *, {{ multiply('budget', 'cast(variable_share as decimal(8, 6))') }} as variable_budget
    from phased
)

select
    entity_id,
    outlet_id,
    month,
    account_code,
    line,
    is_income,
    days_covered,
    {{ money('month_budget') }} as month_budget,
    {{ money('budget') }} as budget,
    case
        when variable_share = 0 or coalesce(actual_volume, 0) = 0 or coalesce(budget_volume, 0) = 0 then {{ money('budget') }}
        else {{ round_to_currency(
            'budget - variable_budget + '
            ~ divide('variable_budget * actual_volume * days_in_month', 'budget_volume * trading_days', 4),
            'currency_exponent'
        ) }}
    end as flexible,
    {{ money('actual') }} as actual
from split
