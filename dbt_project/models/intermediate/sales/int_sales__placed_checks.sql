-- The checks that count, at their outlet and business date. A check of an outlet or an integration that configuration does
-- not know has neither: it stands in mapping_exceptions and nowhere else. Checks of a stand-in (totals entered or files
-- uploaded while a till's integration was down) count in the place of the till's own until those of the day are complete,
-- and never beside them.
select c.*
from {{ ref('int_sales__located_checks') }} as c
left join {{ ref('int_sales__stand_ins') }} as s
    on s.outlet_id = c.outlet_id
    and s.business_date = c.business_date
where s.outlet_id is null or c.stands_in <> s.is_replaced
