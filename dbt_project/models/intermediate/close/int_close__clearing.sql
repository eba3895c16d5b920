-- R3: what the tenders of an entity should have brought by now against what was paid out. Cards and QRIS settle
-- within three days, platforms within seven; younger sales are open items, not differences.
with sales as (
    select
        p.entity_id,
        p.tender,
        min(p.business_date) as first_sale,
        sum(p.amount + p.tips) as sold,
        sum(case
            when p.business_date + case p.tender when 'platform' then 7 else 3 end <= {{ utc_date('s.as_of') }}
                then p.amount + p.tips
            else 0
        end) as due
    from {{ ref('sales_by_tender') }} as p
    cross join {{ source('raw_c4', 'group_settings') }} as s
    where p.tender in ('credit_card', 'debit', 'qris', 'ewallet', 'platform', 'transfer')
    group by p.entity_id, p.tender
),

settled as (
    select entity_id, tender, sum(gross) as gross
    from {{ source('raw_c4', 'settlements') }}
    group by entity_id, tender
)

select
    s.entity_id,
    s.tender,
    s.first_sale,
    s.sold,
    s.due,
    coalesce(p.gross, 0) as settled,
    s.sold - coalesce(p.gross, 0) as open_items,
    p.entity_id is null as is_pending
from sales as s
left join settled as p
    on p.entity_id = s.entity_id
    and p.tender = s.tender
