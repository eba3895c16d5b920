-- Lines that move money, by kind, without the tax that is inside their totals. A void is a line of its own that takes
-- its item's money back: an item and its void are a pair of which neither was sold, the last such item first. Of a
-- cancelled check the voids are left out, so that it keeps the amounts that were cancelled. A void of a part stays a
-- negative line.
with lines as (
    select
        d.*,
        c.check_id,
        c.source_outlet_id,
        c.is_voided as is_check_voided,
        case
            when d.menu_item is not null then 'item'
            when d.discount is not null then 'discount'
            when d.service_charge is not null then 'charge'
            when d.tender_media is not null then 'tender'
        end as kind,
        cast(coalesce(d.menu_item, d.discount, d.service_charge, d.tender_media) as json) as told
    from {{ current_children(
        delivered(source('raw_oracle_micros', 'detail_lines')),
        ref('stg_oracle_micros__current_checks'),
        {'root_guest_check_id': 'guest_check_id', 'root_source_outlet_id': 'source_outlet_id'}
    ) }} as d
    inner join {{ ref('stg_oracle_micros__current_checks') }} as c
        on c.integration_id = d.integration_id
        and c.guest_check_id = d.root_guest_check_id
        and c.source_outlet_id = d.root_source_outlet_id
),

typed as (
    select
        integration_id,
        check_id,
        source_outlet_id,
        is_check_voided,
        source_outlet_id || '-' || cast(guest_check_line_item_id as varchar) as line_id,
        dtl_id,
        par_dtl_id,
        detail_utc,
        kind,
        cast(coalesce(told ->> 'miNum', told ->> 'dscNum', told ->> 'svcChgNum', told ->> 'tmedNum') as bigint) as num,
        coalesce(agg_qty, 1) as quantity,
        coalesce(agg_ttl, 0) - coalesce(cast(told ->> 'inclTax' as decimal(18, 4)), 0) as amount,
        kind = 'item' and coalesce(told ->> 'modFlag', 'false') = 'true' as is_condiment,
        kind = 'item' and (coalesce(return_flag, false) or coalesce(told ->> 'returnFlag', 'false') = 'true') as is_return,
        coalesce(vd_flag, false) or coalesce(err_cor_flag, false) as is_flagged
    from lines
    where kind is not null
),

sided as (
    select
        *,
        case when kind = 'item' then quantity < 0 and not is_return else is_flagged end as is_reversal
    from typed
),

placed as (
    select
        *,
        row_number() over (
            partition by integration_id, check_id, num, is_return, abs(quantity), abs(amount), is_reversal
            order by dtl_id desc, line_id desc
        ) as place
    from sided
    where not (is_check_voided and is_reversal)
)

select
    integration_id,
    check_id,
    source_outlet_id,
    is_check_voided,
    line_id,
    dtl_id,
    par_dtl_id,
    detail_utc,
    kind,
    num,
    quantity,
    amount,
    is_condiment,
    is_return,
    kind = 'item' and count(*) over (
        partition by integration_id, check_id, kind, num, is_return, abs(quantity), abs(amount), place
    ) = 2 as is_taken_back
from placed
