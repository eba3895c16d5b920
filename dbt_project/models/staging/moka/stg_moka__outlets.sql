select
    integration_id,
    cast(id as varchar) as source_outlet_id,
    name as outlet_name,
    city,
    coalesce(is_deleted, false) as is_closed,
    end_date as subscription_ends_at,
    updated_at
from {{ source('raw_moka', 'outlets') }}
