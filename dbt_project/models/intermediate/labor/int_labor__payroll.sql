-- Monthly pay of one employee: overtime by PP 35/2021 (1/173 of the monthly wage; the first hour of a workday at 1.5
-- times, further hours at twice), BPJS by the dated rates and caps, PPh 21 by the TER step of the month. An employee
-- whose pay lies above the loaded steps has no tax and no net pay: the row says so by null.
with pay as (
    select
        p.*,
        e.currency_exponent,
        p.base_wage + p.fixed_allowance as wage,
        {{ divide(
            'p.overtime_days * (1.5 * least(p.overtime_hours_per_day, 1) + 2 * greatest(p.overtime_hours_per_day - 1, 0))'
            ~ ' * (p.base_wage + p.fixed_allowance)',
            '173', 0
        ) }} as overtime
    from {{ source('raw_c4', 'payroll_inputs') }} as p
    inner join {{ source('raw_c4', 'entities') }} as e
        on e.entity_id = p.entity_id
),

contributions as (
    select
        p.entity_id,
        p.period,
        p.employee_id,
        c.payable,
        c.is_taxed,
        {{ round_to_currency(
            multiply('least(p.wage, coalesce(c.wage_cap, p.wage))', 'coalesce(c.employer_rate, p.accident_rate)'),
            'p.currency_exponent'
        ) }} as employer,
        {{ round_to_currency(
            multiply('least(p.wage, coalesce(c.wage_cap, p.wage))', 'c.employee_rate'), 'p.currency_exponent'
        ) }} as employee
    from pay as p
    inner join {{ ref('payroll_contributions') }} as c
        on p.period between c.valid_from and c.valid_to
),

summed as (
    select
        entity_id,
        period,
        employee_id,
        sum(employer) as employer_contributions,
        sum(employee) as employee_contributions,
        sum(case when payable = 'health' then employer + employee else 0 end) as health_payable,
        sum(case when payable = 'employment' then employer + employee else 0 end) as employment_payable,
        sum(case when is_taxed then employer else 0 end) as taxed_benefit
    from contributions
    group by entity_id, period, employee_id
),

grossed as (
    select p.*, s.employer_contributions, s.employee_contributions, s.health_payable, s.employment_payable,
        p.wage + p.overtime + s.taxed_benefit as tax_gross
    from pay as p
    inner join summed as s
        on s.entity_id = p.entity_id
        and s.period = p.period
        and s.employee_id = p.employee_id
)

select
    g.entity_id,
    g.outlet_id,
    g.period,
    g.employee_id,
    {{ money('g.wage') }} as wage,
    {{ money('g.overtime') }} as overtime,
    g.overtime_days * g.overtime_hours_per_day as overtime_hours,
    {{ money('g.employer_contributions') }} as employer_contributions,
    {{ money('g.employee_contributions') }} as employee_contributions,
    {{ money('g.health_payable') }} as health_payable,
    {{ money('g.employment_payable') }} as employment_payable,
    {{ money('g.tax_gross') }} as tax_gross,
    {{ money('floor(' ~ multiply('g.tax_gross', 't.rate') ~ ')') }} as wage_tax,
    {{ money('g.wage + g.overtime - g.employee_contributions - floor(' ~ multiply('g.tax_gross', 't.rate') ~ ')') }}
        as net_pay
from grossed as g
left join {{ ref('payroll_tax_categories') }} as k
    on k.tax_status = g.tax_status
left join {{ ref('payroll_tax_steps') }} as t
    on t.category = k.category
    and g.tax_gross > t.above
    and g.tax_gross <= t.up_to
    and g.period between t.valid_from and t.valid_to
