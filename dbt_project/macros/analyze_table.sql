{# Tells the planner what a new table holds, before the models that read it are built. DuckDB needs no telling. #}
{% macro analyze_table() -%}
  {%- if target.type == 'postgres' and model.config.materialized != 'view' -%} analyze {{ this }} {%- endif -%}
{%- endmacro %}
