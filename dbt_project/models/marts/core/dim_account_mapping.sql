{{ config(materialized='table') }}

-- The account of every kind of amount, by entity and span of dates, for all keys that configuration can produce.
-- The most specific row wins: the entity's own, then the first key, then the second. A kind without a key has '*'.
with words as (
    select domain, canonical from {{ source('raw_c4', 'code_mapping') }}
),

categories as (
    select canonical as word from words where domain = 'category'
    union
    select category_group from {{ source('raw_c4', 'product_costs') }}
),

requested as (
    select 'sales' as kind, categories.word as key1, channels.canonical as key2
    from categories
    cross join (select distinct canonical from words where domain = 'channel') as channels
    union
    select kinds.kind, categories.word, '*'
    from categories
    cross join (values ('cogs'), ('inventory')) as kinds (kind)
    union
    select split_part(canonical, ':', 1), split_part(canonical, ':', 2), '*'
    from words where domain = 'discount'
    union
    select kinds.kind, canonical, '*'
    from words
    cross join (values ('tender'), ('settlement_fee'), ('settlement_fee_tax')) as kinds (kind)
    where domain = 'tender'
    union
    select kinds.kind, tender, '*'
    from {{ source('raw_c4', 'settlements') }}
    cross join (values ('tender'), ('settlement_fee'), ('settlement_fee_tax')) as kinds (kind)
    union
    select kinds.kind, canonical, '*'
    from words
    cross join (values ('wages'), ('overtime')) as kinds (kind)
    where domain = 'job'
    union
    select 'tax', tax_jurisdiction, '*' from {{ source('raw_c4', 'outlets') }}
    union
    select 'service_charge', service_charge_policy, '*' from {{ source('raw_c4', 'entities') }}
    union
    select 'paid_out', paid_out_reason, '*' from {{ source('raw_c4', 'cash_counts') }}
    union
    select kind, key1, '*' from (
        values
            ('return', '*'), ('tip', '*'), ('rounding', '*'), ('gift_card_sold', '*'), ('deposit', '*'),
            ('over_short', '*'), ('fx', '*'), ('suspense', '*'), ('accrued_payroll', '*'), ('bank', '*'),
            ('wages', '*'), ('overtime', '*'), ('employer_contribution', '*'), ('net_wages', '*'), ('wage_tax', '*'),
            ('contribution_payable', 'health'), ('contribution_payable', 'employment')
    ) as fixed (kind, key1)
),

candidates as (
    select
        e.entity_id,
        r.kind,
        r.key1,
        r.key2,
        m.account_code,
        case when m.entity_id = '*' then 0 else 4 end
        + case when m.key1 = '*' then 0 else 2 end
        + case when m.key2 = '*' then 0 else 1 end as specificity,
        m.valid_from,
        m.valid_to
    from requested as r
    cross join {{ source('raw_c4', 'entities') }} as e
    inner join {{ source('raw_c4', 'account_mapping') }} as m
        on m.entity_id in (e.entity_id, '*')
        and m.kind = r.kind
        and m.key1 in (r.key1, '*')
        and m.key2 in (r.key2, '*')
)

{{ dated_lookup('candidates', ['entity_id', 'kind', 'key1', 'key2'], ['account_code']) }}
