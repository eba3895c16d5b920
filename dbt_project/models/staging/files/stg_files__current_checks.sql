-- The one live version of each check. A check counts while the reading that gave it is the current one of its file's
-- name, so a check that a correction no longer has is gone; of a check that several files have, the file read last wins.
select *
from (
    select
        c.*,
        row_number() over (partition by c.integration_id, c.check_id order by c.c4_seq desc, c.path) as recency
    from {{ delivered(source('raw_files', 'checks')) }} as c
    inner join {{ source('raw_files', 'files') }} as f
        on f.integration_id = c.integration_id
        and f.path = c.path
        and f.reading_id = c.reading_id
) as readings
where recency = 1
