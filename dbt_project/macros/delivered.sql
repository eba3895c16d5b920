{#
  What was delivered from a certain delivery on, and before another one, of a vendor's checks and all that hangs on them: a
  subquery over a raw table. Staging reads checks through it. Without `read_from` and `read_before` that is every delivery.

  Lines and payments carry the delivery of their check (`c4_seq`), so the rows of some checks are among those from the
  first delivery of any of them on, and a model of few and recent checks need not read all of history. A table that is
  read so has `checks: root` or `checks: child` in the meta of its source, the root being the one that has a row of
  every delivery.
#}
{% macro delivered(relation) -%}
(select * from {{ relation }} where {{ adapter.dispatch('is_delivered', 'c4')(relation.schema) }})
{%- endmacro %}

{% macro duckdb__is_delivered(dataset) -%}
c4_seq >= coalesce(
  cast(getvariable('c4_first_delivery_{{ dataset }}') as bigint), cast(getvariable('c4_first_delivery') as bigint), 0
)
and c4_seq < coalesce(cast(getvariable('c4_delivered_before') as bigint), 9223372036854775807)
{%- endmacro %}

{% macro postgres__is_delivered(dataset) -%}
c4_seq >= cast(coalesce(
  nullif(current_setting('c4.first_delivery_{{ dataset }}', true), ''),
  nullif(current_setting('c4.first_delivery', true), ''),
  '0'
) as bigint)
and c4_seq < cast(coalesce(nullif(current_setting('c4.delivered_before', true), ''), '9223372036854775807') as bigint)
{%- endmacro %}


{#
  A statement after which this model alone reads staging from a delivery on, of all vendors or of the one of a raw
  schema: the result of `query`, null for all. It holds for the transaction (Postgres) or the connection (DuckDB), of
  which dbt gives each model one of its own.
#}
{% macro read_from(query, dataset=none) -%}
{{ adapter.dispatch('read_from', 'c4')(query, 'first_delivery' ~ ('_' ~ dataset if dataset else '')) }}
{%- endmacro %}

{% macro duckdb__read_from(query, name) -%} set variable c4_{{ name }} = ({{ query }}) {%- endmacro %}

{% macro postgres__read_from(query, name) -%}
select set_config('c4.{{ name }}', coalesce(cast(({{ query }}) as varchar), ''), true)
{%- endmacro %}


{# The same for an end: no delivery from the result of `query` on is read. #}
{% macro read_before(query) -%} {{ adapter.dispatch('read_from', 'c4')(query, 'delivered_before') }} {%- endmacro %}


{# The same for a live model: from the first delivery that it may show, or of `checks` that it shows. #}
{% macro read_live(checks=none) -%}
{%- if checks is none -%}
{{ read_from('select min(live_since) from ' ~ source('raw_c4', 'group_settings')) }}
{%- else -%}
{{ read_from('select coalesce(min(c4_seq), 9223372036854775807) from ' ~ checks ~ ' where outlet_id is not null') }}
{%- endif -%}
{%- endmacro %}
