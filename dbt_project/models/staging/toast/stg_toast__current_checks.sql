-- Checks of orders that were served to guests: not deleted (merged into others), not tests, not waste, approved.
select
    o.integration_id,
    o.c4_seq,
    o.guid as order_guid,
    c.guid as check_guid,
    o.source_outlet_id,
    c.display_number,
    coalesce(c.opened_date, o.opened_date) as opened_at,
    coalesce(c.closed_date, o.closed_date) as closed_at,
    o.business_date,
    d.name as dining_option,
    coalesce(c.voided, false) or coalesce(o.voided, false) as is_voided,
    -- guests are counted per order: its first check has them
    case when row_number() over (
        partition by o.integration_id, o.guid
        order by coalesce(c.opened_date, o.opened_date), c.guid
    ) = 1 then o.number_of_guests else 0 end as covers,
    coalesce(c.amount, 0) as amount,
    coalesce(c.tax_amount, 0) as tax_amount,
    o.server,
    o.modified_date
from {{ delivered(source('raw_toast', 'orders')) }} as o
inner join {{ delivered(source('raw_toast', 'checks')) }} as c
    on c.integration_id = o.integration_id
    and c.root_guid = o.guid
    and c.c4_seq = o.c4_seq
left join {{ source('raw_toast', 'dining_options') }} as d
    on d.integration_id = o.integration_id
    and d.source_outlet_id = o.source_outlet_id
    and d.guid = o.dining_option
where
    o.deleted is not true
    and c.deleted is not true
    and o.created_in_test_mode is not true
    and o.excess_food is not true
    and (o.approval_status = 'APPROVED' or o.approval_status is null)
