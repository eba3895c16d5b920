{#- measure -> the figure over the revenue centres of a location; discounts and returns are told with either sign -#}
{%- set measures = {
  'gross_sales': 'net_sales + discounts + returns',
  'discounts': 'discounts',
  'returns': 'returns',
  'net_sales': 'net_sales',
  'service_charge': 'service_charge',
  'tax': 'tax',
  'rounding': 'rounding',
} -%}

-- Simphony's own totals of each business date that the location has reached: of one that it has not, an empty report
-- says nothing. A date without a revenue centre is one without sales.
with totals as (
    select
        d.integration_id,
        d.source_outlet_id,
        d.bus_dt,
        d.read_until,
        sum(coalesce(t.net_sls_ttl, 0)) as net_sales,
        sum(abs(coalesce(t.itm_dsc_ttl, 0)) + abs(coalesce(t.sub_dsc_ttl, 0))) as discounts,
        sum(abs(coalesce(t.rtn_ttl, 0))) as returns,
        sum(coalesce(t.svc_ttl, 0)) as service_charge,
        sum(coalesce(t.tax_coll_ttl, 0)) as tax,
        sum(coalesce(t.rnd_ttl, 0)) as rounding
    from {{ source('raw_oracle_micros', 'operations_days') }} as d
    inner join {{ source('raw_oracle_micros', 'latest_business_dates') }} as l
        on l.integration_id = d.integration_id
        and l.source_outlet_id = d.source_outlet_id
        and l.latest_bus_dt >= d.bus_dt
    left join {{ current_children(source('raw_oracle_micros', 'operations_totals'), source('raw_oracle_micros', 'operations_days')) }} as t
        on t.integration_id = d.integration_id
        and t.root_source_outlet_id = d.source_outlet_id
        and t.root_bus_dt = d.bus_dt
    group by d.integration_id, d.source_outlet_id, d.bus_dt, d.read_until
)

{% for measure, figure in measures.items() -%}
select
    integration_id,
    source_outlet_id,
    bus_dt as control_date,
    'business' as basis,
    '{{ measure }}' as measure,
    cast({{ figure }} as decimal(18, 4)) as amount,
    cast(read_until as timestamp with time zone) as read_until
from totals
{{ 'union all' if not loop.last }}
{% endfor %}
