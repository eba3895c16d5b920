-- What GNDSALE adds up to on each ground day, zero included: sales (1) less comps (5) and promos (6), tax (2), payments
-- (4, tips in them) and, less certificates sold (23), the bills. Tax inside prices is part of its sales.
with days as (
    select
        d.integration_id,
        d.source_outlet_id,
        d.dob,
        d.inclusive_tax,
        coalesce(sum(case t.type when 1 then t.amount when 5 then -t.amount when 6 then -t.amount end), 0) as sales,
        coalesce(sum(case t.type when 2 then t.amount end), 0) as tax,
        coalesce(sum(case t.type when 4 then t.amount when 23 then -t.amount end), 0) as bills
    from {{ source('raw_ncr_aloha', 'deliveries') }} as d
    left join {{ source('raw_ncr_aloha', 'day_totals') }} as t
        on t.integration_id = d.integration_id
        and t.root_source_outlet_id = d.source_outlet_id
        and t.root_dob = d.dob
        and t.root_seq = d.seq
        and t.c4_seq = d.c4_seq
    where d.seq = 0
    group by d.integration_id, d.source_outlet_id, d.dob, d.inclusive_tax
),

tips as (
    select c.integration_id, c.source_outlet_id, c.source_business_date as dob, p.source_tender, sum(p.tip) as tip
    from {{ ref('stg_ncr_aloha__check_payments') }} as p
    inner join {{ ref('stg_ncr_aloha__checks') }} as c
        on c.integration_id = p.integration_id
        and c.check_id = p.check_id
    where p.tip <> 0
    group by c.integration_id, c.source_outlet_id, c.source_business_date, p.source_tender
),

tenders as (
    select
        integration_id,
        root_source_outlet_id as source_outlet_id,
        root_dob as dob,
        source_tender,
        sum(amount) as amount
    from (
        select t.*, coalesce(n.name, cast(t.type_id as varchar)) as source_tender
        from {{ current_children(source('raw_ncr_aloha', 'day_totals'), source('raw_ncr_aloha', 'deliveries')) }} as t
        left join {{ ref('stg_ncr_aloha__current_tenders') }} as n
            on n.integration_id = t.integration_id
            and n.source_outlet_id = t.root_source_outlet_id
            and n.id = t.type_id
        where t.type = 4
    ) as named
    group by integration_id, root_source_outlet_id, root_dob, source_tender
),

told as (
    {%- for measure, amount in {
        'net_sales': 'sales - inclusive_tax', 'tax': 'tax + inclusive_tax', 'bill_total': 'bills'
    }.items() %}
    select integration_id, source_outlet_id, dob, '{{ measure }}' as measure, {{ amount }} as amount
    from days
    union all
    {%- endfor %}
    select t.integration_id, t.source_outlet_id, t.dob, 'tender:' || t.source_tender, t.amount - coalesce(g.tip, 0)
    from tenders as t
    left join tips as g
        on g.integration_id = t.integration_id
        and g.source_outlet_id = t.source_outlet_id
        and g.dob = t.dob
        and g.source_tender = t.source_tender
)

select
    integration_id,
    source_outlet_id,
    dob as control_date,
    'business' as basis,
    measure,
    amount
from told
