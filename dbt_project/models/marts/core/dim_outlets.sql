-- The version valid at the logical time; an outlet that has only older or later versions shows the nearest.
select
    outlet_id, entity_id, name, region, city, timezone, cutoff, currency, tax_jurisdiction, cost_center,
    tracking_option, cast(seats as integer) as seats, opened_on, valid_from, valid_to
from (
    select
        o.*,
        row_number() over (
            partition by o.outlet_id
            order by
                case when {{ utc_date('s.as_of') }} between o.valid_from and o.valid_to then 0 else 1 end,
                abs({{ utc_date('s.as_of') }} - o.valid_from)
        ) as place
    from {{ source('raw_c4', 'outlets') }} as o
    cross join {{ source('raw_c4', 'group_settings') }} as s
) as versions
where place = 1
