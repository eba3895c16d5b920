{%- set reports = source('raw_olsera', 'sales_per_group_days') -%}

-- Olsera's item sales per group add up to net sales. A day without a group is a day without sales.
with totals as (
    select
        report.integration_id,
        report.source_outlet_id,
        report.day,
        report.read_until,
        count(sales.label) as labels,
        coalesce(sum(sales.value), 0) as amount
    from {{ reports }} as report
    left join {{ current_children(source('raw_olsera', 'sales_per_group'), reports) }} as sales
        on sales.integration_id = report.integration_id
        and sales.root_source_outlet_id = report.source_outlet_id
        and sales.root_day = report.day
    group by report.integration_id, report.source_outlet_id, report.day, report.read_until
),

measured as (
    select *, 'net_sales' as measure
    from totals
    union all
    select *, 'gross_sales' as measure
    from totals
    where labels = 0
)

select
    integration_id,
    source_outlet_id,
    cast(day as date) as control_date,
    'calendar' as basis,
    measure,
    amount,
    cast(read_until as timestamp with time zone) as read_until
from measured
