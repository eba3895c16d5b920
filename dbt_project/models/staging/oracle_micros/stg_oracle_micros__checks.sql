-- Checks. One of nothing but returns is a refund; it does not say of which check. No header tells the rounding: it is
-- what the total has beyond its parts, and Simphony's daily total of roundings (R2) shows whether it was that.
with sold as (
    select
        integration_id,
        check_id,
        sum(gross_sales) as gross_sales,
        sum(discounts) as discounts,
        sum(returns) as returns,
        sum(net_sales) as net_sales,
        min(case when is_return then 1 else 0 end) = 1 as is_refund
    from {{ ref('stg_oracle_micros__sold_lines') }}
    group by integration_id, check_id
),

charged as (
    select
        integration_id,
        check_id,
        {%- for kind in ['service_charge', 'tip', 'deposit'] %}
        sum(case when charge_kind = '{{ kind }}' then amount else 0 end) as {{ kind }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ ref('stg_oracle_micros__charges') }}
    group by integration_id, check_id
),

taxed as (
    select integration_id, check_id, sum(amount) as tax
    from {{ ref('stg_oracle_micros__check_taxes') }}
    group by integration_id, check_id
),

parts as (
    select
        c.*,
        coalesce(s.is_refund, false) as is_refund,
        coalesce(s.gross_sales, 0) as gross_sales,
        coalesce(s.discounts, 0) as discounts,
        coalesce(s.returns, 0) as returns,
        coalesce(s.net_sales, 0) as net_sales,
        coalesce(h.service_charge, 0) as service_charge,
        coalesce(h.tip, 0) as tip,
        coalesce(h.deposit, 0) as deposit,
        coalesce(c.tax_coll_ttl, t.tax, 0) as tax
    from {{ ref('stg_oracle_micros__current_checks') }} as c
    left join sold as s
        on s.integration_id = c.integration_id
        and s.check_id = c.check_id
    left join charged as h
        on h.integration_id = c.integration_id
        and h.check_id = c.check_id
    left join taxed as t
        on t.integration_id = c.integration_id
        and t.check_id = c.check_id
),

rounded as (
    select
        *,
        net_sales + service_charge + tax + tip as owed,
        case
            when is_voided or chk_ttl is null then 0
            else chk_ttl - deposit - net_sales - service_charge - tax - tip
        end as rounding
    from parts
)

select
    integration_id,
    check_id,
    check_number,
    case when is_refund then 'refund' else 'sale' end as check_type,
    cast(null as varchar) as refunded_check_id,
    source_outlet_id,
    opened_at,
    closed_at,
    business_date as source_business_date,
    source_channel,
    is_voided,
    case when is_refund then 0 else gst_cnt end as covers,
    gross_sales,
    discounts,
    cast(0 as decimal(18, 4)) as comps,
    returns,
    net_sales,
    service_charge,
    tax,
    tip,
    cast(rounding as decimal(18, 4)) as rounding,
    cast(owed + rounding as decimal(18, 4)) as bill_total,
    source_currency,
    staff_ref,
    updated_at,
    c4_seq
from rounded
