{%- set receipts = delivered(source('raw_moka', 'transactions')) -%}

-- Taxes of sales and of refunds (negative). Moka tells rates in percent.
with taxes as (
    select integration_id, root_id as check_id, uuid, name, amount, taxable_amount, total
    from {{ current_children(delivered(source('raw_moka', 'payment_taxes')), receipts) }} as child
    union all
    select integration_id, refund_uuid as check_id, uuid, name, amount, taxable_amount, total
    from {{ current_children(delivered(source('raw_moka', 'refund_taxes')), receipts) }} as child
)

select
    integration_id,
    check_id,
    uuid as tax_id,
    name as tax_name,
    cast(amount * 0.01 as decimal(18, 6)) as rate,
    taxable_amount,
    total as amount
from taxes
