-- Clocked shifts. Simphony tells no approval: a shift that has ended counts as approved, one that lasts has no hours
-- yet. Job codes without a rate have no hours of their own: then the clock's count.
select
    integration_id,
    source_outlet_id || '-' || cast(tc_id as varchar) as punch_id,
    source_outlet_id || '-' || cast(emp_num as varchar) as employee_id,
    bus_dt as work_date,
    clk_in_utc as started_at,
    clk_out_utc as ended_at,
    case
        when clk_out_utc is null then 0
        else cast(coalesce(
            nullif(
                coalesce(reg_hrs, 0) + coalesce(ovt1_hrs, 0) + coalesce(ovt2_hrs, 0) + coalesce(ovt3_hrs, 0)
                + coalesce(ovt4_hrs, 0), 0
            ),
            {{ divide('cast(extract(epoch from (clk_out_utc - clk_in_utc)) as decimal(18, 4))', '3600', 2) }}
        ) as decimal(18, 4))
    end as hours,
    clk_out_utc is not null as is_approved,
    last_updated_utc as updated_at
from {{ source('raw_oracle_micros', 'time_cards') }}
