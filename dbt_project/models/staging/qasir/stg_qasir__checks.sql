{%- set sales = delivered(source('raw_qasir', 'sales')) -%}

-- Sales, and every refund as a check of its own. Qasir's business date is a calendar day: our cut-off decides.
with refunded as (
    select integration_id, check_id, sum(returns) as returns
    from {{ ref('stg_qasir__check_lines') }}
    where returns <> 0
    group by integration_id, check_id
),

unioned as (
    select
        integration_id,
        cast(id as varchar) as check_id,
        'sale' as check_type,
        cast(null as varchar) as refunded_check_id,
        id as sale_id,
        settled_at as happened_at,
        sub_total as gross_sales,
        total_discounts as discounts,
        cast(0 as decimal(18, 4)) as returns,
        service_charge,
        total_tax as tax,
        rounding,
        total_bill as bill_total
    from {{ sales }}
    union all
    select
        refund.integration_id,
        cast(refund.id as varchar) as check_id,
        'refund' as check_type,
        cast(refund.root_id as varchar) as refunded_check_id,
        refund.root_id as sale_id,
        refund.refunded_at as happened_at,
        cast(0 as decimal(18, 4)) as gross_sales,
        cast(0 as decimal(18, 4)) as discounts,
        coalesce(refunded.returns, 0) as returns,
        -refund.service_charge,
        -refund.total_tax,
        -refund.rounding,
        -refund.amount
    from {{ current_children(delivered(source('raw_qasir', 'refunds')), sales) }} as refund
    left join refunded
        on refunded.integration_id = refund.integration_id
        and refunded.check_id = cast(refund.id as varchar)
)

select
    c.integration_id,
    c.check_id,
    sale.invoice_number as check_number,
    c.check_type,
    c.refunded_check_id,
    cast(sale.outlet_id as varchar) as source_outlet_id,
    c.happened_at as opened_at,
    c.happened_at as closed_at,
    cast(null as date) as source_business_date,
    lower(sale.sales_type) as source_channel,
    sale.status = 'cancelled' as is_voided,
    cast(null as bigint) as covers,
    c.gross_sales,
    c.discounts,
    cast(0 as decimal(18, 4)) as comps,
    c.returns,
    c.gross_sales - c.discounts - c.returns as net_sales,
    c.service_charge,
    c.tax,
    cast(0 as decimal(18, 4)) as tip,
    c.rounding,
    c.bill_total,
    cast(null as varchar) as source_currency,
    sale.cashier as staff_ref,
    sale.updated_at,
    sale.c4_seq
from unioned as c
inner join {{ sales }} as sale
    on sale.integration_id = c.integration_id
    and sale.id = c.sale_id
