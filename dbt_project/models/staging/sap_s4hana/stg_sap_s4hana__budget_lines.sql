-- Planned amounts by month, turned positive in the account's normal direction (plans are signed like actuals: income
-- negative). An account that none of ours is mapped to counts as a debit account. The fiscal year is the calendar year;
-- special periods (013 to 016) belong to December.
with plan as (
    select
        *,
        row_number() over (
            partition by integration_id, ledger_fiscal_year, fiscal_period, gl_account, cost_center
            order by c4_seq desc
        ) as newest
    from {{ source('raw_sap_s4hana', 'budget') }}
),

monthly as (
    select
        integration_id,
        ltrim(gl_account, '0') as account_code,
        cost_center,
        make_date(cast(ledger_fiscal_year as integer), least(cast(fiscal_period as integer), 12), 1) as month,
        sum(amount_in_company_code_currency) as amount
    from plan
    where newest = 1
    group by integration_id, ltrim(gl_account, '0'), cost_center, ledger_fiscal_year, least(cast(fiscal_period as integer), 12)
)

select
    monthly.integration_id,
    monthly.account_code,
    nullif(monthly.cost_center, '') as source_outlet_id,
    monthly.month,
    cast(
        case when accounts.normal_side = 'C' then -monthly.amount else monthly.amount end as decimal(18, 4)
    ) as amount
from monthly
left join {{ ref('stg_sap_s4hana__gl_accounts') }} as accounts
    on monthly.integration_id = accounts.integration_id
    and monthly.account_code = accounts.account_code
