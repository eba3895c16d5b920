{{ config(materialized='by_day') }}

with lines as (
    select
        integration_id,
        check_id,
        count(*) as lines,
        sum(gross_sales) as gross_sales,
        sum(discounts) as discounts,
        sum(comps) as comps,
        sum(returns) as returns,
        sum(net_sales) as net_sales,
        sum(liability_amount) as liability_amount,
        sum(local_gross_sales) as local_gross_sales,
        sum(local_discounts + local_comps) as local_reductions,
        sum(local_returns) as local_returns,
        sum(local_net_sales) as local_net_sales
    from {{ ref('fct_check_lines') }} as l
    -- a line that was cancelled before payment counts nowhere; a cancelled check keeps its amounts
    where (not is_voided or is_check_voided) and {{ touched('l') }}
    group by integration_id, check_id
),

payments as (
    select
        integration_id,
        check_id,
        sum(amount + tip) as tender_total
    from {{ ref('fct_check_payments') }} as p
    where {{ touched('p') }}
    group by integration_id, check_id
),

joined as (
    select
        c.*,
        coalesce(channels.canonical, 'unmapped') as channel,
        dayparts.daypart,
        coalesce(l.lines, 0) as lines,
        coalesce(l.gross_sales, 0) as gross_sales,
        coalesce(l.discounts, 0) as discounts,
        coalesce(l.comps, 0) as comps,
        coalesce(l.returns, 0) as returns,
        coalesce(l.net_sales, 0) as net_sales,
        coalesce(l.liability_amount, 0) as liability_amount,
        coalesce(l.local_gross_sales, 0) as local_gross_sales,
        coalesce(l.local_reductions, 0) as local_reductions,
        coalesce(l.local_returns, 0) as local_returns,
        coalesce(l.local_net_sales, 0) as local_net_sales,
        coalesce(p.tender_total, 0) as tender_total
    from {{ ref('int_sales__checks') }} as c
    left join lines as l
        on l.integration_id = c.integration_id
        and l.check_id = c.check_id
    left join payments as p
        on p.integration_id = c.integration_id
        and p.check_id = c.check_id
    left join {{ ref('int_mapping__codes') }} as channels
        on channels.domain = 'channel'
        and channels.vendor = c.vendor
        and channels.source_code = c.channel_code
        and c.business_date between channels.valid_from and channels.valid_to
    left join {{ ref('int_sales__dayparts') }} as dayparts
        on dayparts.local_hour = extract(hour from c.opened_local)
    where c.outlet_id is not null and {{ touched('c') }}
),

totals as (
    select
        *,
        net_sales + service_charge + tax + tip + rounding as bill_total
    from joined
)

select
    integration_id,
    check_id,
    check_number,
    check_type,
    refunded_check_id,
    outlet_id,
    entity_id,
    business_date,
    opened_at,
    closed_at,
    opened_local,
    cast(extract(hour from opened_local) as integer) as local_hour,
    coalesce(daypart, 'unmapped') as daypart,
    channel,
    is_voided,
    covers,
    cast(lines as integer) as lines,
    {{ money('gross_sales') }} as gross_sales,
    {{ money('discounts') }} as discounts,
    {{ money('comps') }} as comps,
    {{ money('returns') }} as returns,
    {{ money('net_sales') }} as net_sales,
    {{ money('service_charge') }} as service_charge,
    {{ money('tax') }} as tax,
    {{ money('tip') }} as tip,
    {{ money('rounding') }} as rounding,
    {{ money('bill_total') }} as bill_total,
    {{ money('liability_amount') }} as liability_amount,
    {{ money('tender_total') }} as tender_total,
    {{ money('tender_total - bill_total - liability_amount') }} as unexplained_difference,
    case
        when tender_total - bill_total - liability_amount = 0 then 'none'
        when abs(tender_total - bill_total - liability_amount)
            >= (lines + 4) * {{ currency_unit('currency_exponent') }} then 'suspense'
        when is_foreign then 'fx'
        else 'rounding'
    end as difference_kind,
    currency,
    local_currency,
    {{ money('local_gross_sales') }} as local_gross_sales,
    {{ money('local_reductions') }} as local_reductions,
    {{ money('local_returns') }} as local_returns,
    {{ money('local_net_sales') }} as local_net_sales,
    {{ money('local_service_charge') }} as local_service_charge,
    {{ money('local_tax') }} as local_tax,
    {{ money('local_tax_lines') }} as local_tax_lines,
    {{ money('local_tip') }} as local_tip,
    {{ money('local_rounding') }} as local_rounding,
    {{ money('local_net_sales + local_service_charge + local_tax + local_tip + local_rounding') }} as local_bill_total,
    {{ money('source_bill_total') }} as source_bill_total,
    updated_at
from totals
