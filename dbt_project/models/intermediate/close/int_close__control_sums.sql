{{ config(materialized='by_day') }}

{#- measure of a POS report -> the same figure over fct_checks, local currency; a POS counts comps as discounts -#}
{%- set measures = {
  'checks': "case when check_type = 'sale' then 1 else 0 end",
  'gross_sales': 'local_gross_sales',
  'discounts': 'local_reductions',
  'returns': 'local_returns',
  'net_sales': 'local_net_sales',
  'service_charge': 'local_service_charge',
  'tax': 'local_tax',
  'rounding': 'local_rounding',
  'bill_total': 'local_bill_total',
} %}

-- What a till's own report of the outlet-day must say, in parts by local calendar day: reports go by either. `changed_at` is
-- the last change of the checks of a part, of which the rows of tenders have none.
with checks as (
    select
        f.integration_id, f.outlet_id, f.business_date, f.check_id, f.check_type, f.is_voided, f.updated_at,
        cast(f.opened_local as date) as calendar_date,
        f.local_gross_sales, f.local_reductions, f.local_returns, f.local_net_sales, f.local_service_charge,
        f.local_tax, f.local_rounding, f.local_bill_total
    from {{ ref('fct_checks') }} as f
    where {{ touched('f') }}
),

totals as (
    select
        integration_id, outlet_id, business_date, calendar_date,
        max(updated_at) as changed_at,
        {%- for measure, expression in measures.items() %}
        sum(case when is_voided then 0 else {{ expression }} end) as {{ measure }}{{ ',' if not loop.last }}
        {%- endfor %}
    from checks
    group by integration_id, outlet_id, business_date, calendar_date
)

{% for measure in measures -%}
select
    integration_id, outlet_id, business_date, calendar_date, '{{ measure }}' as measure,
    {{ money(measure) }} as amount, changed_at
from totals
union all
{% endfor -%}
select
    p.integration_id, p.outlet_id, p.business_date, c.calendar_date, 'tender:' || p.source_tender,
    {{ money('sum(p.local_amount)') }}, cast(null as timestamp with time zone)
from {{ ref('fct_check_payments') }} as p
inner join checks as c
    on c.integration_id = p.integration_id
    and c.check_id = p.check_id
where not p.is_voided and {{ touched('p') }}
group by p.integration_id, p.outlet_id, p.business_date, c.calendar_date, p.source_tender
