{{ config(materialized='table') }}

-- A business date begins at its cut-off by the version of the outlet valid on it and ends where the next one begins,
-- so the dates tile the time line without gap or overlap, also where the cut-off or the time zone changes.
with rates as (
    select
        from_currency,
        to_currency,
        rate,
        rate_date as valid_from,
        coalesce(
            lead(rate_date) over (partition by from_currency, to_currency order by rate_date) - 1,
            date '9999-12-31'
        ) as valid_to
    from {{ source('raw_c4', 'exchange_rates') }}
)

select
    d.outlet_id,
    d.business_date,
    d.is_expected,
    v.entity_id,
    v.timezone,
    {{ business_day_start('d.business_date', 'v.cutoff', 'v.timezone') }} as starts_at,
    {{ business_day_start('(d.business_date + 1)', 'coalesce(n.cutoff, v.cutoff)', 'coalesce(n.timezone, v.timezone)') }}
        as ends_at,
    {{ business_day_start('(d.business_date + 1)', 'coalesce(n.cutoff, v.cutoff)', 'coalesce(n.timezone, v.timezone)') }}
        <= settings.as_of as is_ended,
    v.currency as local_currency,
    {{ iso_exponent('v.currency') }} as local_exponent,
    e.currency,
    cast(e.currency_exponent as integer) as currency_exponent,
    v.currency <> e.currency as is_foreign,
    case when v.currency <> e.currency then rates.rate end as exchange_rate,
    v.tax_jurisdiction,
    t.rate as tax_rate,
    t.on_service as tax_on_service,
    v.cost_center,
    v.tracking_option
from {{ ref('int_outlets__dates') }} as d
inner join {{ source('raw_c4', 'outlets') }} as v
    on v.outlet_id = d.outlet_id
    and d.business_date between v.valid_from and v.valid_to
left join {{ source('raw_c4', 'outlets') }} as n
    on n.outlet_id = d.outlet_id
    and d.business_date + 1 between n.valid_from and n.valid_to
inner join {{ source('raw_c4', 'entities') }} as e
    on e.entity_id = v.entity_id
left join rates
    on rates.from_currency = v.currency
    and rates.to_currency = e.currency
    and d.business_date between rates.valid_from and rates.valid_to
left join {{ source('raw_c4', 'tax_rates') }} as t
    on t.tax_jurisdiction = v.tax_jurisdiction
    and d.business_date between t.valid_from and t.valid_to
cross join {{ source('raw_c4', 'group_settings') }} as settings
