{{ config(materialized='view') }}
{%- set check = 'outlet_id, business_date, integration_id, check_id' %}

-- The transactions of the published feed, each with its outlet-day. A check without lines that count is none. Whoever
-- asks for some days reads those alone: every step has the outlet and the date.
with items as (
    select
        {{ check }},
        {{ line_items() }} as line_items
    from {{ ref('fct_check_lines') }}
    where not is_voided
    group by {{ check }}
),

-- Of a bill that was split over tenders, the one that paid most.
payments as (
    select {{ check }}, tender
    from (
        select
            {{ check }},
            tender,
            row_number() over (
                partition by {{ check }}
                order by abs(sum(amount)) desc, tender
            ) as place
        from {{ ref('fct_check_payments') }}
        group by {{ check }}, tender
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
    on i.outlet_id = c.outlet_id
    and i.business_date = c.business_date
    and i.integration_id = c.integration_id
    and i.check_id = c.check_id
left join payments as p
    on p.outlet_id = c.outlet_id
    and p.business_date = c.business_date
    and p.integration_id = c.integration_id
    and p.check_id = c.check_id
where not c.is_voided
