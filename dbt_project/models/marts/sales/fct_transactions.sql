{{ config(materialized='by_day') }}

-- The transactions of the published feed, each with its outlet-day. A check without lines that count is none.
with items as (
    select
        integration_id,
        check_id,
        {{ line_items() }} as line_items
    from {{ ref('fct_check_lines') }} as l
    where not is_voided and {{ touched('l') }}
    group by integration_id, check_id
),

-- Of a bill that was split over tenders, the one that paid most.
payments as (
    select integration_id, check_id, tender
    from (
        select
            integration_id,
            check_id,
            tender,
            row_number() over (
                partition by integration_id, check_id
                order by abs(sum(amount)) desc, tender
            ) as place
        from {{ ref('fct_check_payments') }} as p
        where {{ touched('p') }}
        group by integration_id, check_id, tender
    ) as tenders
    where place = 1
)

select
    c.outlet_id,
    c.business_date,
    c.integration_id || ':' || c.check_id as transaction_id,
    {{ iso_utc('c.opened_at') }} as timestamp,
    i.line_items,
    coalesce(p.tender, 'unpaid') as payment_method,
    c.bill_total as total_amount
from {{ ref('fct_checks') }} as c
inner join items as i
    on i.integration_id = c.integration_id
    and i.check_id = c.check_id
left join payments as p
    on p.integration_id = c.integration_id
    and p.check_id = c.check_id
where not c.is_voided and {{ touched('c') }}
