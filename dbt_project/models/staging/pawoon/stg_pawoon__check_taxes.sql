{%- set receipts = delivered(source('raw_pawoon', 'transactions')) -%}

-- Taxes of receipts, negative for refunds. Pawoon tells rates in percent and no bases.
select
    tax.integration_id,
    tax.root_id as check_id,
    tax.root_id || '-' || tax.id as tax_id,
    tax.name as tax_name,
    cast(tax.percentage * 0.01 as decimal(18, 6)) as rate,
    cast(null as decimal(18, 4)) as taxable_amount,
    case when coalesce(receipt.status, '') = 'refund' then -tax.amount else tax.amount end as amount
from {{ current_children(delivered(source('raw_pawoon', 'transaction_taxes')), receipts) }} as tax
inner join {{ receipts }} as receipt
    on receipt.integration_id = tax.integration_id
    and receipt.id = tax.root_id
