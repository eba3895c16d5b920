-- A payout of a processor or platform and what it cost. Fees are the file's figures, never recomputed.
with rates as (
    select
        o.outlet_id,
        t.rate,
        greatest(o.valid_from, t.valid_from) as valid_from,
        least(o.valid_to, t.valid_to) as valid_to
    from {{ source('raw_c4', 'outlets') }} as o
    inner join {{ source('raw_c4', 'tax_rates') }} as t
        on t.tax_jurisdiction = o.tax_jurisdiction
)

select
    s.settlement_id,
    s.entity_id,
    s.outlet_id,
    s.settled_on,
    s.tender,
    {{ money('s.gross') }} as gross,
    {{ money('s.fee') }} as fee,
    {{ money('s.fee_tax') }} as fee_tax,
    {{ money('s.gross - s.fee - s.fee_tax') }} as paid_out,
    {{ divide('s.gross', '1 + coalesce(r.rate, 0)') }} as gross_without_tax,
    {{ divide('s.fee', 's.gross', 6) }} as effective_fee_pct,
    case when s.tender = 'platform'
        then {{ divide('(s.fee + s.fee_tax) * (1 + coalesce(r.rate, 0))', 's.gross', 6) }}
    end as take_rate
from {{ source('raw_c4', 'settlements') }} as s
left join rates as r
    on r.outlet_id = s.outlet_id
    and s.settled_on between r.valid_from and r.valid_to
