-- Tenders, whose totals are what was applied with the tip: the greatest of a check bears it.
with tenders as (
    select
        *,
        row_number() over (
            partition by integration_id, check_id
            order by abs(amount) desc, line_id
        ) as place
    from {{ ref('stg_oracle_micros__current_lines') }}
    where kind = 'tender'
),

tips as (
    select integration_id, check_id, sum(amount) as tip
    from {{ ref('stg_oracle_micros__charges') }}
    where charge_kind = 'tip'
    group by integration_id, check_id
),

tipped as (
    select t.*, case when t.place = 1 then coalesce(p.tip, 0) else 0 end as tip
    from tenders as t
    left join tips as p
        on p.integration_id = t.integration_id
        and p.check_id = t.check_id
)

select
    t.integration_id,
    t.check_id,
    t.line_id as payment_id,
    coalesce(n.name, 'tender ' || cast(t.num as varchar)) as source_tender,
    cast(t.amount - t.tip as decimal(18, 4)) as amount,
    cast(t.tip as decimal(18, 4)) as tip,
    coalesce(t.detail_utc, c.closed_at) as paid_at
from tipped as t
inner join {{ ref('stg_oracle_micros__current_checks') }} as c
    on c.integration_id = t.integration_id
    and c.check_id = t.check_id
left join {{ source('raw_oracle_micros', 'tender_media') }} as n
    on n.integration_id = t.integration_id
    and n.source_outlet_id = t.source_outlet_id
    and n.num = t.num
