-- Taxes of lines and charges, and what refunds gave back of them: Toast tells that per line, in one sum of all taxes.
{%- set checks = ref('stg_toast__current_checks') -%}
{%- set of_check = {'root_guid': 'order_guid', 'check_guid': 'check_guid'} %}
with taxed as (
    select
        integration_id, check_guid, guid, price as base, is_voided and not is_check_voided as is_cancelled,
        refund_guid, refund_amount, tax_refund_amount
    from {{ ref('stg_toast__current_selections') }}
    union all
    select
        integration_id, check_guid, guid, charge_amount as base, false as is_cancelled,
        refund_guid, refund_amount, tax_refund_amount
    from {{ ref('stg_toast__current_charges') }}
),

taxes as (
    select integration_id, check_guid, selection_guid as owner_guid, guid, name, rate, tax_amount
    from {{ current_children(delivered(source('raw_toast', 'selection_taxes')), checks, of_check) }} as t
    union all
    select integration_id, check_guid, charge_guid as owner_guid, guid, name, rate, tax_amount
    from {{ current_children(delivered(source('raw_toast', 'service_charge_taxes')), checks, of_check) }} as t
),

tax_of_owner as (
    select
        integration_id,
        check_guid,
        owner_guid,
        case when count(*) = 1 then max(name) end as name,
        sum(rate) as rate
    from taxes
    group by integration_id, check_guid, owner_guid
)

select
    x.integration_id,
    x.check_guid as check_id,
    x.guid as tax_id,
    x.name as tax_name,
    cast(x.rate as decimal(18, 6)) as rate,
    t.base as taxable_amount,
    x.tax_amount as amount
from taxes as x
inner join taxed as t
    on t.integration_id = x.integration_id
    and t.check_guid = x.check_guid
    and t.guid = x.owner_guid
where not t.is_cancelled
union all
select
    t.integration_id,
    t.refund_guid as check_id,
    t.guid || '-refund' as tax_id,
    o.name as tax_name,
    cast(o.rate as decimal(18, 6)) as rate,
    -t.refund_amount as taxable_amount,
    -t.tax_refund_amount as amount
from taxed as t
left join tax_of_owner as o
    on o.integration_id = t.integration_id
    and o.check_guid = t.check_guid
    and o.owner_guid = t.guid
where t.refund_guid is not null and t.tax_refund_amount <> 0
