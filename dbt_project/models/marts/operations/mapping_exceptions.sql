select
    domain,
    vendor,
    source_code,
    min(business_date) as first_business_date,
    max(business_date) as last_business_date,
    cast(count(distinct outlet_id) as integer) as outlets,
    cast(sum(occurrences) as integer) as rows,
    {{ money('sum(amount)') }} as amount,
    max(journal_type) as holds
from {{ ref('int_mapping__exceptions') }}
group by domain, vendor, source_code
