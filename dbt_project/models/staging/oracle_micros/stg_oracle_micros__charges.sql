-- Service charges of every kind: revenue, tips owed to staff, and money taken in trust, which is neither.
select
    c.integration_id,
    c.check_id,
    c.line_id,
    c.num,
    c.is_check_voided,
    n.name,
    case
        when coalesce(n.chrg_tips_flag, false) then 'tip'
        when not coalesce(n.rev_flag, true) then 'deposit'
        else 'service_charge'
    end as charge_kind,
    c.amount
from {{ ref('stg_oracle_micros__current_lines') }} as c
left join {{ source('raw_oracle_micros', 'service_charges') }} as n
    on n.integration_id = c.integration_id
    and n.source_outlet_id = c.source_outlet_id
    and n.num = c.num
where c.kind = 'charge'
