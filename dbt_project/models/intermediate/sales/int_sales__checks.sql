{{ config(materialized='by_day') }}

-- Checks of the outlet-days, check-level amounts local and in functional currency.
select
    p.integration_id,
    p.check_id,
    p.check_number,
    p.check_type,
    p.refunded_check_id,
    p.vendor,
    p.source_outlet_id,
    p.outlet_id,
    d.entity_id,
    p.business_date,
    p.opened_at,
    p.closed_at,
    {{ local_timestamp('p.opened_at', 'd.timezone') }} as opened_local,
    {{ code('p.source_channel') }} as channel_code,
    coalesce(p.is_voided, false) as is_voided,
    p.covers,
    d.is_foreign,
    d.exchange_rate,
    d.currency_exponent,
    d.currency,
    d.local_currency,
    coalesce(p.source_currency, d.local_currency) <> d.local_currency as is_other_currency,
    {% for amount in ['gross_sales', 'discounts', 'comps', 'returns'] -%}
    {{ money('coalesce(p.' ~ amount ~ ', 0)') }} as source_{{ amount }},
    {% endfor -%}
    p.bill_total as source_bill_total,
    {% for amount in ['service_charge', 'tax', 'tip', 'rounding'] -%}
    {{ money('coalesce(p.' ~ amount ~ ', 0)') }} as local_{{ amount }},
    {{ money(translate('coalesce(p.' ~ amount ~ ', 0)', 'd')) }} as {{ amount }},
    {% endfor -%}
    p.tax_lines as local_tax_lines,
    p.updated_at
from {{ ref('int_sales__placed_checks') }} as p
inner join {{ ref('dim_outlet_dates') }} as d
    on d.outlet_id = p.outlet_id
    and d.business_date = p.business_date
where {{ touched('p') }}
