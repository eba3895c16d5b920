{#
  Tells the planner what a table holds, before the models that read it are built. DuckDB needs no telling. A `by_day`
  table is told of by its materialization, which knows what it has touched.
#}
{% macro analyze_table() -%}
  {%- if target.type == 'postgres' and model.config.materialized not in ['view', 'by_day'] -%} analyze {{ this }} {%- endif -%}
{%- endmacro %}
