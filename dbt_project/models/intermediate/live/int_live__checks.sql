{{ config(materialized='table', tags=['live'], pre_hook="{{ read_live() }}") }}

-- Checks as they are known now, from the day before the last night on, at their outlet and business date. Without an
-- outlet are those that configuration does not know and those of stand-ins, which count in no live mart. The joins are
-- outer ones because no planner may turn them round: it would hold every check against every outlet by date.
with located as (
    select
        c.integration_id,
        c.check_id,
        c.check_type,
        c.opened_at,
        c.source_business_date,
        c.c4_seq,
        i.vendor,
        v.outlet_id,
        v.entity_id,
        v.currency,
        v.cutoff,
        {{ local_timestamp('c.opened_at', 'v.timezone') }} as opened_local
    from {{ ref('int_unified__checks') }} as c
    left join {{ source('raw_c4', 'integrations') }} as i
        on i.integration_id = c.integration_id
    left join {{ source('raw_c4', 'integration_outlets') }} as m
        on m.integration_id = c.integration_id
        and m.source_outlet_id = c.source_outlet_id
        and i.stands_in is not true
    left join {{ source('raw_c4', 'outlets') }} as v
        on v.outlet_id = m.outlet_id
        and {{ utc_date('c.opened_at') }} between v.valid_from and v.valid_to
    where
        c.is_voided is not true
        -- wide enough for every time zone: whole business dates are chosen later
        and c.opened_at >= (select min(as_of) from {{ source('raw_c4', 'group_settings') }}) - interval '4 days'
)

select *
from (
    select
        integration_id,
        check_id,
        check_type,
        opened_at,
        c4_seq,
        vendor,
        outlet_id,
        entity_id,
        currency,
        opened_local,
        coalesce(
            source_business_date,
            case
                when opened_local < cast(opened_local as date) + cast(cutoff as time)
                    then cast(opened_local as date) - 1
                else cast(opened_local as date)
            end
        ) as business_date
    from located
) as dated
where business_date >= (select min({{ utc_date('as_of') }}) from {{ source('raw_c4', 'group_settings') }}) - 1
