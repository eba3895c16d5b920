-- Monthly amounts of the budgets that are made for exactly one outlet. The overall budget, which has no tracking option,
-- adds them up: counting it too would double them. Of several budgets of one outlet the last changed one holds.
with outlet_budgets as (
    select
        budgets.integration_id,
        budgets.budget_id,
        max(tracking.option) as source_outlet_id,
        max(budgets.updated_date_utc) as updated_at
    from {{ source('raw_xero', 'budgets') }} as budgets
    inner join {{ current_children(source('raw_xero', 'budget_tracking'), source('raw_xero', 'budgets')) }} as tracking
        on tracking.integration_id = budgets.integration_id
        and tracking.root_budget_id = budgets.budget_id
    left join {{ source('raw_xero', 'tracking_categories') }} as categories
        on categories.integration_id = tracking.integration_id
        and categories.name = tracking.name
        and categories.name = categories.outlet_category
    group by budgets.integration_id, budgets.budget_id
    having count(*) = 1 and count(categories.name) = 1
),

ranked as (
    select
        balances.integration_id,
        ltrim(balances.account_code, '0') as account_code,
        outlet_budgets.source_outlet_id,
        balances.period as month,
        balances.amount,
        row_number() over (
            partition by
                balances.integration_id, balances.account_code, outlet_budgets.source_outlet_id, balances.period
            order by outlet_budgets.updated_at desc, outlet_budgets.budget_id
        ) as newest
    from {{ current_children(source('raw_xero', 'budget_balances'), source('raw_xero', 'budgets')) }} as balances
    inner join outlet_budgets
        on outlet_budgets.integration_id = balances.integration_id
        and outlet_budgets.budget_id = balances.root_budget_id
)

select
    integration_id,
    account_code,
    source_outlet_id,
    month,
    amount
from ranked
where newest = 1
