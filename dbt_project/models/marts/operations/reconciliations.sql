{{ config(tags=['close']) }}

with settings as (
    select {{ utc_date('as_of') }} as today from {{ source('raw_c4', 'group_settings') }}
),

payroll as (
    select
        p.entity_id,
        p.period,
        count(*) as employees,
        sum(p.overtime_hours) as paid,
        sum(w.hours) as worked
    from {{ ref('int_labor__payroll') }} as p
    left join (
        select employee_id, {{ month_of('business_date') }} as period, sum(overtime_hours) as hours
        from {{ ref('fct_punches') }}
        group by employee_id, {{ month_of('business_date') }}
    ) as w
        on w.employee_id = p.employee_id
        and w.period = p.period
    group by p.entity_id, p.period
),

affiliates as (
    select
        e.currency,
        max(l.posting_date) as last_posting,
        sum(case when l.account_code = '1390' then l.amount else 0 end) as due_from,
        sum(case when l.account_code = '2600' then -l.amount else 0 end) as due_to
    from {{ ref('gl_journal_lines') }} as l
    inner join {{ source('raw_c4', 'entities') }} as e
        on e.entity_id = l.entity_id
    where l.account_code in ('1390', '2600')
    group by e.currency
),

found as (
    select
        c.rule, d.entity_id, c.outlet_id, c.integration_id, c.business_date, c.measure, c.expected, c.actual,
        0 as tolerance, c.is_outdated and c.difference <> 0 as is_pending,
        'report of ' || c.integration_id || ' by ' || c.basis || ' day, local currency'
        || case when c.is_outdated then ', read before the last change of the day' else '' end as evidence
    from {{ ref('int_close__pos_controls') }} as c
    inner join {{ ref('dim_outlet_dates') }} as d
        on d.outlet_id = c.outlet_id
        and d.business_date = c.business_date

    union all
    select
        'R3', c.entity_id, null, null, settings.today, 'tender:' || c.tender, c.due, least(c.settled, c.due), 0,
        c.is_pending,
        case when c.is_pending then 'no settlement source yet; sales since ' || cast(c.first_sale as varchar)
            else 'sold ' || cast(c.sold as varchar) || ', settled ' || cast(c.settled as varchar)
            || ', open ' || cast(c.open_items as varchar) end
    from {{ ref('int_close__clearing') }} as c
    cross join settings

    union all
    select
        'R4', e.entity_id, null, null, settings.today, 'payouts in bank', 0, 0, 0, true, 'no bank statement source yet'
    from {{ source('raw_c4', 'entities') }} as e
    cross join settings

    union all
    select
        'R5', d.entity_id, b.outlet_id, b.integration_id, coalesce(b.business_date, settings.today),
        coalesce(b.journal_type, 'unknown') || ' ' || b.reference,
        b.sent, b.sent - b.account_differences, 0, b.is_pending,
        case
            when b.is_unknown then 'the target holds a document of ours that the outbox does not know'
            when b.is_pending then 'the ledger of the target has not been read since the posting'
            when b.live_documents > 1 then cast(b.live_documents as varchar) || ' live documents under one reference'
            when b.live_documents = 0 then 'no live document under the reference'
            when b.account_differences > 0 then 'accounts differ by ' || cast(b.account_differences as varchar)
            else 'every account agrees'
        end
    from {{ ref('int_close__readback') }} as b
    cross join settings
    left join {{ ref('dim_outlet_dates') }} as d
        on d.outlet_id = b.outlet_id
        and d.business_date = b.business_date

    union all
    select
        'R6', e.entity_id, null, null, coalesce(p.period, settings.today), 'overtime hours paid',
        coalesce(p.worked, 0), coalesce(p.paid, 0), 0.25 * coalesce(p.employees, 0), p.worked is null,
        case
            when p.entity_id is null then 'no payroll has been loaded'
            when p.worked is null then 'no shifts are loaded for the month'
            else cast(p.employees as varchar) || ' employees'
        end
    from {{ source('raw_c4', 'entities') }} as e
    cross join settings
    left join payroll as p on p.entity_id = e.entity_id

    union all
    select
        'R7', d.entity_id, t.outlet_id, null, t.business_date, t.measure, coalesce(t.expected, 0), t.actual,
        t.tolerance, t.is_pending, t.evidence
    from {{ ref('int_close__tax_controls') }} as t
    inner join {{ ref('dim_outlet_dates') }} as d
        on d.outlet_id = t.outlet_id
        and d.business_date = t.business_date

    union all
    select
        'R8', d.entity_id, t.outlet_id, null, t.counted_on, 'stock value', t.expected, t.counted,
        {{ multiply('t.theoretical_usage', 'cast(0.02 as decimal(4, 2))') }}, false,
        'book value since the last count; tolerance 2 % of theoretical usage'
    from {{ ref('int_close__stock') }} as t
    inner join {{ ref('dim_outlets') }} as d on d.outlet_id = t.outlet_id

    union all
    select
        'R8', e.entity_id, null, null, settings.today, 'stock value', 0, 0, 0, true, 'no two stock counts are loaded yet'
    from {{ source('raw_c4', 'entities') }} as e
    cross join settings
    where not exists (
        select 1
        from {{ ref('int_close__stock') }} as t
        inner join {{ ref('dim_outlets') }} as d on d.outlet_id = t.outlet_id
        where d.entity_id = e.entity_id
    )

    union all
    select
        'R9', e.entity_id, null, null, settings.today, 'gift card liability', 0, 0, 0, true, 'no gift card system yet'
    from {{ source('raw_c4', 'entities') }} as e
    cross join settings

    union all
    select
        'R10', null, null, null, coalesce(a.last_posting, settings.today), 'due from = due to',
        coalesce(a.due_from, 0), coalesce(a.due_to, 0), 0, a.currency is null,
        coalesce('all entities with books in ' || a.currency, 'no intercompany postings are loaded')
    from settings
    left join affiliates as a on 1 = 1
)

select
    rule,
    entity_id,
    outlet_id,
    integration_id,
    business_date,
    measure,
    {{ money('expected') }} as expected,
    {{ money('actual') }} as actual,
    {{ money('actual - expected') }} as difference,
    {{ money('tolerance') }} as tolerance,
    case
        when is_pending then 'pending'
        when abs(actual - expected) <= tolerance then 'pass'
        else 'fail'
    end as status,
    evidence
from found
