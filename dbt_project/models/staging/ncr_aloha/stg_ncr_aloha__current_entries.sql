-- Items and modifiers of current checks, without the tax that is inside their prices.
select
    i.*,
    coalesce(i.incl_tax, 0) as inclusive_tax,
    i.price - coalesce(i.incl_tax, 0) as gross,
    i.disc_price - coalesce(i.incl_tax, 0) as net
from {{ current_children(
    source('raw_ncr_aloha', 'items'), ref('stg_ncr_aloha__current_checks'), {'root_seq': 'root_seq', 'check_id': 'check_id'}
) }} as i
