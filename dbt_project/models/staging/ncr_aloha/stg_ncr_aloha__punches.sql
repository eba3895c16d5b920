-- The last word on every time card, as for checks. Aloha knows no approval: a shift that has ended counts as approved,
-- one that lasts has no hours yet.
select
    integration_id,
    punch_id,
    source_outlet_id || ':' || cast(employee as varchar) as employee_id,
    work_date,
    {{ instant_at('started', 'timezone') }} as started_at,
    {{ instant_at('ended', 'timezone') }} as ended_at,
    case when ended is null then 0 else coalesce(hours, 0) end as hours,
    ended is not null as is_approved,
    {{ instant_at('coalesce(ended, started)', 'timezone') }} as updated_at
from (
    select
        p.*,
        d.source_outlet_id,
        d.timezone,
        row_number() over (partition by p.integration_id, p.punch_id order by d.seq desc) as place
    from {{ source('raw_ncr_aloha', 'punches') }} as p
    inner join {{ ref('stg_ncr_aloha__current_deliveries') }} as d
        on d.integration_id = p.integration_id
        and d.c4_seq = p.c4_seq
        and d.source_outlet_id = p.root_source_outlet_id
        and d.dob = p.root_dob
        and d.seq = p.root_seq
) as told
where place = 1 and is_invalid is not true
