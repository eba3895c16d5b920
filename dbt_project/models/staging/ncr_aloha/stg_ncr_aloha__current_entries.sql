-- Items and modifiers of current checks, without the tax that is inside their prices. Refunds are negative here, however
-- a version of Aloha signs them.
select
    *,
    signed_price - inclusive_tax as gross,
    signed_disc_price - inclusive_tax as net
from (
    select
        i.*,
        case when i.type in (1, 3) then -abs(i.price) else i.price end as signed_price,
        case when i.type in (1, 3) then -abs(i.disc_price) else i.disc_price end as signed_disc_price,
        case when i.type in (1, 3) then -abs(coalesce(i.incl_tax, 0)) else coalesce(i.incl_tax, 0) end as inclusive_tax
    from {{ current_children(
        source('raw_ncr_aloha', 'items'),
        ref('stg_ncr_aloha__current_checks'),
        {'root_seq': 'root_seq', 'check_id': 'check_id'}
    ) }} as i
) as signed
