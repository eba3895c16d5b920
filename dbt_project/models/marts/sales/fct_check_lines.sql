{{ config(materialized='by_day') }}

-- A check without lines (a file of check totals) gets one line of its own, so that every sale has lines.
with lines as (
    select
        c.integration_id,
        c.check_id,
        c.check_type,
        c.vendor,
        c.outlet_id,
        c.entity_id,
        c.business_date,
        c.opened_local,
        c.is_foreign,
        c.exchange_rate,
        c.currency_exponent,
        c.is_voided as is_check_voided,
        case when l.check_id is null then 'check' else l.line_id end as line_id,
        case when l.check_id is null then 'item' else l.line_type end as line_type,
        l.source_product_id,
        l.product_code,
        l.product_name,
        l.source_category,
        case when l.check_id is not null then l.quantity when c.check_type = 'refund' then -1 else 1 end as quantity,
        case when l.check_id is null then c.source_gross_sales else l.unit_price end as unit_price,
        case when l.check_id is null then c.source_gross_sales else coalesce(l.gross_sales, 0) end as gross_sales,
        case when l.check_id is null then c.source_discounts else coalesce(l.discounts, 0) end as discounts,
        case when l.check_id is null then c.source_comps else coalesce(l.comps, 0) end as comps,
        case when l.check_id is null then c.source_returns else coalesce(l.returns, 0) end as returns,
        l.discount_name,
        coalesce(l.is_voided, false) as is_line_voided,
        {{ code("coalesce(l.source_channel, nullif(c.channel_code, '(blank)'))") }} as channel_code
    from {{ ref('int_sales__checks') }} as c
    left join {{ ref('int_unified__check_lines') }} as l
        on l.integration_id = c.integration_id
        and l.check_id = c.check_id
    where c.outlet_id is not null and {{ touched('c') }}
),

mapped as (
    select
        l.*,
        l.is_check_voided or l.is_line_voided as is_void,
        coalesce(channels.canonical, 'unmapped') as channel,
        coalesce(categories.canonical, costs.category_group, 'unmapped') as category_group,
        case
            when l.discounts = 0 and l.comps = 0 then null
            when discounts.canonical is not null then discounts.canonical
            -- a comp that the POS itself books as a comp needs no name
            when l.discounts = 0 then 'comp:unspecified'
            else 'discount:unmapped'
        end as reduction,
        costs.category_group as cost_group,
        costs.unit_cost
    from lines as l
    left join {{ ref('int_mapping__codes') }} as channels
        on channels.domain = 'channel'
        and channels.vendor = l.vendor
        and channels.source_code = l.channel_code
        and l.business_date between channels.valid_from and channels.valid_to
    left join {{ ref('int_mapping__codes') }} as categories
        on categories.domain = 'category'
        and categories.vendor = l.vendor
        and categories.source_code = {{ code('l.source_category') }}
        and l.business_date between categories.valid_from and categories.valid_to
    left join {{ ref('int_mapping__codes') }} as discounts
        on discounts.domain = 'discount'
        and discounts.vendor = l.vendor
        and discounts.source_code = {{ code('l.discount_name') }}
        and l.business_date between discounts.valid_from and discounts.valid_to
    left join {{ ref('int_mapping__product_costs') }} as costs
        on costs.entity_id = l.entity_id
        and costs.product_code = l.product_code
        and l.business_date between costs.valid_from and costs.valid_to
),

-- A discount by name may be a comp by meaning. A gift card or a deposit is owed, not sold.
amounts as (
    select
        *,
        case when line_type = 'item' then gross_sales else 0 end as local_gross_sales,
        case when line_type = 'item' and reduction not like 'comp:%' then discounts else 0 end as local_discounts,
        case
            when line_type <> 'item' then 0
            when reduction like 'comp:%' then comps + discounts
            else comps
        end as local_comps,
        case when line_type = 'item' then returns else 0 end as local_returns,
        case when line_type = 'item' then 0 else gross_sales - discounts - comps - returns end as local_liability
    from mapped
),

translated as (
    select
        *,
        {{ translate('local_gross_sales', 'amounts') }} as functional_gross_sales,
        {{ translate('local_discounts', 'amounts') }} as functional_discounts,
        {{ translate('local_comps', 'amounts') }} as functional_comps,
        {{ translate('local_returns', 'amounts') }} as functional_returns,
        {{ translate('local_liability', 'amounts') }} as functional_liability
    from amounts
)

select
    integration_id,
    check_id,
    line_id,
    outlet_id,
    entity_id,
    business_date,
    check_type,
    line_type,
    is_check_voided,
    is_void as is_voided,
    channel,
    channel_code as source_channel,
    category_group,
    {{ code('source_category') }} as source_category,
    coalesce(product_code, source_product_id) as product_code,
    product_name,
    split_part(reduction, ':', 2) as reduction_reason,
    discount_name,
    cast(extract(hour from opened_local) as integer) as local_hour,
    {{ money('quantity') }} as quantity,
    {{ money('functional_gross_sales') }} as gross_sales,
    {{ money('functional_discounts') }} as discounts,
    {{ money('functional_comps') }} as comps,
    {{ money('functional_returns') }} as returns,
    {{ money('functional_gross_sales - functional_discounts - functional_comps - functional_returns') }} as net_sales,
    {{ money('functional_liability') }} as liability_amount,
    {{ money('local_gross_sales') }} as local_gross_sales,
    {{ money('local_discounts') }} as local_discounts,
    {{ money('local_comps') }} as local_comps,
    {{ money('local_returns') }} as local_returns,
    {{ money('local_gross_sales - local_discounts - local_comps - local_returns') }} as local_net_sales,
    {{ money('unit_price') }} as local_unit_price,
    cost_group,
    {{ money("case
        when check_type = 'sale' and line_type = 'item' and not is_void then " ~ multiply('quantity', 'unit_cost') ~ "
    end") }} as theoretical_cost
from translated
