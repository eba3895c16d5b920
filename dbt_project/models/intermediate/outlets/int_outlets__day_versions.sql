{{
  config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['outlet_id', 'business_date'],
    full_refresh=false,
    on_schema_change='append_new_columns'
  )
}}

-- What each outlet-day was made of when it last changed: a fingerprint of everything that the by_day models read for it,
-- and a version, one higher for all the days that a build finds changed. A by_day model makes the days above the version
-- that it has. Content is compared, not deliveries or times: a record that arrives again as it was touches nothing, and
-- one that was edited, voided, moved to another date, taken back by the vendor, mended or mapped anew touches the days it
-- leaves and the days it enters. A day that is gone keeps its row, without a fingerprint. Never built anew: versions
-- that began again would hide changes. `first_delivery` and `last_delivery` are those of the day's checks: models
-- that read staging for a day need none outside of them.
-- Of an entity it has what those models read: a period that is locked, or a new approval limit, changes no fact.
{%- set entity_rules = ['e.tax_comps', 'e.service_charge_policy'] %}
-- Spans of dates with what configuration says about a vendor's codes and an entity's costs and accounts.
with configured as (
    select 'vendor' as scope, vendor as name, valid_from, valid_to,
        {{ row_hash(['domain', 'source_code', 'canonical']) }} as content
    from {{ ref('int_mapping__codes') }}
    where domain <> 'job'
    union all
    select 'entity', entity_id, valid_from, valid_to, {{ row_hash(['product_code', 'category_group', 'unit_cost']) }}
    from {{ ref('int_mapping__product_costs') }}
    union all
    select 'entity', entity_id, valid_from, valid_to, {{ row_hash(['kind', 'key1', 'key2', 'account_code']) }}
    from {{ ref('dim_account_mapping') }}
),

-- The sum of the spans that hold from one change of configuration to the next.
settings as (
    select
        scope,
        name,
        changed_on as valid_from,
        coalesce(lead(changed_on) over (partition by scope, name order by changed_on) - 1, date '9999-12-31') as valid_to,
        sum(content) over (partition by scope, name order by changed_on) as content
    from (
        select scope, name, changed_on, sum(content) as content
        from (
            select scope, name, valid_from as changed_on, content from configured
            union all
            select scope, name, valid_to + 1, -content from configured where valid_to < date '9999-12-31'
        ) as changes
        group by scope, name, changed_on
    ) as steps
),

checks as (
    select
        d.outlet_id, d.business_date, d.vendor, sum(d.content) as content,
        min(d.first_delivery) as first_delivery, max(d.last_delivery) as last_delivery
    from {{ ref('int_sales__placed_days') }} as d
    left join {{ ref('int_sales__stand_ins') }} as s
        on s.outlet_id = d.outlet_id
        and s.business_date = d.business_date
    where d.outlet_id is not null and (s.outlet_id is null or d.stands_in <> s.is_replaced)
    group by d.outlet_id, d.business_date, d.vendor
),

sales as (
    select
        c.outlet_id,
        c.business_date,
        sum({{ row_hash(['c.vendor', 'c.content']) }}) + sum(coalesce(s.content, 0)) as content,
        min(c.first_delivery) as first_delivery,
        max(c.last_delivery) as last_delivery
    from checks as c
    left join settings as s
        on s.scope = 'vendor'
        and s.name = c.vendor
        and c.business_date between s.valid_from and s.valid_to
    group by c.outlet_id, c.business_date
),

shifts as (
    select outlet_id, business_date, sum({{ row_hash('p') }}) as content
    from {{ ref('fct_punches') }} as p
    group by outlet_id, business_date
),

counts as (
    select outlet_id, business_date, sum({{ row_hash('k') }}) as content
    from {{ source('raw_c4', 'cash_counts') }} as k
    group by outlet_id, business_date
),

found as (
    select
        d.outlet_id,
        d.business_date,
        concat_ws(
            ' ',
            cast({{ row_hash('d') }} + {{ row_hash(entity_rules) }} + coalesce(s.content, 0) + dayparts.content as varchar),
            cast(sales.content as varchar),
            'shifts ' || cast(shifts.content as varchar),
            'counts ' || cast(counts.content as varchar)
        ) as fingerprint,
        sales.first_delivery,
        sales.last_delivery
    from {{ ref('dim_outlet_dates') }} as d
    inner join {{ ref('dim_entities') }} as e
        on e.entity_id = d.entity_id
    left join settings as s
        on s.scope = 'entity'
        and s.name = d.entity_id
        and d.business_date between s.valid_from and s.valid_to
    left join sales
        on sales.outlet_id = d.outlet_id
        and sales.business_date = d.business_date
    left join shifts
        on shifts.outlet_id = d.outlet_id
        and shifts.business_date = d.business_date
    left join counts
        on counts.outlet_id = d.outlet_id
        and counts.business_date = d.business_date
    cross join (select coalesce(sum({{ row_hash('h') }}), 0) as content from {{ ref('int_sales__dayparts') }} as h) as dayparts
)

{% if is_incremental() -%}
{#- a ledger of an earlier version has no such columns -#}
{%- set columns = adapter.get_columns_in_relation(this) | map(attribute='name') -%}
{%- set deliveries = 'known.first_delivery, known.last_delivery' if 'last_delivery' in columns else 'cast(null as bigint), cast(null as bigint)' -%}
select
    coalesce(f.outlet_id, known.outlet_id) as outlet_id,
    coalesce(f.business_date, known.business_date) as business_date,
    f.fingerprint,
    case when f.fingerprint is distinct from known.fingerprint then last_build.version + 1 else known.version end as version,
    f.first_delivery,
    f.last_delivery
from found as f
full outer join {{ this }} as known
    on known.outlet_id = f.outlet_id
    and known.business_date = f.business_date
cross join (select coalesce(max(version), 0) as version from {{ this }}) as last_build
where f.fingerprint is distinct from known.fingerprint or (f.first_delivery, f.last_delivery) is distinct from ({{ deliveries }})
{%- else -%}
select outlet_id, business_date, fingerprint, cast({{ first_version() }} as bigint) as version, first_delivery, last_delivery from found
{%- endif %}
