{%- set receipts = source('raw_moka', 'transactions') -%}

-- Options chosen for lines of sales; their amounts are inside the lines' gross.
select
    integration_id,
    root_id as check_id,
    checkout_uuid as line_id,
    uuid as modifier_id,
    modifier_name,
    modifier_option_name as option_name,
    gross_sales as amount
from {{ current_children(source('raw_moka', 'checkout_modifiers'), receipts) }} as child
