-- The day part of every local hour; a day part may wrap past midnight.
select
    cast(hours.hour as integer) as local_hour,
    min(d.daypart) as daypart
from generate_series(0, 23) as hours (hour)
inner join {{ source('raw_c4', 'dayparts') }} as d
    on case
        when d.start_hour < d.end_hour then hours.hour >= d.start_hour and hours.hour < d.end_hour
        else hours.hour >= d.start_hour or hours.hour < d.end_hour
    end
group by hours.hour
