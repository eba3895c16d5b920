{{ config(tags=['close']) }}

-- R5: each posted document against what the target's ledger holds under its reference, account by account.
with documents as (
    select reference, target as integration_id, outlet_id, entity_id, business_date, journal_type, status, confirmed_at
    from {{ source('raw_c4', 'outbox') }}
    where status in ('posted', 'confirmed')
),

amounts as (
    select
        l.reference,
        coalesce(nullif(ltrim(l.target_account, '0'), ''), l.account_code) as target_account,
        l.amount as sent,
        0 as held
    from {{ source('raw_c4', 'outbox_lines') }} as l
    inner join documents as d on d.reference = l.reference
    union all
    select r.reference, ltrim(r.target_account, '0'), 0, r.amount
    from {{ ref('int_unified__journal_readback') }} as r
    where r.is_live
),

accounts as (
    select reference, target_account, sum(sent) as sent, sum(held) as held
    from amounts
    group by reference, target_account
),

held as (
    select reference, count(distinct external_id) as documents, max(integration_id) as integration_id
    from {{ ref('int_unified__journal_readback') }}
    where is_live
    group by reference
),

-- The target has been read since the document was confirmed, so that it should have been seen.
read_since as (
    select d.reference
    from documents as d
    inner join {{ source('raw_c4', 'watermarks') }} as w
        on w.integration_id = d.integration_id
    group by d.reference
    having min(w.complete_until) > max(d.confirmed_at)
)

select
    coalesce(d.reference, a.reference) as reference,
    coalesce(d.integration_id, max(h.integration_id)) as integration_id,
    d.outlet_id,
    d.business_date,
    d.journal_type,
    {{ money('sum(abs(a.sent))') }} as sent,
    {{ money('sum(abs(a.sent - a.held))') }} as account_differences,
    coalesce(max(h.documents), 0) as live_documents,
    d.reference is null as is_unknown,
    max(h.reference) is null and max(r.reference) is null as is_pending
from accounts as a
left join documents as d on d.reference = a.reference
left join held as h on h.reference = a.reference
left join read_since as r on r.reference = a.reference
group by d.reference, a.reference, d.integration_id, d.outlet_id, d.business_date, d.journal_type
