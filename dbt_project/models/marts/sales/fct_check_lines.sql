{{ config(materialized='by_day') }}

-- A check without lines (a file of check totals) gets one line of its own, so that every sale has lines.
with checks as (
    select * from {{ ref('int_sales__checks') }} as c
    where c.outlet_id is not null and {{ touched('c') }}
),

rung_up as (
    select l.*
    from {{ ref('int_unified__check_lines') }} as l
    inner join checks as c
        on c.integration_id = l.integration_id
        and c.check_id = l.check_id
),

lines as (
    select
        l.integration_id,
        l.check_id,
        l.line_id,
        l.line_type,
        l.source_product_id,
        l.product_code,
        l.product_name,
        l.source_category,
        l.quantity,
        l.unit_price,
        coalesce(l.gross_sales, 0) as gross_sales,
        coalesce(l.discounts, 0) as discounts,
        coalesce(l.comps, 0) as comps,
        coalesce(l.returns, 0) as returns,
        l.discount_name,
        l.source_channel,
        coalesce(l.is_voided, false) as is_voided
    from rung_up as l

    union all

    select
        c.integration_id,
        c.check_id,
        'check' as line_id,
        'item' as line_type,
        null as source_product_id,
        null as product_code,
        null as product_name,
        null as source_category,
        case c.check_type when 'refund' then -1 else 1 end as quantity,
        c.source_gross_sales as unit_price,
        c.source_gross_sales as gross_sales,
        c.source_discounts as discounts,
        c.source_comps as comps,
        c.source_returns as returns,
        null as discount_name,
        null as source_channel,
        false as is_voided
    from checks as c
    where not exists (
        select 1
        from rung_up as l
        where l.integration_id = c.integration_id and l.check_id = c.check_id
    )
),

mapped as (
    select
        l.*,
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
        c.is_voided or l.is_voided as is_void,
        coalesce(channels.canonical, 'unmapped') as channel,
        {{ code("coalesce(l.source_channel, nullif(c.channel_code, '(blank)'))") }} as channel_code,
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
    inner join checks as c
        on c.integration_id = l.integration_id
        and c.check_id = l.check_id
    left join {{ ref('int_mapping__codes') }} as channels
        on channels.domain = 'channel'
        and channels.vendor = c.vendor
        and channels.source_code = {{ code("coalesce(l.source_channel, nullif(c.channel_code, '(blank)'))") }}
        and c.business_date between channels.valid_from and channels.valid_to
    left join {{ ref('int_mapping__codes') }} as categories
        on categories.domain = 'category'
        and categories.vendor = c.vendor
        and categories.source_code = {{ code('l.source_category') }}
        and c.business_date between categories.valid_from and categories.valid_to
    left join {{ ref('int_mapping__codes') }} as discounts
        on discounts.domain = 'discount'
        and discounts.vendor = c.vendor
        and discounts.source_code = {{ code('l.discount_name') }}
        and c.business_date between discounts.valid_from and discounts.valid_to
    left join {{ ref('int_mapping__product_costs') }} as costs
        on costs.entity_id = c.entity_id
        and costs.product_code = l.product_code
        and c.business_date between costs.valid_from and costs.valid_to
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
