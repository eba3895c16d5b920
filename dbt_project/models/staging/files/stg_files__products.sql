-- A sales file lists no products: they are those that were sold, as the latest check names them.
select
    integration_id,
    source_product_id,
    product_code,
    product_name,
    source_category,
    unit_price as list_price,
    false as is_deleted
from (
    select
        l.integration_id,
        coalesce(l.source_product_id, l.product_code, l.product_name) as source_product_id,
        l.product_code,
        l.product_name,
        l.source_category,
        l.unit_price,
        row_number() over (
            partition by l.integration_id, coalesce(l.source_product_id, l.product_code, l.product_name)
            order by c.opened_at desc, l.check_id, l.line_id
        ) as recency
    from {{ ref('stg_files__check_lines') }} as l
    inner join {{ ref('stg_files__checks') }} as c
        on c.integration_id = l.integration_id
        and c.check_id = l.check_id
    where coalesce(l.source_product_id, l.product_code, l.product_name) is not null
) as sold
where recency = 1
