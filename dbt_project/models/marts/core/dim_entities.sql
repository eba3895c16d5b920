select
    entity_id,
    name,
    country,
    currency,
    cast(currency_exponent as integer) as currency_exponent,
    target,
    correction_policy,
    unmapped_policy,
    service_charge_policy,
    tax_comps,
    lock_date,
    posts_from
from {{ source('raw_c4', 'entities') }}
