-- Modifiers of items; their amounts are inside the lines' gross. Which group they were chosen from is not told.
select
    e.integration_id,
    e.check_id,
    e.check_id || '/' || cast(e.line_entry_id as varchar) as line_id,
    e.check_id || '/' || cast(e.entry_id as varchar) as modifier_id,
    cast(null as varchar) as modifier_name,
    coalesce(m.long_name, m.short_name) as option_name,
    e.gross as amount
from {{ ref('stg_ncr_aloha__current_entries') }} as e
inner join {{ ref('stg_ncr_aloha__current_checks') }} as c
    on c.integration_id = e.integration_id
    and c.check_id = e.check_id
left join {{ source('raw_ncr_aloha', 'menu_items') }} as m
    on m.integration_id = c.integration_id
    and m.source_outlet_id = c.source_outlet_id
    and m.id = e.item
where e.entry_id <> e.line_entry_id
