{{ config(materialized='by_day') }}

with checks as (
    select
        outlet_id,
        entity_id,
        business_date,
        count(case when not is_voided and check_type = 'sale' then 1 end) as checks,
        count(case when not is_voided and check_type = 'refund' then 1 end) as refunds,
        sum(case when not is_voided and check_type = 'sale' then lines end) as lines,
        sum(case when not is_voided and check_type = 'sale' then covers end) as covers,
        {% for amount in ['gross_sales', 'discounts', 'comps', 'returns', 'net_sales', 'service_charge', 'tax', 'tip',
            'rounding', 'bill_total', 'liability_amount', 'tender_total'] -%}
        sum(case when not is_voided then {{ amount }} end) as {{ amount }},
        {% endfor -%}
        count(case when is_voided then 1 end) as voids,
        sum(case when is_voided then gross_sales end) as void_amount
    from {{ ref('fct_checks') }} as f
    where {{ touched('f') }}
    group by outlet_id, entity_id, business_date
),

-- items cancelled before payment on a check that was kept
voided_lines as (
    select outlet_id, business_date, sum(gross_sales) as void_amount
    from {{ ref('fct_check_lines') }} as l
    where is_voided and not is_check_voided and {{ touched('l') }}
    group by outlet_id, business_date
)

select
    c.outlet_id,
    c.entity_id,
    c.business_date,
    cast(c.checks as integer) as checks,
    cast(c.refunds as integer) as refunds,
    cast(coalesce(c.lines, 0) as integer) as lines,
    cast(coalesce(c.covers, 0) as integer) as covers,
    {% for amount in ['gross_sales', 'discounts', 'comps', 'returns', 'net_sales', 'service_charge', 'tax'] -%}
    {{ money('coalesce(c.' ~ amount ~ ', 0)') }} as {{ amount }},
    {% endfor -%}
    {{ money('coalesce(c.tip, 0)') }} as tips,
    {{ money('coalesce(c.rounding, 0)') }} as rounding,
    {{ money('coalesce(c.bill_total, 0)') }} as bill_total,
    {{ money('coalesce(c.liability_amount, 0)') }} as liabilities_taken,
    {{ money('coalesce(c.tender_total, 0)') }} as tender_total,
    cast(c.voids as integer) as voids,
    {{ money('coalesce(c.void_amount, 0) + coalesce(v.void_amount, 0)') }} as void_amount
from checks as c
left join voided_lines as v
    on v.outlet_id = c.outlet_id
    and v.business_date = c.business_date
