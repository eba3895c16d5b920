-- Condiments of items; their amounts are inside the items' gross.
with items as (
    select * from {{ ref('stg_oracle_micros__current_lines') }} where kind = 'item' and not is_taken_back
)

select
    c.integration_id,
    c.check_id,
    i.line_id,
    c.line_id as modifier_id,
    coalesce(m.fam_grp_name, m.maj_grp_name) as modifier_name,
    m.name as option_name,
    c.amount
from items as c
inner join items as i
    on i.integration_id = c.integration_id
    and i.check_id = c.check_id
    and i.dtl_id = c.par_dtl_id
    and not i.is_condiment
left join {{ source('raw_oracle_micros', 'menu_items') }} as m
    on m.integration_id = c.integration_id
    and m.source_outlet_id = c.source_outlet_id
    and m.num = c.num
where c.is_condiment
