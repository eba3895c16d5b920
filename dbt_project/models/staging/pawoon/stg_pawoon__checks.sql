-- Receipts and refunds. Where a receipt tells neither tax nor service charge nor rounding, what lies between its net
-- sales and its final amount is taken for tax: R7 then shows what the configured rate makes of it.
with lines as (
    select
        integration_id,
        check_id,
        sum(gross_sales) as gross_sales,
        sum(discounts) as discounts,
        sum(returns) as returns
    from {{ ref('stg_pawoon__check_lines') }}
    group by integration_id, check_id
),

signed as (
    select
        receipt.*,
        coalesce(receipt.status, '') = 'refund' as is_refund,
        case when coalesce(receipt.status, '') = 'refund' then -1 else 1 end as sign,
        coalesce(receipt.total_tax, receipt.total_service_charge, receipt.rounding) is null as tells_total_only,
        coalesce(receipt.subtotal, receipt.final_amount + receipt.total_discount) as stated_gross
    from {{ delivered(source('raw_pawoon', 'transactions')) }} as receipt
),

receipts as (
    select
        s.*,
        coalesce(l.gross_sales, case when s.is_refund then 0 else s.stated_gross end) as gross_sales,
        coalesce(l.discounts, case when s.is_refund then 0 else s.total_discount end) as discounts,
        coalesce(l.returns, case when s.is_refund then s.stated_gross - s.total_discount else 0 end) as returns
    from signed as s
    left join lines as l
        on l.integration_id = s.integration_id
        and l.check_id = s.id
)

select
    integration_id,
    id as check_id,
    receipt_code as check_number,
    case when is_refund then 'refund' else 'sale' end as check_type,
    refunded_transaction_id as refunded_check_id,
    source_outlet_id,
    {{ instant_at('device_timestamp', 'timezone') }} as opened_at,
    {{ instant_at('device_timestamp', 'timezone') }} as closed_at,
    cast(null as date) as source_business_date,
    lower(company_sales_type) as source_channel,
    coalesce(status, '') = 'void' as is_voided,
    cast(null as bigint) as covers,
    gross_sales,
    discounts,
    cast(0 as decimal(18, 4)) as comps,
    returns,
    gross_sales - discounts - returns as net_sales,
    sign * coalesce(total_service_charge, 0) as service_charge,
    case
        when tells_total_only then sign * final_amount - (gross_sales - discounts - returns)
        else sign * coalesce(total_tax, 0)
    end as tax,
    cast(0 as decimal(18, 4)) as tip,
    sign * coalesce(rounding, 0) as rounding,
    sign * final_amount as bill_total,
    cast(null as varchar) as source_currency,
    cashier as staff_ref,
    cast(read_until as timestamp with time zone) as updated_at,
    c4_seq
from receipts
