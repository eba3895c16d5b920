{{ config(tags=['close']) }}

with movements as (
    select
        entity_id,
        outlet_id,
        account_code,
        period,
        sum(greatest(amount, 0)) as debit,
        sum(greatest(-amount, 0)) as credit
    from {{ ref('gl_journal_lines') }}
    group by entity_id, outlet_id, account_code, period
)

select
    entity_id,
    outlet_id,
    account_code,
    period,
    {{ money('debit') }} as debit,
    {{ money('credit') }} as credit,
    {{ money('debit - credit') }} as movement,
    {{ money('sum(debit - credit) over (partition by entity_id, outlet_id, account_code order by period)') }} as balance
from movements
