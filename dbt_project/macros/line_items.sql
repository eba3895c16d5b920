{# The lines of a check as the list that the transaction feed publishes; an aggregate over fct_check_lines. #}
{% macro line_items() -%}
  {{ return(adapter.dispatch('line_items', 'c4')()) }}
{%- endmacro %}

{% macro duckdb__line_items() -%}
list({
  'product_id': coalesce(product_code, ''),
  'product_name': coalesce(product_name, ''),
  'category': category_group,
  'quantity': quantity,
  'unit_price': {{ unit_price_of_line() }},
  'revenue': net_sales
} order by line_id)
{%- endmacro %}

{% macro default__line_items() -%}
jsonb_agg(jsonb_build_object(
  'product_id', coalesce(product_code, ''),
  'product_name', coalesce(product_name, ''),
  'category', category_group,
  'quantity', quantity,
  'unit_price', {{ unit_price_of_line() }},
  'revenue', net_sales
) order by line_id)
{%- endmacro %}

{# Menu price of one unit in functional currency, before reductions. #}
{% macro unit_price_of_line() -%}
coalesce({{ divide('gross_sales - returns', 'quantity', 4) }}, 0)
{%- endmacro %}
