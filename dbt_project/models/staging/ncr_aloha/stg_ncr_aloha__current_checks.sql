-- The last word on every check. Once a business date has its dated folder (delivery 0) that is what the folder says, and
-- a check that it lacks is gone; before that it is the socket's event with the highest number.
select *
from (
    select
        c.*,
        d.source_outlet_id,
        d.dob,
        {{ instant_at('c.opened', 'd.timezone') }} as opened_at,
        {{ instant_at('c.closed', 'd.timezone') }} as closed_at,
        d.timezone,
        row_number() over (partition by c.integration_id, c.check_id order by d.seq desc) as place
    from {{ source('raw_ncr_aloha', 'checks') }} as c
    inner join {{ ref('stg_ncr_aloha__current_deliveries') }} as d
        on d.integration_id = c.integration_id
        and d.c4_seq = c.c4_seq
        and d.source_outlet_id = c.root_source_outlet_id
        and d.dob = c.root_dob
        and d.seq = c.root_seq
) as told
where place = 1
