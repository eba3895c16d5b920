-- Menu items and condiments of each location. The code is the company's own where it keeps one in the first external
-- reference, else the enterprise's number, else the location's. The price is that of the first level in the first
-- revenue centre, the one that began last. What the last reading did not show has left the menu.
with items as (
    select *, max(read_until) over (partition by integration_id, source_outlet_id) as menu_read_until
    from {{ source('raw_oracle_micros', 'menu_items') }}
),

prices as (
    select
        *,
        row_number() over (
            partition by integration_id, source_outlet_id, num
            order by read_until desc, prc_lvl_num, rvc_num, eff_fr_dt desc
        ) as place
    from {{ source('raw_oracle_micros', 'menu_item_prices') }}
)

select
    i.integration_id,
    i.source_outlet_id || '-' || cast(i.num as varchar) as source_product_id,
    coalesce(nullif(i.ext_ref1, ''), cast(i.mstr_num as varchar), cast(i.num as varchar)) as product_code,
    i.name as product_name,
    coalesce(nullif(i.fam_grp_name, ''), i.maj_grp_name) as source_category,
    p.price as list_price,
    i.read_until < i.menu_read_until as is_deleted
from items as i
left join prices as p
    on p.integration_id = i.integration_id
    and p.source_outlet_id = i.source_outlet_id
    and p.num = i.num
    and p.place = 1
