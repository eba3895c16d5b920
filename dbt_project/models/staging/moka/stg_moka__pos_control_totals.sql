{#- measure -> the figure of Moka's sales summary; redeemed points reduce a line like a discount -#}
{%- set measures = {
  'checks': 'number_of_transactions',
  'gross_sales': 'gross_sales',
  'discounts': 'discounts + coalesce(redemption, 0)',
  'returns': 'refunds',
  'net_sales': 'net_sales',
  'service_charge': 'gratuities',
  'tax': 'taxes',
  'rounding': 'coalesce(rounding_amount, 0)',
  'bill_total': 'total_collected',
} -%}

-- Moka's own totals per local calendar day, as of `read_until`: what arrived later is not in them.
with totals as (
    {%- for measure, figure in measures.items() %}
    select
        integration_id, source_outlet_id, day, read_until,
        '{{ measure }}' as measure,
        cast({{ figure }} as decimal(18, 4)) as amount
    from {{ source('raw_moka', 'sales_summary') }}
    union all
    {%- endfor %}
    select
        method.integration_id, method.root_source_outlet_id, method.root_day, report.read_until,
        'tender:' || method.payment_type as measure,
        method.collected as amount
    from {{ current_children(source('raw_moka', 'payment_method_totals'), source('raw_moka', 'payment_methods')) }} as method
    inner join {{ source('raw_moka', 'payment_methods') }} as report
        on report.integration_id = method.integration_id
        and report.source_outlet_id = method.root_source_outlet_id
        and report.day = method.root_day
)

select
    integration_id,
    source_outlet_id,
    cast(day as date) as control_date,
    'calendar' as basis,
    measure,
    amount,
    cast(read_until as timestamp with time zone) as read_until
from totals
