-- The payroll entry of an outlet and month from the pay of its people. Employees without a tax step are left out of
-- none of the lines: the whole entry of their outlet waits until the step is loaded.
with complete as (
    select entity_id, outlet_id, period
    from {{ ref('int_labor__payroll') }}
    group by entity_id, outlet_id, period
    having count(*) = count(net_pay)
),

amounts as (
    select
        p.entity_id,
        p.outlet_id,
        p.period,
        parts.component,
        parts.kind,
        parts.key1,
        sum(case parts.component
            when 'wages' then p.wage
            when 'overtime' then p.overtime
            when 'employer_contribution' then p.employer_contributions
            when 'net_wages' then -p.net_pay
            when 'health_payable' then -p.health_payable
            when 'employment_payable' then -p.employment_payable
            else -p.wage_tax
        end) as amount
    from {{ ref('int_labor__payroll') }} as p
    inner join complete as c
        on c.entity_id = p.entity_id
        and c.outlet_id = p.outlet_id
        and c.period = p.period
    cross join (
        values
            ('wages', 'wages', '*'), ('overtime', 'overtime', '*'), ('employer_contribution', 'employer_contribution', '*'),
            ('net_wages', 'net_wages', '*'), ('health_payable', 'contribution_payable', 'health'),
            ('employment_payable', 'contribution_payable', 'employment'), ('wage_tax', 'wage_tax', '*')
    ) as parts (component, kind, key1)
    group by p.entity_id, p.outlet_id, p.period, parts.component, parts.kind, parts.key1
)

select
    a.entity_id,
    a.outlet_id,
    a.period,
    cast(row_number() over (
        partition by a.entity_id, a.outlet_id, a.period order by -sign(a.amount), m.account_code
    ) as integer) as line_no,
    a.component,
    coalesce(m.account_code, s.account_code, 'unmapped') as account_code,
    {{ money('greatest(a.amount, 0)') }} as debit,
    {{ money('greatest(-a.amount, 0)') }} as credit
from amounts as a
{{ join_accounts('a', 'period', 'a.kind', 'a.key1') }}
where a.amount <> 0
