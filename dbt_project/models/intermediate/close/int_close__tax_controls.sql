-- R7: the tax of a day three ways, in local currency: as the till charged it (check), as its tax lines say, and as
-- the jurisdiction's rate gives it; and the till's figure against what the journal books on tax accounts.
with booked as (
    select outlet_id, business_date, sum(credit - debit) as amount
    from {{ ref('journal_lines') }}
    where component like 'tax:%' or component like 'tax_refund:%'
    group by outlet_id, business_date
),

joined as (
    select
        c.*,
        d.tax_jurisdiction,
        d.tax_rate,
        d.is_ended,
        d.currency_exponent,
        {{ currency_unit('d.local_exponent') }} as local_unit,
        {{ currency_unit('d.currency_exponent') }} as unit,
        {{ round_to_currency(
            multiply('c.net_sales + case when d.tax_on_service then c.service_charge else 0 end', 'd.tax_rate'),
            'd.local_exponent'
        ) }} as recomputed,
        b.amount as in_books,
        e.tax_comps
    from {{ ref('int_close__taxed_days') }} as c
    inner join {{ ref('dim_outlet_dates') }} as d
        on d.outlet_id = c.outlet_id
        and d.business_date = c.business_date
    inner join {{ source('raw_c4', 'entities') }} as e
        on e.entity_id = d.entity_id
    left join booked as b
        on b.outlet_id = c.outlet_id
        and b.business_date = c.business_date
)

select
    outlet_id,
    business_date,
    'tax recomputed' as measure,
    recomputed as expected,
    charged as actual,
    local_unit * checks as tolerance,
    case when tax_rate is null then 'no rate is configured for ' || tax_jurisdiction
        else cast(checks as varchar) || ' checks at ' || cast({{ money('100 * tax_rate') }} as varchar) || ' %' end as evidence,
    tax_rate is null as is_pending
from joined
where tax_rate is not null or charged <> 0

union all

select
    outlet_id, business_date, 'tax lines', charged, in_lines, local_unit * checks,
    'sum of the tax lines of ' || cast(checks as varchar) || ' checks', false
from joined
where in_lines is not null

union all

select
    outlet_id, business_date, 'tax booked', charged_functional, coalesce(in_books, 0), unit,
    'movement on the tax accounts of the journal', false
from joined
-- tax on comps is booked beside what the till charged
where is_ended and not tax_comps
