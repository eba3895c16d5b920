-- Options of the tracking category that stands for outlets. Xero dates neither their beginning nor their end.
select
    options.integration_id,
    options.name as source_outlet_id,
    options.name,
    cast(null as date) as valid_from,
    cast(null as date) as valid_to
from {{ current_children(source('raw_xero', 'tracking_options'), source('raw_xero', 'tracking_categories')) }} as options
inner join {{ source('raw_xero', 'tracking_categories') }} as categories
    on categories.integration_id = options.integration_id
    and categories.tracking_category_id = options.root_tracking_category_id
where categories.name = categories.outlet_category
