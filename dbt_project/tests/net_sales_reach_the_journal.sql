{{ config(meta={'dagster': {'ref': {'name': 'sales_daily'}}}) }}
-- I5: a sale, discount, comp or return of the sales mart that the daily sales journal lacks, or has twice.
with booked as (
    select outlet_id, business_date, -sum(amount) as amount
    from {{ ref('int_close__journal_totals') }} as j
    where journal_type = 'DSJ'
        and source_type = 'check_line'
        and component not in ('gift_card_sold', 'deposit')
        and component not like 'comp_tax:%'
        and component not like 'tax:%'
        and {{ untested('j') }}
    group by outlet_id, business_date
)

select s.outlet_id, s.business_date, s.net_sales, b.amount
from {{ ref('sales_daily') }} as s
inner join {{ ref('dim_outlet_dates') }} as c
    on c.outlet_id = s.outlet_id
    and c.business_date = s.business_date
    and c.is_ended
left join booked as b
    on b.outlet_id = s.outlet_id
    and b.business_date = s.business_date
where s.net_sales <> coalesce(b.amount, 0) and {{ untested('s') }}
