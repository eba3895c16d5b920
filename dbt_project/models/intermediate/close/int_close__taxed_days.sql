{{ config(materialized='by_day') }}

select
    outlet_id,
    business_date,
    cast(count(*) as integer) as checks,
    {{ money('sum(local_tax)') }} as charged,
    {{ money('sum(tax)') }} as charged_functional,
    {{ money('sum(local_tax_lines)') }} as in_lines,
    {{ money('sum(local_net_sales)') }} as net_sales,
    {{ money('sum(local_service_charge)') }} as service_charge
from {{ ref('fct_checks') }} as c
where not is_voided and {{ touched('c') }}
group by outlet_id, business_date
