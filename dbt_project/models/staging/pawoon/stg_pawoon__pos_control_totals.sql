-- Pawoon's own totals per local calendar day, as of `read_until`: what arrived later is not in them.
with totals as (
    {%- for measure, figure in {'gross_sales': 'gross_sales', 'discounts': 'discount', 'net_sales': 'net_sales'}.items() %}
    select
        integration_id, source_outlet_id, day, read_until,
        '{{ measure }}' as measure,
        {{ figure }} as amount
    from {{ source('raw_pawoon', 'summary') }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
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
