{{ config(materialized='table') }}

-- Checks at their outlet and business date, check-level amounts local and in functional currency. A check of an outlet
-- or an integration that configuration does not know has no outlet_id: it stands in mapping_exceptions and nowhere else.
-- Checks of a stand-in (totals entered or files uploaded while a till's integration was down) count in the place of the
-- till's own until those of the day are complete, and never beside them.
with located as (
    select
        c.integration_id,
        c.check_id,
        c.check_number,
        c.check_type,
        c.refunded_check_id,
        c.source_outlet_id,
        c.opened_at,
        c.closed_at,
        c.source_business_date,
        c.source_channel,
        c.source_currency,
        coalesce(c.is_voided, false) as is_voided,
        c.covers,
        {% for amount in ['gross_sales', 'discounts', 'comps', 'returns', 'service_charge', 'tax', 'tip', 'rounding'] -%}
        coalesce(c.{{ amount }}, 0) as {{ amount }},
        {% endfor -%}
        c.bill_total,
        c.updated_at,
        c.content,
        c.c4_seq,
        m.outlet_id,
        i.vendor,
        coalesce(i.stands_in, false) as stands_in,
        {{ utc_date('c.opened_at') }} as utc_date
    from {{ ref('int_sales__staged_checks') }} as c
    left join {{ source('raw_c4', 'integrations') }} as i
        on i.integration_id = c.integration_id
    left join {{ source('raw_c4', 'integration_outlets') }} as m
        on m.integration_id = c.integration_id
        and m.source_outlet_id = c.source_outlet_id
),

-- The POS's own business date wins.
placed as (
    select l.*, coalesce(l.source_business_date, w.business_date) as business_date
    from located as l
    left join {{ ref('int_outlets__windows') }} as w
        on w.outlet_id = l.outlet_id
        and w.utc_date = l.utc_date
        and l.opened_at >= w.starts_at
        and l.opened_at < w.ends_at
),

told_until as (
    select m.outlet_id, max(w.complete_until) as complete_until
    from {{ source('raw_c4', 'watermarks') }} as w
    inner join {{ source('raw_c4', 'integration_outlets') }} as m
        on m.integration_id = w.integration_id
        and w.source_outlet_id in (m.source_outlet_id, '')
    inner join {{ source('raw_c4', 'integrations') }} as i
        on i.integration_id = w.integration_id
        and i.stands_in is not true
    where w.marks_complete
    group by m.outlet_id
),

stand_ins as (
    select s.outlet_id, s.business_date, coalesce(t.complete_until >= c.ends_at, false) as is_replaced
    from (select distinct outlet_id, business_date from placed where stands_in and outlet_id is not null) as s
    left join {{ ref('int_outlets__calendar') }} as c
        on c.outlet_id = s.outlet_id
        and c.business_date = s.business_date
    left join told_until as t
        on t.outlet_id = s.outlet_id
)

select
    p.integration_id,
    p.check_id,
    p.check_number,
    p.check_type,
    p.refunded_check_id,
    p.vendor,
    p.source_outlet_id,
    d.outlet_id,
    d.entity_id,
    d.business_date,
    p.opened_at,
    p.closed_at,
    {{ local_timestamp('p.opened_at', 'd.timezone') }} as opened_local,
    {{ code('p.source_channel') }} as channel_code,
    p.is_voided,
    p.covers,
    d.is_foreign,
    d.exchange_rate,
    d.currency_exponent,
    d.currency,
    d.local_currency,
    coalesce(p.source_currency, d.local_currency) <> d.local_currency as is_other_currency,
    p.gross_sales as source_gross_sales,
    p.discounts as source_discounts,
    p.comps as source_comps,
    p.returns as source_returns,
    p.bill_total as source_bill_total,
    p.service_charge as local_service_charge,
    p.tax as local_tax,
    p.tip as local_tip,
    p.rounding as local_rounding,
    {{ translate('p.service_charge', 'd') }} as service_charge,
    {{ translate('p.tax', 'd') }} as tax,
    {{ translate('p.tip', 'd') }} as tip,
    {{ translate('p.rounding', 'd') }} as rounding,
    p.updated_at,
    p.content,
    p.c4_seq
from placed as p
left join {{ ref('int_outlets__calendar') }} as d
    on d.outlet_id = p.outlet_id
    and d.business_date = p.business_date
left join stand_ins as s
    on s.outlet_id = p.outlet_id
    and s.business_date = p.business_date
where s.outlet_id is null or p.stands_in <> s.is_replaced
