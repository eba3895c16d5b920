-- The entry that clears a tender's account: bank and fees against clearing. A negative gross (tips paid out of the
-- bank) turns the sides.
with amounts as (
    select s.*, parts.component, parts.kind, parts.uses_tender,
        case parts.component
            when 'bank' then s.paid_out
            when 'fee' then s.fee
            when 'fee_tax' then s.fee_tax
            else -s.gross
        end as amount
    from {{ ref('settlements') }} as s
    cross join (
        values
            ('bank', 'bank', false), ('fee', 'settlement_fee', true),
            ('fee_tax', 'settlement_fee_tax', true), ('clearing', 'tender', true)
    ) as parts (component, kind, uses_tender)
)

select
    a.settlement_id,
    a.entity_id,
    a.outlet_id,
    a.settled_on,
    cast(row_number() over (partition by a.settlement_id order by -sign(a.amount), m.account_code) as integer) as line_no,
    a.component,
    coalesce(m.account_code, s.account_code, 'unmapped') as account_code,
    {{ money('greatest(a.amount, 0)') }} as debit,
    {{ money('greatest(-a.amount, 0)') }} as credit
from amounts as a
{{ join_accounts('a', 'settled_on', 'a.kind', "case when a.uses_tender then a.tender else '*' end") }}
where a.amount <> 0
