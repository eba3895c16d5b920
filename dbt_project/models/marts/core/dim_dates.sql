-- Every date from the first to the last business date of the calendar. Weeks run Monday to Sunday.
select
    day as business_date,
    cast(extract(year from day) as integer) as year,
    cast(extract(month from day) as integer) as month,
    {{ month_of('day') }} as period,
    cast(date_trunc('week', day) as date) as week_start,
    cast(extract(isodow from day) as integer) as weekday
from (
    select {{ each_date('first_date', 'last_date') }} as day
    from (
        select min(business_date) as first_date, max(business_date) as last_date
        from {{ ref('dim_outlet_dates') }}
    ) as span
) as days
