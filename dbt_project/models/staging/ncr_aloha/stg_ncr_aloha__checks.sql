-- Sales and refunds. A check without items and payments whose entries were all voided is voided, and keeps their amount.
-- What was paid beyond the bill is rounding, as far as the tender rounds (and one unit for fractions); anything more
-- stays in sight as a bill that is not covered.
with lines as (
    select
        integration_id,
        check_id,
        sum(case when line_type = 'item' and not is_voided then gross_sales else 0 end) as gross_sales,
        sum(case when line_type = 'item' and not is_voided then discounts else 0 end) as discounts,
        sum(case when line_type = 'item' and not is_voided then returns else 0 end) as returns,
        sum(case when line_type = 'item' then 0 else net_sales end) as liability,
        sum(case when is_voided then gross_sales else 0 end) as voided,
        count(case when not is_voided then 1 end) as lines,
        count(case when not is_voided and quantity >= 0 and returns = 0 then 1 end) as lines_sold,
        min(source_channel) as source_channel
    from {{ ref('stg_ncr_aloha__check_lines') }}
    group by integration_id, check_id
),

payments as (
    select
        integration_id,
        check_id,
        sum(amount) as paid,
        sum(tip) as tip,
        sum(service_charge) as service_charge,
        max(round_to) + 1 as most_rounding
    from {{ ref('stg_ncr_aloha__check_payments') }}
    group by integration_id, check_id
),

taxes as (
    select integration_id, check_id, sum(amount) as tax
    from (
        select integration_id, check_id, amount
        from {{ current_children(
            source('raw_ncr_aloha', 'amounts'), ref('stg_ncr_aloha__current_checks'), {'root_seq': 'root_seq', 'check_id': 'check_id'}
        ) }} as exclusive
        where type = 2
        union all
        select integration_id, check_id, inclusive_tax as amount
        from {{ ref('stg_ncr_aloha__current_entries') }}
    ) as told
    group by integration_id, check_id
),

summed as (
    select
        c.*,
        p.check_id is null and coalesce(l.lines, 0) = 0 as is_voided,
        (l.lines > 0 and l.lines_sold = 0) or (coalesce(l.lines, 0) = 0 and p.paid < 0) as is_refund,
        l.source_channel,
        case when p.check_id is null and coalesce(l.lines, 0) = 0 then coalesce(l.voided, 0) else l.gross_sales end as gross_sales,
        coalesce(l.discounts, 0) as discounts,
        coalesce(l.returns, 0) as returns,
        coalesce(l.liability, 0) as liability,
        coalesce(p.service_charge, 0) as service_charge,
        coalesce(t.tax, 0) as tax,
        coalesce(p.tip, 0) as tip,
        coalesce(p.paid, 0) as paid,
        coalesce(p.most_rounding, 0) as most_rounding
    from {{ ref('stg_ncr_aloha__current_checks') }} as c
    left join lines as l
        on l.integration_id = c.integration_id
        and l.check_id = c.check_id
    left join payments as p
        on p.integration_id = c.integration_id
        and p.check_id = c.check_id
    left join taxes as t
        on t.integration_id = c.integration_id
        and t.check_id = c.check_id
),

billed as (
    select
        *,
        coalesce(gross_sales, 0) - discounts - returns as net_sales,
        paid - (coalesce(gross_sales, 0) - discounts - returns + service_charge + tax + liability) as residue
    from summed
),

rounded as (
    select *, case when abs(residue) <= most_rounding and not is_voided then residue else 0 end as rounding
    from billed
)

select
    integration_id,
    check_id,
    cast(check_number as varchar) as check_number,
    case when is_refund then 'refund' else 'sale' end as check_type,
    cast(null as varchar) as refunded_check_id,
    source_outlet_id,
    opened_at,
    closed_at,
    dob as source_business_date,
    source_channel,
    is_voided,
    case when not is_refund then guests end as covers,
    coalesce(gross_sales, 0) as gross_sales,
    discounts,
    cast(0 as decimal(18, 4)) as comps,
    returns,
    net_sales,
    service_charge,
    tax,
    tip,
    rounding,
    net_sales + service_charge + tax + tip + rounding as bill_total,
    cast(null as varchar) as source_currency,
    source_outlet_id || ':' || cast(employee as varchar) as staff_ref,
    closed_at as updated_at,
    c4_seq
from rounded
