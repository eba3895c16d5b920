{{ config(tags=['close']) }}

-- What the target holds of a journal (`live`) against what it should hold (`candidate`). Posting the `delta`, or
-- reversing what is live and posting the candidate again, ends in the same balances.
with live as (
    select
        o.entity_id,
        o.outlet_id,
        o.business_date,
        o.journal_type,
        l.component,
        l.account_code,
        sum(l.amount) as amount
    from {{ source('raw_c4', 'outbox') }} as o
    inner join {{ source('raw_c4', 'outbox_lines') }} as l
        on l.reference = o.reference
    where o.status in ('posted', 'confirmed')
    group by o.entity_id, o.outlet_id, o.business_date, o.journal_type, l.component, l.account_code
),

posted as (
    select distinct entity_id, outlet_id, business_date, journal_type from live
),

compared as (
    select entity_id, outlet_id, business_date, journal_type, component, account_code, amount as live, 0 as candidate
    from live
    union all
    select
        j.entity_id, j.outlet_id, j.business_date, j.journal_type, j.component, j.account_code, 0, j.debit - j.credit
    from {{ ref('journal_lines') }} as j
    inner join posted as p
        on p.entity_id = j.entity_id
        and p.outlet_id = j.outlet_id
        and p.business_date = j.business_date
        and p.journal_type = j.journal_type
),

summed as (
    select
        entity_id, outlet_id, business_date, journal_type, component, account_code,
        sum(live) as live,
        sum(candidate) as candidate
    from compared
    group by entity_id, outlet_id, business_date, journal_type, component, account_code
)

select
    entity_id,
    outlet_id,
    business_date,
    journal_type,
    component,
    account_code,
    {{ money('live') }} as live_amount,
    {{ money('candidate') }} as candidate_amount,
    {{ money('candidate - live') }} as delta_amount,
    {{ money('-live') }} as reversal_amount
from summed
where candidate <> live
