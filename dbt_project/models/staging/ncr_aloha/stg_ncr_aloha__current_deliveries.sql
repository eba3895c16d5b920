-- Deliveries that count: the dated folder (0) of a business date, or all that the socket told while there is none.
select d.*
from {{ source('raw_ncr_aloha', 'deliveries') }} as d
left join {{ source('raw_ncr_aloha', 'deliveries') }} as f
    on f.integration_id = d.integration_id
    and f.source_outlet_id = d.source_outlet_id
    and f.dob = d.dob
    and f.seq = 0
where d.seq = 0 or f.seq is null
