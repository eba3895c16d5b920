-- Orders and returns. Where a payload tells neither tax nor service charge nor rounding, what lies between the lines
-- and the total is taken for tax: R7 then shows what the configured rate makes of it.
with lines as (
    select
        integration_id,
        check_id,
        sum(gross_sales) as gross_sales,
        sum(discounts) as discounts,
        sum(returns) as returns,
        sum(net_sales) as net_sales
    from {{ ref('stg_olsera__check_lines') }}
    group by integration_id, check_id
),

orders as (
    select
        o.*,
        coalesce(l.gross_sales, 0) as gross_sales,
        coalesce(l.discounts, 0) as discounts,
        coalesce(l.returns, 0) as returns,
        coalesce(l.net_sales, 0) as net_sales,
        o.returned_check_id is not null or o.total < 0 as is_return,
        coalesce(o.tax_amount, o.service_charge_amount, o.rounding) is null as tells_total_only
    from {{ ref('stg_olsera__orders') }} as o
    left join lines as l
        on l.integration_id = o.integration_id
        and l.check_id = o.check_id
)

select
    integration_id,
    check_id,
    order_no as check_number,
    case when is_return then 'refund' else 'sale' end as check_type,
    returned_check_id as refunded_check_id,
    source_outlet_id,
    ordered_at as opened_at,
    ordered_at as closed_at,
    cast(null as date) as source_business_date,
    source_channel,
    is_voided,
    cast(null as bigint) as covers,
    gross_sales,
    discounts,
    cast(0 as decimal(18, 4)) as comps,
    returns,
    net_sales,
    coalesce(service_charge_amount, 0) as service_charge,
    case when tells_total_only then total - net_sales else coalesce(tax_amount, 0) end as tax,
    cast(0 as decimal(18, 4)) as tip,
    coalesce(rounding, 0) as rounding,
    total as bill_total,
    cast(null as varchar) as source_currency,
    staff_ref,
    read_until as updated_at,
    c4_seq
from orders
