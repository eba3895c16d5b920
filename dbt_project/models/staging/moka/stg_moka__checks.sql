{%- set receipts = delivered(source('raw_moka', 'transactions')) -%}

-- Sales, and every refund as a check of its own. Moka has one time per receipt. Comps are discounts by name here.
-- Lines carry fractions of a rupiah and receipts none: what the lines leave of that is rounding. A greater difference
-- is not explained away: it stays between bill_total and its parts.
with sale_lines as (
    select
        integration_id,
        root_id as check_id,
        sum(gross_sales) as gross_sales,
        sum(net_sales) as net_sales,
        count(*) as lines,
        max(lower(sales_type_name)) as source_channel
    from {{ current_children(delivered(source('raw_moka', 'checkouts')), receipts) }} as child
    where is_deleted is not true
    group by integration_id, root_id
),

refund_lines as (
    select
        integration_id,
        refund_uuid as check_id,
        sum(net_sales) as net_sales,
        count(*) as lines,
        max(lower(sales_type_name)) as source_channel
    from {{ current_children(delivered(source('raw_moka', 'refund_checkouts')), receipts) }} as child
    where is_deleted is not true
    group by integration_id, refund_uuid
),

sales as (
    select
        receipt.integration_id,
        receipt.id as check_id,
        receipt.payment_no as check_number,
        'sale' as check_type,
        cast(null as varchar) as refunded_check_id,
        receipt.outlet_id,
        receipt.created_at as happened_at,
        lines.source_channel,
        coalesce(receipt.is_deleted, false) as is_voided,
        coalesce(lines.gross_sales, receipt.subtotal + coalesce(receipt.discounts, 0)) as gross_sales,
        cast(0 as decimal(18, 4)) as returns,
        coalesce(lines.net_sales, receipt.subtotal) as net_sales,
        coalesce(lines.lines, 0) as lines,
        coalesce(receipt.gratuities, 0) as service_charge,
        coalesce(receipt.taxes, 0) as tax,
        coalesce(receipt.total_rounding_amount, 0) as stated_rounding,
        receipt.total_collected as bill_total,
        receipt.collected_by as staff_ref,
        receipt.updated_at,
        receipt.c4_seq
    from {{ receipts }} as receipt
    left join sale_lines as lines
        on lines.integration_id = receipt.integration_id
        and lines.check_id = receipt.id
),

refunds as (
    select
        refund.integration_id,
        refund.uuid as check_id,
        receipt.payment_no as check_number,
        'refund' as check_type,
        refund.root_id as refunded_check_id,
        receipt.outlet_id,
        refund.refunded_at as happened_at,
        lines.source_channel,
        coalesce(receipt.is_deleted, false) or coalesce(refund.is_deleted, false) as is_voided,
        cast(0 as decimal(18, 4)) as gross_sales,
        -coalesce(lines.net_sales, refund.subtotal) as returns,
        coalesce(lines.net_sales, refund.subtotal) as net_sales,
        coalesce(lines.lines, 0) as lines,
        coalesce(refund.total_gratuity_amount, 0) as service_charge,
        coalesce(refund.total_tax_amount, 0) as tax,
        coalesce(refund.total_rounding_amount, 0) as stated_rounding,
        refund.total_collected_amount as bill_total,
        refund.refunded_by as staff_ref,
        coalesce(refund.synchronized_at, receipt.updated_at) as updated_at,
        refund.c4_seq
    from {{ current_children(delivered(source('raw_moka', 'payment_refunds')), receipts) }} as refund
    inner join {{ receipts }} as receipt
        on receipt.integration_id = refund.integration_id
        and receipt.id = refund.root_id
    left join refund_lines as lines
        on lines.integration_id = refund.integration_id
        and lines.check_id = refund.uuid
),

unioned as (
    select * from sales
    union all
    select * from refunds
),

rounded as (
    select
        *,
        bill_total - net_sales - service_charge - tax as derived_rounding
    from unioned
)

select
    integration_id,
    check_id,
    check_number,
    check_type,
    refunded_check_id,
    cast(outlet_id as varchar) as source_outlet_id,
    happened_at as opened_at,
    happened_at as closed_at,
    cast(null as date) as source_business_date,
    source_channel,
    is_voided,
    cast(null as bigint) as covers,
    gross_sales,
    gross_sales - net_sales - returns as discounts,
    cast(0 as decimal(18, 4)) as comps,
    returns,
    net_sales,
    service_charge,
    tax,
    cast(0 as decimal(18, 4)) as tip,
    case
        when abs(derived_rounding - stated_rounding) < lines + 1 then derived_rounding
        else stated_rounding
    end as rounding,
    bill_total,
    cast(null as varchar) as source_currency,
    staff_ref,
    updated_at,
    c4_seq
from rounded
