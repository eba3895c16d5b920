{#
  A number that stands for the content of a row, to be summed over rows: equal rows give equal numbers on one engine.
  `of` is the alias of a table, or a list of columns. Up to 64 bits, wide enough to be summed and subtracted.
#}
{% macro row_hash(of) -%}
  {{ return(adapter.dispatch('row_hash', 'c4')(of)) }}
{%- endmacro %}

{% macro duckdb__row_hash(of) -%}
cast(hash({{ of if of is string else of | join(', ') }}) as hugeint)
{%- endmacro %}

{% macro default__row_hash(of) -%}
cast(hash_record_extended({{ of if of is string else 'row(' ~ of | join(', ') ~ ')' }}, 0) as numeric)
{%- endmacro %}


{# The end of a subquery that hashes rows: Postgres then sorts hashes, where it would sort whole rows and hash them later. #}
{% macro hashed_first() -%} {{ 'offset 0' if target.type == 'postgres' }} {%- endmacro %}
