{{ config(tags=['close']) }}

-- The entity's books: documents that people posted in the target, and ours from the outbox as soon as they are live.
select
    h.entity_id,
    h.outlet_id,
    h.posting_date,
    {{ month_of('h.posting_date') }} as period,
    h.account_code,
    'human' as origin,
    h.document_id,
    h.line_id,
    h.memo,
    {{ money('h.amount') }} as amount
from {{ ref('int_gl__human_lines') }} as h

union all

select
    o.entity_id,
    o.outlet_id,
    o.posting_date,
    {{ month_of('o.posting_date') }},
    l.account_code,
    'platform',
    o.reference,
    cast(l.line_no as varchar),
    o.document_key || ' ' || l.component,
    {{ money('l.amount') }}
from {{ source('raw_c4', 'outbox') }} as o
inner join {{ source('raw_c4', 'outbox_lines') }} as l
    on l.reference = o.reference
where o.status in ('posted', 'confirmed')
