-- A file tells the tax of a check as one amount; its base is net and service.
select
    integration_id,
    check_id,
    'tax' as tax_id,
    'tax' as tax_name,
    tax_rate as rate,
    net_sales + service_charge as taxable_amount,
    tax as amount
from {{ ref('stg_files__current_checks') }}
where tax <> 0
