-- Lines of manual journals in every status, with what their journal says. `reference` is ours where the narration
-- begins with one. The vendor gives lines no id: they are numbered by what they say, and equal lines are equal.
select
    journals.integration_id,
    journals.manual_journal_id,
    cast(row_number() over (
        partition by journals.integration_id, journals.manual_journal_id
        order by lines.account_code, lines.account_id, lines.line_amount, lines.tax_amount, lines.tracking,
            lines.description
    ) as varchar) as line_id,
    journals.date as posting_date,
    journals.status,
    journals.narration,
    case when left(journals.narration, 17) ~ '^C4[A-Z0-9]{14} $' then left(journals.narration, 16) end as reference,
    coalesce(lines.account_code, lines.account_id) as account_code,
    cast(lines.tracking as json) ->> categories.outlet_category as source_outlet_id,
    cast(
        lines.line_amount - case when journals.line_amount_types = 'Inclusive' then lines.tax_amount else 0 end
        as decimal(18, 4)
    ) as amount,
    cast(
        case when journals.line_amount_types = 'NoTax' then 0 else lines.tax_amount end as decimal(18, 4)
    ) as tax_amount,
    lines.description
from {{ source('raw_xero', 'manual_journals') }} as journals
inner join {{ current_children(source('raw_xero', 'manual_journal_lines'), source('raw_xero', 'manual_journals')) }} as lines
    on lines.integration_id = journals.integration_id
    and lines.root_manual_journal_id = journals.manual_journal_id
left join (
    select integration_id, max(outlet_category) as outlet_category
    from {{ source('raw_xero', 'tracking_categories') }}
    group by integration_id
) as categories
    on categories.integration_id = journals.integration_id
