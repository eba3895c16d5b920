{# Fails with every combination of the columns that occurs more than once in the outlet-days of a by_day model. #}
{% test unique_in_day(model, columns) %}
select {{ columns | join(', ') }}, count(*) as occurrences
from {{ model }} as t
where {{ untested('t') }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}
