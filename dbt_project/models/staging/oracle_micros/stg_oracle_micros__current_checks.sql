-- Checks that were closed or cancelled. An open one is not sold yet, one that was transferred lives on in another. The
-- order channel says more than the order type where a check has both.
select
    g.integration_id,
    g.c4_seq,
    g.source_outlet_id,
    g.guest_check_id,
    g.source_outlet_id || '-' || cast(g.guest_check_id as varchar) as check_id,
    cast(g.chk_num as varchar) as check_number,
    g.opn_utc as opened_at,
    g.clsd_utc as closed_at,
    coalesce(g.clsd_bus_dt, g.opn_bus_dt) as business_date,
    lower(coalesce(nullif(oc.name, ''), ot.name)) as source_channel,
    coalesce(g.cancel_flag, false) as is_voided,
    g.gst_cnt,
    g.chk_ttl,
    g.tax_coll_ttl,
    g.source_outlet_id || '-' || cast(g.emp_num as varchar) as staff_ref,
    l.curr as source_currency,
    g.last_updated_utc as updated_at
from {{ delivered(source('raw_oracle_micros', 'guest_checks')) }} as g
left join {{ source('raw_oracle_micros', 'order_channels') }} as oc
    on oc.integration_id = g.integration_id
    and oc.source_outlet_id = g.source_outlet_id
    and oc.num = g.oc_num
left join {{ source('raw_oracle_micros', 'order_types') }} as ot
    on ot.integration_id = g.integration_id
    and ot.source_outlet_id = g.source_outlet_id
    and ot.num = g.ot_num
left join {{ source('raw_oracle_micros', 'locations') }} as l
    on l.integration_id = g.integration_id
    and l.loc_ref = g.source_outlet_id
where
    (coalesce(g.clsd_flag, false) or coalesce(g.cancel_flag, false))
    and coalesce(g.xfer_to_chk_num, 0) = 0
