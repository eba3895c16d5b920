{#
  The condition that a row belongs to an outlet-day which a `by_day` model has to build now: the one way in which such
  models say what was touched. `alias` is a table with outlet_id and business_date.

  The text is the same for a full build and for a single day (see materializations/by_day.sql), so that a hash of the
  compiled query tells whether the model has changed. Unit tests are about rows and build every day they are given.
#}
{% macro touched(alias) -%}
{%- if model.resource_type == 'unit_test' -%}
true
{%- else -%}
{%- do ref('int_outlets__day_versions') -%}
({{ alias }}.outlet_id, {{ alias }}.business_date) in (select outlet_id, business_date from {{ touched_table() }})
{%- endif -%}
{%- endmacro %}

{# The temporary table of those days, or another one beside it. #}
{% macro touched_table(kind='touched') -%} {{ model.name }}__{{ kind }} {%- endmacro %}
