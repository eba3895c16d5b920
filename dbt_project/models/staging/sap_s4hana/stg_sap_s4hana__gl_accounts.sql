-- The chart of accounts. SAP knows no normal side of an account, so it is the one of our account that is mapped to it.
with our_sides as (
    select
        charts.integration_id,
        coalesce(nullif(ltrim(target_accounts.target_account, '0'), ''), accounts.account_code) as account_code,
        -- several of ours on one of theirs: the lowest code tells, as it does wherever accounts are mapped back
        right(min(accounts.account_code || ' ' || accounts.normal_side), 1) as normal_side
    from (select distinct integration_id from {{ source('raw_sap_s4hana', 'gl_accounts') }}) as charts
    cross join {{ source('raw_c4', 'accounts') }} as accounts
    left join {{ source('raw_c4', 'target_accounts') }} as target_accounts
        on charts.integration_id = target_accounts.integration_id
        and accounts.account_code = target_accounts.account_code
    group by
        charts.integration_id,
        coalesce(nullif(ltrim(target_accounts.target_account, '0'), ''), accounts.account_code)
),

-- the language read last, should the setting have changed
texts as (
    select
        *,
        row_number() over (partition by integration_id, chart_of_accounts, gl_account order by c4_seq desc) as newest
    from {{ source('raw_sap_s4hana', 'gl_account_texts') }}
)

select
    gl_accounts.integration_id,
    ltrim(gl_accounts.gl_account, '0') as account_code,
    coalesce(nullif(texts.gl_account_long_name, ''), texts.gl_account_name) as account_name,
    case when gl_accounts.is_balance_sheet_account then 'BS' else 'PL' end as statement,
    our_sides.normal_side,
    not gl_accounts.account_is_marked_for_deletion and not gl_accounts.account_is_blocked_for_posting as is_active
from {{ source('raw_sap_s4hana', 'gl_accounts') }} as gl_accounts
left join texts
    on gl_accounts.integration_id = texts.integration_id
    and gl_accounts.chart_of_accounts = texts.chart_of_accounts
    and gl_accounts.gl_account = texts.gl_account
    and texts.newest = 1
left join our_sides
    on gl_accounts.integration_id = our_sides.integration_id
    and ltrim(gl_accounts.gl_account, '0') = our_sides.account_code
