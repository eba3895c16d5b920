-- Lines with the names that they refer to and what was given back of them. Of several discounts on a line the greatest
-- gives it its name, else the greatest on its check.
{%- set checks = ref('stg_toast__current_checks') -%}
{%- set of_check = {'root_guid': 'order_guid', 'check_guid': 'check_guid'} %}
with named_on_lines as (
    select
        integration_id,
        check_guid,
        selection_guid,
        name,
        row_number() over (
            partition by integration_id, check_guid, selection_guid
            order by discount_amount desc, name
        ) as place
    from {{ current_children(delivered(source('raw_toast', 'selection_discounts')), checks, of_check) }} as d
    where coalesce(processing_state, 'APPLIED') <> 'VOID'
),

named_on_checks as (
    select
        integration_id,
        check_guid,
        name,
        row_number() over (partition by integration_id, check_guid order by discount_amount desc, name) as place
    from {{ current_children(delivered(source('raw_toast', 'check_discounts')), checks, of_check) }} as d
    where coalesce(processing_state, 'APPLIED') <> 'VOID'
)

select
    s.integration_id,
    s.check_guid,
    s.guid,
    case
        when s.selection_type = 'HOUSE_ACCOUNT_PAY_BALANCE' then 'deposit'
        when coalesce(s.deferred, false) or s.selection_type in ('TOAST_CARD_SELL', 'TOAST_CARD_RELOAD') then 'gift_card'
        else 'item'
    end as line_type,
    s.item,
    nullif(coalesce(nullif(i.sku, ''), s.plu), '') as product_code,
    s.display_name,
    coalesce(g.name, i.sales_category) as sales_category,
    s.quantity,
    s.receipt_line_price,
    s.pre_discount_price,
    s.price,
    case when s.pre_discount_price <> s.price then coalesce(l.name, n.name) end as discount_name,
    coalesce(d.name, c.dining_option) as dining_option,
    c.is_voided as is_check_voided,
    coalesce(s.voided, false) as is_voided,
    cast((cast(s.refund_details as json) ->> 'refundTransaction') as json) ->> 'guid' as refund_guid,
    coalesce(cast((cast(s.refund_details as json) ->> 'refundAmount') as decimal(18, 4)), 0) as refund_amount,
    coalesce(cast((cast(s.refund_details as json) ->> 'taxRefundAmount') as decimal(18, 4)), 0) as tax_refund_amount
from {{ current_children(delivered(source('raw_toast', 'selections')), checks, of_check) }} as s
inner join {{ checks }} as c
    on c.integration_id = s.integration_id
    and c.check_guid = s.check_guid
left join {{ source('raw_toast', 'menu_items') }} as i
    on i.integration_id = c.integration_id
    and i.source_outlet_id = c.source_outlet_id
    and i.guid = s.item
left join {{ source('raw_toast', 'sales_categories') }} as g
    on g.integration_id = c.integration_id
    and g.source_outlet_id = c.source_outlet_id
    and g.guid = s.sales_category
left join {{ source('raw_toast', 'dining_options') }} as d
    on d.integration_id = c.integration_id
    and d.source_outlet_id = c.source_outlet_id
    and d.guid = s.dining_option
left join named_on_lines as l
    on l.integration_id = s.integration_id
    and l.check_guid = s.check_guid
    and l.selection_guid = s.guid
    and l.place = 1
left join named_on_checks as n
    on n.integration_id = s.integration_id
    and n.check_guid = s.check_guid
    and n.place = 1
