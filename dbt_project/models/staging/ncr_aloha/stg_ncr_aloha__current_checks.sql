-- Checks that count: once a day is ground those of the current reading of its folder, before that what the socket told.
select
    c.*,
    {{ instant_at('c.opened', 'c.timezone') }} as opened_at,
    {{ instant_at('c.closed', 'c.timezone') }} as closed_at
from {{ source('raw_ncr_aloha', 'checks') }} as c
left join {{ source('raw_ncr_aloha', 'business_days') }} as d
    on d.integration_id = c.integration_id
    and d.source_outlet_id = c.source_outlet_id
    and d.dob = c.dob
where d.reading_id is null or d.reading_id = c.reading_id
