-- Options chosen for lines; their amounts are inside the lines' gross.
with groups as (
    select integration_id, root_source_outlet_id, guid, max(name) as name
    from {{ current_children(source('raw_toast', 'menu_item_modifier_groups'), source('raw_toast', 'menu_items')) }} as g
    group by integration_id, root_source_outlet_id, guid
)

select
    m.integration_id,
    m.check_guid as check_id,
    m.selection_guid as line_id,
    m.guid as modifier_id,
    g.name as modifier_name,
    m.display_name as option_name,
    coalesce(m.pre_discount_price, 0) as amount
from {{ current_children(
    source('raw_toast', 'modifiers'),
    ref('stg_toast__current_checks'),
    {'root_guid': 'order_guid', 'check_guid': 'check_guid'}
) }} as m
inner join {{ ref('stg_toast__current_checks') }} as c
    on c.integration_id = m.integration_id
    and c.check_guid = m.check_guid
left join groups as g
    on g.integration_id = c.integration_id
    and g.root_source_outlet_id = c.source_outlet_id
    and g.guid = m.option_group
where m.voided is not true or c.is_voided
