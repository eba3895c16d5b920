{{ config(materialized='table') }}

-- What no mapping covers, by outlet and business date. `journal_type` is the journal that it holds; '' holds none.
with integrations as (
    select integration_id, vendor from {{ source('raw_c4', 'integrations') }}
),

found as (
    select
        'category' as domain, integration_id, source_category as source_code, outlet_id, business_date, entity_id,
        'DSJ' as journal_type, gross_sales as amount
    from {{ ref('fct_check_lines') }}
    where category_group = 'unmapped' and line_type = 'item' and not is_voided

    union all
    select 'channel', integration_id, source_channel, outlet_id, business_date, entity_id, 'DSJ', gross_sales
    from {{ ref('fct_check_lines') }}
    where channel = 'unmapped' and line_type = 'item' and not is_voided

    union all
    select
        'discount', integration_id, {{ code('discount_name') }}, outlet_id, business_date, entity_id, 'DSJ', discounts
    from {{ ref('fct_check_lines') }}
    where reduction_reason = 'unmapped' and not is_voided

    union all
    select 'tender', integration_id, source_tender, outlet_id, business_date, entity_id, 'DSJ', amount + tip
    from {{ ref('fct_check_payments') }}
    where tender = 'unmapped' and not is_voided

    union all
    select
        'product_cost', integration_id, coalesce(product_code, '(none)'), outlet_id, business_date, entity_id, 'COG',
        gross_sales
    from {{ ref('fct_check_lines') }}
    where line_type = 'item' and check_type = 'sale' and not is_voided and theoretical_cost is null

    union all
    select 'labor_rate', integration_id, source_job, outlet_id, business_date, entity_id, 'LAB', hours
    from {{ ref('fct_punches') }}
    where labor_cost is null

    union all
    select
        'exchange_rate', c.integration_id, c.local_currency || ' to ' || c.currency, c.outlet_id, c.business_date,
        c.entity_id, 'DSJ', c.source_bill_total
    from {{ ref('int_sales__checks') }} as c
    where c.is_foreign and c.exchange_rate is null and not c.is_voided

    union all
    select
        'currency', c.integration_id, 'not ' || c.local_currency, c.outlet_id, c.business_date, c.entity_id, 'DSJ',
        c.source_bill_total
    from {{ ref('int_sales__checks') }} as c
    where c.is_other_currency and not c.is_voided

    union all
    select 'outlet', c.integration_id, c.source_outlet_id, null, null, null, '', c.source_bill_total
    from {{ ref('int_sales__checks') }} as c
    where c.outlet_id is null

    union all
    select
        'outlet', p.integration_id, coalesce(e.source_outlet_id, '(no location)'), null, p.work_date, null, '', p.hours
    from {{ ref('int_labor__punches') }} as p
    left join {{ ref('int_unified__employees') }} as e
        on e.integration_id = p.integration_id
        and e.employee_id = p.employee_id
    left join {{ source('raw_c4', 'integration_outlets') }} as m
        on m.integration_id = e.integration_id
        and m.source_outlet_id = e.source_outlet_id
    where m.outlet_id is null

    union all
    select
        'account', s.integration_id, substr(s.component, length('suspense:account:') + 1), s.outlet_id,
        s.business_date, s.entity_id, s.journal_type, s.amount
    from {{ ref('journal_line_sources') }} as s
    where s.component like 'suspense:account:%'

    union all
    select
        'payments', s.integration_id, 'bill and payments differ', s.outlet_id, s.business_date, s.entity_id,
        s.journal_type, s.amount
    from {{ ref('journal_line_sources') }} as s
    where s.component = 'suspense:payments'
)

select
    f.domain,
    coalesce(i.vendor, '') as vendor,
    f.source_code,
    f.outlet_id,
    f.entity_id,
    f.business_date,
    f.journal_type,
    count(*) as occurrences,
    {{ money('sum(f.amount)') }} as amount
from found as f
left join integrations as i
    on i.integration_id = f.integration_id
group by f.domain, coalesce(i.vendor, ''), f.source_code, f.outlet_id, f.entity_id, f.business_date, f.journal_type
