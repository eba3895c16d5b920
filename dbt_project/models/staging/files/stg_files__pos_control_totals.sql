-- What the current reading of each file adds up to by its own cells; a day in several files is the sum of them.
select
    integration_id,
    outlet as source_outlet_id,
    control_date,
    basis,
    measure,
    sum(amount) as amount
from {{ current_children(source('raw_files', 'control_totals'), source('raw_files', 'files')) }} as totals
group by integration_id, outlet, control_date, basis, measure
