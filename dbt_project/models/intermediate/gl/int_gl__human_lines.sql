-- Ledger lines of documents that people posted in the target. Ours are told by their reference: C4 and 14 more.
with entities as (
    select integration_id, min(entity_id) as entity_id
    from {{ source('raw_c4', 'integration_entities') }}
    group by integration_id
)

select
    l.integration_id,
    coalesce(l.entity_id, e.entity_id) as entity_id,
    coalesce(o.outlet_id, '') as outlet_id,
    l.document_id,
    l.line_id,
    l.posting_date,
    coalesce(a.account_code, l.account_code) as account_code,
    l.amount,
    l.text as memo,
    l.reference
from {{ ref('int_unified__gl_lines') }} as l
inner join entities as e
    on e.integration_id = l.integration_id
left join {{ ref('int_gl__account_codes') }} as a
    on a.integration_id = l.integration_id
    and a.target_account = l.account_code
left join {{ ref('int_gl__outlet_codes') }} as o
    on o.integration_id = l.integration_id
    and o.source_outlet_id = {{ code('l.source_outlet_id') }}
where l.is_reversed is not true
    and not (coalesce(l.reference, '') like 'C4%' and length(l.reference) = 16)
