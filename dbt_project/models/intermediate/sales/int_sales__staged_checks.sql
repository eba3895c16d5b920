{{ config(materialized='by_delivery') }}

{#- all that is told of a check, but by which delivery it came -#}
{%- set told = [] -%}
{%- for name in unified_columns('checks') if name != 'c4_seq' -%} {%- do told.append('c.' ~ name) -%} {%- endfor %}

-- Checks as staging tells them, kept from build to build, because what was delivered long ago is the greatest part of
-- all. `content` stands for a check with its lines, payments and taxes, which are not kept; a line or payment that a
-- check has twice is counted. `tax_lines` is what its taxes come to, where it has any.
with lines as (
    select
        integration_id,
        check_id,
        sum(content) as content,
        count(*) - count(distinct line_id) as doubled
    from (
        select integration_id, check_id, line_id, {{ row_hash('l') }} as content
        from {{ ref('int_unified__check_lines') }} as l
        {{ hashed_first() }}
    ) as hashed
    group by integration_id, check_id
),

payments as (
    select
        integration_id,
        check_id,
        sum(content) as content,
        count(*) - count(distinct payment_id) as doubled
    from (
        select integration_id, check_id, payment_id, {{ row_hash('p') }} as content
        from {{ ref('int_unified__check_payments') }} as p
        {{ hashed_first() }}
    ) as hashed
    group by integration_id, check_id
),

taxes as (
    select
        integration_id,
        check_id,
        sum(content) as content,
        {{ money('sum(amount)') }} as amount
    from (
        select integration_id, check_id, amount, {{ row_hash('t') }} as content
        from {{ ref('int_unified__check_taxes') }} as t
        {{ hashed_first() }}
    ) as hashed
    group by integration_id, check_id
)

select
    c.*,
    {{ row_hash(told) }} + coalesce(l.content, 0) + coalesce(p.content, 0) + coalesce(t.content, 0) as content,
    t.amount as tax_lines,
    coalesce(l.doubled, 0) as doubled_lines,
    coalesce(p.doubled, 0) as doubled_payments
from ({{ union_vendors('checks', dataset=true) }}) as c
left join lines as l
    on l.integration_id = c.integration_id
    and l.check_id = c.check_id
left join payments as p
    on p.integration_id = c.integration_id
    and p.check_id = c.check_id
left join taxes as t
    on t.integration_id = c.integration_id
    and t.check_id = c.check_id
