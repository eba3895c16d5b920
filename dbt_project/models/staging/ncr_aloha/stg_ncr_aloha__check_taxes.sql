-- Exclusive taxes as GNDSALE tells them, on net sales and service; inclusive taxes as the entries carry them.
select
    a.integration_id,
    c.check_id,
    cast(a.type_id as varchar) as tax_id,
    t.name as tax_name,
    cast(t.rate * 0.01 as decimal(18, 6)) as rate,
    c.net_sales + c.service_charge as taxable_amount,
    a.amount
from {{ current_children(
    source('raw_ncr_aloha', 'amounts'), ref('stg_ncr_aloha__current_checks'), {'root_seq': 'root_seq', 'check_id': 'check_id'}
) }} as a
inner join {{ ref('stg_ncr_aloha__checks') }} as c
    on c.integration_id = a.integration_id
    and c.check_id = a.check_id
left join {{ source('raw_ncr_aloha', 'codes') }} as t
    on t.integration_id = a.integration_id
    and t.source_outlet_id = c.source_outlet_id
    and t.kind = 'TAX'
    and t.id = a.type_id
where a.type = 2
union all
select
    integration_id,
    check_id,
    'inclusive' as tax_id,
    'inclusive' as tax_name,
    cast(null as decimal(18, 6)) as rate,
    sum(net) as taxable_amount,
    sum(inclusive_tax) as amount
from {{ ref('stg_ncr_aloha__current_entries') }}
where inclusive_tax <> 0
group by integration_id, check_id
