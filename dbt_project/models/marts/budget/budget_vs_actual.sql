-- Statement lines and the subtotals of the chart. Variances are signed as favourable; the raw one is actual - budget.
with members as (
    select *
    from (
        values
            ('Sales', 10, 'Sales', 1, true, false),
            ('Service charge', 20, 'Service charge', 1, true, false),
            ('Other income', 30, 'Other income', 1, true, false),
            ('Cost of sales', 40, 'Cost of sales', 1, false, false),
            ('Labor', 50, 'Labor', 1, false, false),
            ('Prime cost', 60, 'Cost of sales', 1, false, true),
            ('Prime cost', 60, 'Labor', 1, false, true),
            ('Other controllable', 70, 'Other controllable', 1, false, false),
            ('Controllable income', 80, 'Sales', 1, true, true),
            ('Controllable income', 80, 'Service charge', 1, true, true),
            ('Controllable income', 80, 'Other income', 1, true, true),
            ('Controllable income', 80, 'Cost of sales', -1, true, true),
            ('Controllable income', 80, 'Labor', -1, true, true),
            ('Controllable income', 80, 'Other controllable', -1, true, true),
            ('Non-controllable', 90, 'Non-controllable', 1, false, false),
            ('Restaurant operating income', 100, 'Sales', 1, true, true),
            ('Restaurant operating income', 100, 'Service charge', 1, true, true),
            ('Restaurant operating income', 100, 'Other income', 1, true, true),
            ('Restaurant operating income', 100, 'Cost of sales', -1, true, true),
            ('Restaurant operating income', 100, 'Labor', -1, true, true),
            ('Restaurant operating income', 100, 'Other controllable', -1, true, true),
            ('Restaurant operating income', 100, 'Non-controllable', -1, true, true),
            ('Below the line', 110, 'Below the line', 1, false, false)
    ) as statement (line, line_order, member, sign, is_income, is_subtotal)
),

lines as (
    select
        a.entity_id,
        a.outlet_id,
        a.month,
        m.line,
        m.line_order,
        m.is_income,
        m.is_subtotal,
        sum(m.sign * a.month_budget) as month_budget,
        sum(m.sign * a.budget) as budget,
        sum(m.sign * a.flexible) as flexible,
        sum(m.sign * a.actual) as actual
    from {{ ref('int_budget__accounts') }} as a
    inner join members as m
        on m.member = a.line
    group by a.entity_id, a.outlet_id, a.month, m.line, m.line_order, m.is_income, m.is_subtotal
),

sales as (
    select entity_id, outlet_id, month, budget, flexible, actual
    from lines
    where line = 'Sales'
)

select
    l.entity_id,
    l.outlet_id,
    l.month,
    l.line,
    l.line_order,
    l.is_income,
    l.is_subtotal,
    {{ money('l.month_budget') }} as month_budget,
    {{ money('l.budget') }} as budget,
    {{ money('l.flexible') }} as flexible,
    {{ money('l.actual') }} as actual,
    {{ money('l.actual - l.budget') }} as raw_variance,
    {{ money('case when l.is_income then l.actual - l.budget else l.budget - l.actual end') }} as favourable_variance,
    {{ money('case when l.is_income then l.flexible - l.budget else l.budget - l.flexible end') }} as volume_variance,
    {{ money('case when l.is_income then l.actual - l.flexible else l.flexible - l.actual end') }} as flexible_variance,
    {{ divide('l.actual - l.budget', 'abs(l.budget)', 6) }} as variance_pct,
    {{ divide('l.budget', 's.budget', 6) }} as budget_pct_of_sales,
    {{ divide('l.flexible', 's.flexible', 6) }} as flexible_pct_of_sales,
    {{ divide('l.actual', 's.actual', 6) }} as actual_pct_of_sales
from lines as l
left join sales as s
    on s.entity_id = l.entity_id
    and s.outlet_id = l.outlet_id
    and s.month = l.month
