-- Sales, and every refund as a check of its own: Toast tells a refund on the payment, and on the lines and charges what
-- it was for. A refund of an amount without lines has nothing but its payment: the difference stays in sight.
with lines as (
    select
        integration_id,
        check_guid,
        sum(case when line_type = 'item' then pre_discount_price else 0 end) as gross_sales,
        sum(case when line_type = 'item' then price else 0 end) as net_sales
    from {{ ref('stg_toast__current_selections') }}
    where not is_voided or is_check_voided
    group by integration_id, check_guid
),

charges as (
    select
        integration_id,
        check_guid,
        {%- for kind in ['service_charge', 'rounding', 'tip'] %}
        sum(case when kind = '{{ kind }}' then charge_amount else 0 end) as {{ kind }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ ref('stg_toast__current_charges') }}
    group by integration_id, check_guid
),

tips as (
    select integration_id, check_guid, sum(tip) as tip
    from {{ ref('stg_toast__current_payments') }}
    group by integration_id, check_guid
),

sales as (
    select
        c.integration_id,
        c.check_guid as check_id,
        'sale' as check_type,
        cast(null as varchar) as refunded_check_id,
        c.check_guid,
        c.opened_at,
        c.closed_at,
        c.business_date,
        c.covers,
        coalesce(l.gross_sales, 0) as gross_sales,
        cast(0 as decimal(18, 4)) as returns,
        coalesce(l.net_sales, 0) as net_sales,
        coalesce(s.service_charge, 0) as service_charge,
        c.tax_amount as tax,
        coalesce(t.tip, 0) + coalesce(s.tip, 0) as tip,
        coalesce(s.rounding, 0) as rounding,
        c.amount + c.tax_amount + coalesce(t.tip, 0) + coalesce(s.tip, 0) as bill_total
    from {{ ref('stg_toast__current_checks') }} as c
    left join lines as l
        on l.integration_id = c.integration_id
        and l.check_guid = c.check_guid
    left join charges as s
        on s.integration_id = c.integration_id
        and s.check_guid = c.check_guid
    left join tips as t
        on t.integration_id = c.integration_id
        and t.check_guid = c.check_guid
),

paid_back as (
    select
        integration_id,
        refund_guid,
        check_guid,
        min(refunded_at) as refunded_at,
        min(refund_day) as refund_day,
        sum(tip_refund_amount) as tip,
        sum(refund_amount) as amount
    from {{ ref('stg_toast__current_payments') }}
    where is_refunded
    group by integration_id, refund_guid, check_guid
),

lines_back as (
    select
        integration_id,
        check_guid,
        refund_guid,
        sum(case when line_type = 'item' then refund_amount else 0 end) as returns,
        sum(tax_refund_amount) as tax
    from {{ ref('stg_toast__current_selections') }}
    where refund_guid is not null
    group by integration_id, check_guid, refund_guid
),

charges_back as (
    select
        integration_id,
        check_guid,
        refund_guid,
        {%- for kind in ['service_charge', 'rounding', 'tip'] %}
        sum(case when kind = '{{ kind }}' then refund_amount else 0 end) as {{ kind }},
        {%- endfor %}
        sum(tax_refund_amount) as tax
    from {{ ref('stg_toast__current_charges') }}
    where refund_guid is not null
    group by integration_id, check_guid, refund_guid
),

refunds as (
    select
        p.integration_id,
        p.refund_guid as check_id,
        'refund' as check_type,
        p.check_guid as refunded_check_id,
        p.check_guid,
        p.refunded_at as opened_at,
        p.refunded_at as closed_at,
        cast(
            substr(p.refund_day, 1, 4) || '-' || substr(p.refund_day, 5, 2) || '-' || substr(p.refund_day, 7, 2) as date
        ) as business_date,
        0 as covers,
        cast(0 as decimal(18, 4)) as gross_sales,
        coalesce(l.returns, 0) as returns,
        -coalesce(l.returns, 0) as net_sales,
        -coalesce(s.service_charge, 0) as service_charge,
        -coalesce(l.tax, 0) - coalesce(s.tax, 0) as tax,
        -p.tip - coalesce(s.tip, 0) as tip,
        -coalesce(s.rounding, 0) as rounding,
        -p.amount - p.tip as bill_total
    from paid_back as p
    left join lines_back as l
        on l.integration_id = p.integration_id
        and l.check_guid = p.check_guid
        and l.refund_guid = p.refund_guid
    left join charges_back as s
        on s.integration_id = p.integration_id
        and s.check_guid = p.check_guid
        and s.refund_guid = p.refund_guid
),

unioned as (
    select * from sales
    union all
    select * from refunds
)

select
    u.integration_id,
    u.check_id,
    c.display_number as check_number,
    u.check_type,
    u.refunded_check_id,
    c.source_outlet_id,
    u.opened_at,
    u.closed_at,
    u.business_date as source_business_date,
    lower(c.dining_option) as source_channel,
    c.is_voided,
    u.covers,
    u.gross_sales,
    u.gross_sales - u.net_sales - u.returns as discounts,
    cast(0 as decimal(18, 4)) as comps,
    u.returns,
    u.net_sales,
    u.service_charge,
    u.tax,
    u.tip,
    u.rounding,
    u.bill_total,
    r.currency_code as source_currency,
    c.server as staff_ref,
    c.modified_date as updated_at,
    c.c4_seq
from unioned as u
inner join {{ ref('stg_toast__current_checks') }} as c
    on c.integration_id = u.integration_id
    and c.check_guid = u.check_guid
left join {{ source('raw_toast', 'restaurants') }} as r
    on r.integration_id = c.integration_id
    and r.source_outlet_id = c.source_outlet_id
