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
{{ is_touched(alias ~ '.') }}
{%- endif -%}
{%- endmacro %}

{# The same of the columns of a statement that reads one table alone. #}
{% macro is_touched(prefix='') -%}
{{ is_of_days(prefix, touched_table()) }}
{%- endmacro %}

{# The temporary table of those days, or another one beside it. #}
{% macro touched_table(kind='touched') -%} {{ model.name }}__{{ kind }} {%- endmacro %}


{#
  Names and the like, which a `by_day` model reads of configuration and no day's fingerprint has: these columns of a source.
  Their content is a part of the query's text, so that another content has the model made anew.
#}
{% macro remade_with(relation, columns) -%}
{%- if execute and model.resource_type == 'model' and load_relation(relation) is not none -%}
/* {{ run_query('select sum(' ~ row_hash(columns) ~ ') from ' ~ relation).columns[0].values()[0] }} */
{%- endif -%}
{%- endmacro %}


{# The condition that a row is of one of some outlet-days, which `days` has: a table, or a query in brackets. #}
{% macro is_of_days(prefix, days) -%}
{{ adapter.dispatch('is_of_days', 'c4')(prefix, days) }}
{%- endmacro %}

{# Lowest and highest dates are passed down to the scan. #}
{% macro duckdb__is_of_days(prefix, days) -%}
({{ prefix }}outlet_id, {{ prefix }}business_date) in (select outlet_id, business_date from {{ days }} as days)
{%- endmacro %}

{#
  Builds join by passes over tables (PLANS of assets/dbt.py). So that no pass is over all of history, the dates alone,
  which are known before, choose the months and what is read of them.
#}
{% macro postgres__is_of_days(prefix, days) -%}
{%- set date = prefix ~ 'business_date' -%}
({{ date }} >= (select min(business_date) from {{ days }} as days)
    and {{ date }} <= (select max(business_date) from {{ days }} as days)
    and {{ date }} = any(array(select distinct business_date from {{ days }} as days))
    and {{ duckdb__is_of_days(prefix, days) }})
{%- endmacro %}
