-- Taxes of checks, added to prices or inside them; rates come in percent.
select
    t.integration_id,
    c.check_id,
    c.check_id || '-' || cast(t.tax_num as varchar) as tax_id,
    n.name as tax_name,
    cast(t.tax_rate * 0.01 as decimal(18, 6)) as rate,
    t.txbl_sls_ttl as taxable_amount,
    coalesce(t.tax_coll_ttl, 0) as amount
from {{ current_children(
    delivered(source('raw_oracle_micros', 'check_taxes')),
    ref('stg_oracle_micros__current_checks'),
    {'root_guest_check_id': 'guest_check_id', 'root_source_outlet_id': 'source_outlet_id'}
) }} as t
inner join {{ ref('stg_oracle_micros__current_checks') }} as c
    on c.integration_id = t.integration_id
    and c.guest_check_id = t.root_guest_check_id
    and c.source_outlet_id = t.root_source_outlet_id
left join {{ source('raw_oracle_micros', 'taxes') }} as n
    on n.integration_id = c.integration_id
    and n.source_outlet_id = c.source_outlet_id
    and n.num = t.tax_num
