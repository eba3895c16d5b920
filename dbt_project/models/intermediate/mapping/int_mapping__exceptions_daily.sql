{{ config(materialized='by_day') }}
{%- set day = 'outlet_id, business_date, entity_id' %}

-- What no mapping covers, of the sales, shifts and candidate entries of an outlet-day.
with lines as (
    select * from {{ ref('fct_check_lines') }} as l where not is_voided and {{ touched('l') }}
),

checks as (
    select * from {{ ref('int_sales__checks') }} as c where not is_voided and {{ touched('c') }}
),

totals as (
    select * from {{ ref('int_close__journal_totals') }} as t where {{ touched('t') }}
),

found as (
    select
        'category' as domain, integration_id, source_category as source_code, {{ day }}, 'DSJ' as journal_type,
        gross_sales as amount, 1 as occurrences
    from lines
    where category_group = 'unmapped' and line_type = 'item'

    union all
    select 'channel', integration_id, source_channel, {{ day }}, 'DSJ', gross_sales, 1
    from lines
    where channel = 'unmapped' and line_type = 'item'

    union all
    select 'discount', integration_id, {{ code('discount_name') }}, {{ day }}, 'DSJ', discounts, 1
    from lines
    where reduction_reason = 'unmapped'

    union all
    select 'product_cost', integration_id, coalesce(product_code, '(none)'), {{ day }}, 'COG', gross_sales, 1
    from lines
    where line_type = 'item' and check_type = 'sale' and theoretical_cost is null

    union all
    select 'tender', integration_id, source_tender, {{ day }}, 'DSJ', amount + tip, 1
    from {{ ref('fct_check_payments') }} as p
    where tender = 'unmapped' and not is_voided and {{ touched('p') }}

    union all
    select 'labor_rate', integration_id, source_job, {{ day }}, 'LAB', hours, 1
    from {{ ref('fct_punches') }} as p
    where labor_cost is null and {{ touched('p') }}

    union all
    select
        'exchange_rate', integration_id, local_currency || ' to ' || currency, {{ day }}, 'DSJ', source_bill_total, 1
    from checks
    where is_foreign and exchange_rate is null

    union all
    select 'currency', integration_id, 'not ' || local_currency, {{ day }}, 'DSJ', source_bill_total, 1
    from checks
    where is_other_currency

    union all
    select
        'account', integration_id, substr(component, length('suspense:account:') + 1), {{ day }}, journal_type,
        amount, source_rows
    from totals
    where component like 'suspense:account:%'

    union all
    select 'payments', integration_id, 'bill and payments differ', {{ day }}, journal_type, amount, source_rows
    from totals
    where component = 'suspense:payments'
)

select
    domain,
    integration_id,
    source_code,
    {{ day }},
    journal_type,
    cast(sum(occurrences) as bigint) as occurrences,
    {{ money('sum(amount)') }} as amount
from found
group by domain, integration_id, source_code, {{ day }}, journal_type
