{#
  What the candidate journals are made of: each amount behind a line with its source row, which is the mart
  `journal_line_sources`; or, of the days that `of_days` says of the table `f`, the amounts added up by line, kind of
  source and integration with the number of rows, which is `int_close__journal_totals`.
#}
{% macro journal_amounts(of_days=none) -%}
{%- set line_key = 'entity_id, outlet_id, business_date, journal_type, component, account_code' %}
{%- set source_row = 'source_type, integration_id' if of_days else 'source_type, integration_id, source_id, check_id' %}
{%- set check_amount = "'check' as source_type, c.integration_id, c.check_id as source_id, c.check_id" %}
{%- set line_amount = "'check_line' as source_type, l.integration_id, l.line_id as source_id, l.check_id" %}
{%- set facts = {
    'check_lines': [ref('fct_check_lines'), 'integration_id, check_id, line_id, entity_id, outlet_id, business_date, is_voided, '
        ~ 'line_type, category_group, source_category, channel, source_channel, reduction_reason, discount_name, cost_group, '
        ~ 'gross_sales, discounts, comps, returns, liability_amount, theoretical_cost'],
    'checks': [ref('fct_checks'), 'integration_id, check_id, entity_id, outlet_id, business_date, is_voided, check_type, '
        ~ 'service_charge, tax, tip, rounding, unexplained_difference, difference_kind'],
    'payments': [ref('fct_check_payments'), 'integration_id, check_id, payment_id, entity_id, outlet_id, business_date, '
        ~ 'is_voided, tender, source_tender, amount, tip'],
    'counts': [ref('cash_counts'), 'entity_id, outlet_id, business_date, paid_out_reason, paid_out, short'],
    'shifts': [ref('fct_punches'), 'integration_id, punch_id, entity_id, outlet_id, business_date, job, labor_cost, overtime_cost'],
} %}

{#- Steps that several others read: of all of history they are a view's, and only what is asked for may be read. -#}
{%- set step = 'as materialized' if of_days else 'as not materialized' %}
with
{% for name, (fact, columns) in facts.items() %}
{{ name }} {{ step }} (
    select {{ columns }} from {{ fact }} as f{{ ' where ' ~ of_days if of_days }}
),
{% endfor %}
-- Every amount that makes a journal, debit positive: what it is made of (`kind`, `key1`, `key2` look the account up)
-- and what to call it (`component`). Amounts of one kind net within their line: a cash refund lowers cash.
amounts as (
    -- sales lines
    select
        l.entity_id, l.outlet_id, l.business_date, 'DSJ' as journal_type,
        'sales:' || l.category_group || ':' || l.channel as component,
        'sales' as kind, l.category_group as key1, l.channel as key2,
        case when l.category_group = 'unmapped' then 'category:' || l.source_category
            when l.channel = 'unmapped' then 'channel:' || l.source_channel end as unmapped,
        -l.gross_sales as amount, {{ line_amount }}
    from check_lines as l
    where not l.is_voided and l.gross_sales <> 0

    union all
    select
        l.entity_id, l.outlet_id, l.business_date, 'DSJ',
        'discount:' || l.reduction_reason, 'discount', l.reduction_reason, '*',
        case when l.reduction_reason = 'unmapped' then 'discount:' || lower(trim(l.discount_name)) end,
        l.discounts, {{ line_amount }}
    from check_lines as l
    where not l.is_voided and l.discounts <> 0

    union all
    select
        l.entity_id, l.outlet_id, l.business_date, 'DSJ',
        'comp:' || l.reduction_reason, 'comp', l.reduction_reason, '*', null,
        l.comps, {{ line_amount }}
    from check_lines as l
    where not l.is_voided and l.comps <> 0

    -- where free meals are taxed, the outlet owes the tax on what the guest did not pay
    union all
    select
        l.entity_id, l.outlet_id, l.business_date, 'DSJ',
        sides.component || case when sides.kind = 'tax' then d.tax_jurisdiction else l.reduction_reason end,
        sides.kind, case when sides.kind = 'tax' then d.tax_jurisdiction else l.reduction_reason end, '*', null,
        sides.sign * {{ round_to_currency(multiply('l.comps', 'd.tax_rate'), 'd.currency_exponent') }},
        {{ line_amount }}
    from check_lines as l
    inner join {{ ref('dim_entities') }} as e
        on e.entity_id = l.entity_id
        and e.tax_comps
    inner join {{ ref('dim_outlet_dates') }} as d
        on d.outlet_id = l.outlet_id
        and d.business_date = l.business_date
    cross join (values ('comp', 'comp_tax:', 1), ('tax', 'tax:', -1)) as sides (kind, component, sign)
    where not l.is_voided and l.comps <> 0

    union all
    select
        l.entity_id, l.outlet_id, l.business_date, 'DSJ', 'return', 'return', '*', '*', null,
        l.returns, {{ line_amount }}
    from check_lines as l
    where not l.is_voided and l.returns <> 0

    union all
    select
        l.entity_id, l.outlet_id, l.business_date, 'DSJ',
        case l.line_type when 'deposit' then 'deposit' else 'gift_card_sold' end,
        case l.line_type when 'deposit' then 'deposit' else 'gift_card_sold' end, '*', '*', null,
        -l.liability_amount, {{ line_amount }}
    from check_lines as l
    where not l.is_voided and l.liability_amount <> 0

    -- check components
    union all
    select
        c.entity_id, c.outlet_id, c.business_date, 'DSJ',
        case c.check_type when 'refund' then 'service_refund' else 'service_charge' end,
        'service_charge', e.service_charge_policy, '*', null,
        -c.service_charge, {{ check_amount }}
    from checks as c
    inner join {{ ref('dim_entities') }} as e on e.entity_id = c.entity_id
    where not c.is_voided and c.service_charge <> 0

    union all
    select
        c.entity_id, c.outlet_id, c.business_date, 'DSJ',
        case c.check_type when 'refund' then 'tax_refund:' else 'tax:' end || d.tax_jurisdiction,
        'tax', d.tax_jurisdiction, '*', null,
        -c.tax, {{ check_amount }}
    from checks as c
    inner join {{ ref('dim_outlet_dates') }} as d
        on d.outlet_id = c.outlet_id
        and d.business_date = c.business_date
    where not c.is_voided and c.tax <> 0

    union all
    select c.entity_id, c.outlet_id, c.business_date, 'DSJ', 'tip', 'tip', '*', '*', null, -c.tip, {{ check_amount }}
    from checks as c
    where not c.is_voided and c.tip <> 0

    union all
    select
        c.entity_id, c.outlet_id, c.business_date, 'DSJ', 'rounding', 'rounding', '*', '*', null,
        -c.rounding, {{ check_amount }}
    from checks as c
    where not c.is_voided and c.rounding <> 0

    -- what separates the tenders of a check from its bill: translation, the till's rounding, or an error
    union all
    select
        c.entity_id, c.outlet_id, c.business_date, 'DSJ',
        case c.difference_kind when 'suspense' then 'suspense:payments' when 'fx' then 'fx' else 'rounding' end,
        c.difference_kind, '*', '*', null,
        -c.unexplained_difference, {{ check_amount }}
    from checks as c
    where not c.is_voided and c.unexplained_difference <> 0

    -- tenders
    union all
    select
        p.entity_id, p.outlet_id, p.business_date, 'DSJ',
        'tender:' || p.tender, 'tender', p.tender, '*',
        case when p.tender = 'unmapped' then 'tender:' || p.source_tender end,
        p.amount + p.tip, 'payment', p.integration_id, p.payment_id, p.check_id
    from payments as p
    where not p.is_voided and p.amount + p.tip <> 0

    -- the counted till: what was paid out of it and what is missing or over
    union all
    select
        k.entity_id, k.outlet_id, k.business_date, 'DSJ',
        sides.component || case sides.kind when 'paid_out' then k.paid_out_reason else '' end,
        sides.kind, case sides.kind when 'tender' then 'cash' when 'paid_out' then k.paid_out_reason else '*' end, '*', null,
        sides.paid_out * k.paid_out + sides.short * k.short,
        'cash_count', '', k.outlet_id || ':' || cast(k.business_date as varchar), null
    from counts as k
    cross join (
        values ('tender', 'tender:cash', -1, -1), ('paid_out', 'paid_out:', 1, 0), ('over_short', 'over_short', 0, 1)
    ) as sides (kind, component, paid_out, short)
    where sides.paid_out * k.paid_out + sides.short * k.short <> 0

    -- theoretical cost of what was sold
    union all
    select
        l.entity_id, l.outlet_id, l.business_date, 'COG',
        sides.kind || ':' || l.cost_group, sides.kind, l.cost_group, '*', null,
        sides.sign * l.theoretical_cost, {{ line_amount }}
    from check_lines as l
    cross join (values ('cogs', 1), ('inventory', -1)) as sides (kind, sign)
    where l.theoretical_cost <> 0

    -- labor at standard rates, until the payroll replaces it
    union all
    select
        p.entity_id, p.outlet_id, p.business_date, 'LAB',
        case sides.kind when 'accrued_payroll' then sides.kind else sides.kind || ':' || p.job end,
        sides.kind, case sides.kind when 'accrued_payroll' then '*' else p.job end, '*',
        null,
        sides.base * (p.labor_cost - p.overtime_cost) + sides.overtime * p.overtime_cost,
        'punch', p.integration_id, p.punch_id, null
    from shifts as p
    cross join (
        values ('wages', 1, 0), ('overtime', 0, 1), ('accrued_payroll', -1, -1)
    ) as sides (kind, base, overtime)
    where sides.base * (p.labor_cost - p.overtime_cost) + sides.overtime * p.overtime_cost <> 0
),

{% if of_days -%}
sums as (
    select
        entity_id, outlet_id, business_date, journal_type, component, kind, key1, key2, unmapped, {{ source_row }},
        sum(amount) as amount, count(*) as source_rows
    from amounts
    group by
        entity_id, outlet_id, business_date, journal_type, component, kind, key1, key2, unmapped, {{ source_row }}
),

{% endif -%}
-- An amount without a mapping goes to suspense under the name of the code that nobody mapped.
booked {{ step }} (
    select
        a.entity_id,
        a.outlet_id,
        a.business_date,
        a.journal_type,
        case
            when a.unmapped is not null then 'suspense:' || a.unmapped
            when m.account_code is null then 'suspense:account:' || replace(a.kind || ':' || a.key1 || ':' || a.key2, ':*', '')
            else a.component
        end as component,
        coalesce(case when a.unmapped is null then m.account_code end, s.account_code, 'unmapped') as account_code,
        a.amount,
        {% for column in source_row.split(', ') %}a.{{ column }}, {% endfor %}{{ 'a.source_rows,' if of_days }}
        d.currency_exponent
    from {{ 'sums' if of_days else 'amounts' }} as a
    inner join {{ ref('dim_outlet_dates') }} as d
        on d.outlet_id = a.outlet_id
        and d.business_date = a.business_date
        and d.is_ended
    {{ join_accounts('a', 'business_date', 'a.kind', 'a.key1', 'a.key2') }}
),

-- Books hold whole units of the currency: each line's fraction is moved to the rounding account.
fractions {{ step }} (
    select *, rounded - exact as fraction
    from (
        select
            {{ line_key }},
            sum(amount) as exact,
            {{ round_to_currency('sum(amount)', 'max(currency_exponent)') }} as rounded
        from booked
        group by {{ line_key }}
    ) as lines
    where exact <> rounded
),

residues as (
    select {{ line_key }}, fraction as amount, component as source_id
    from fractions
    union all
    select
        f.entity_id, f.outlet_id, f.business_date, f.journal_type, 'residue',
        coalesce(min(m.account_code), min(s.account_code), 'unmapped'), -sum(f.fraction), 'fractions of all lines'
    from fractions as f
    {{ join_accounts('f', 'business_date', "'rounding'") }}
    group by f.entity_id, f.outlet_id, f.business_date, f.journal_type
    having sum(f.fraction) <> 0
)

select
    {{ line_key }},
    {{ source_row }},
{%- if of_days %}
    {{ money('sum(amount)') }} as amount,
    cast(sum(source_rows) as integer) as source_rows
from booked
group by {{ line_key }}, {{ source_row }}
{%- else %}
    {{ money('amount') }} as amount
from booked
{%- endif %}

union all

select
    {{ line_key }},
    'fraction' as source_type,
    '' as integration_id,
    {{ "" if of_days else "source_id, cast(null as varchar) as check_id," }}
    {{ money('amount') }} as amount
    {{- ', 1 as source_rows' if of_days }}
from residues
{%- endmacro %}
