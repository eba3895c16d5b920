{#
  The condition that a row of a `by_day` table belongs to an outlet-day which no passed run of this data test has seen as
  it is now. So a night tests what it built, and what earlier nights built whose tests failed or never ran. Of a table
  that was made anew it is every day. `alias` is the table.
#}
{% macro untested(alias) -%}
{%- if not execute -%}
true
{%- else -%}
{%- set held = held_by_test(model) -%}
{%- set passed = passed_tests() -%}
{%- set known = [] -%}
{%- if load_relation(passed) is not none -%}
  {%- set known = run_query('select version from ' ~ passed ~ " where test = '" ~ model.unique_id ~ "' and made = '" ~ held.made ~ "'").rows -%}
{%- endif -%}
{{ is_of_days(alias ~ '.', '(select outlet_id, business_date from ' ~ ledger_of_days() ~ ' where version > ' ~ (known[0][0] if known else -1) ~ ')') }}
{%- endif -%}
{%- endmacro %}


{# At the end of a run: which tests passed, and up to which version of the outlet-days. #}
{% macro remember_passed(results) -%}
{%- set rows = [] -%}
{%- set names = [] -%}
{%- for result in results if execute and result.node.resource_type == 'test' and result.status == 'pass' -%}
  {%- set held = held_by_test(result.node) -%}
  {%- if held.made -%}
    {%- do names.append("'" ~ result.node.unique_id ~ "'") -%}
    {%- do rows.append("('" ~ result.node.unique_id ~ "', '" ~ held.made ~ "', " ~ held.version ~ ')') -%}
  {%- endif -%}
{%- endfor -%}
{%- if rows -%}
create table if not exists {{ passed_tests() }} (test varchar, made varchar, version bigint);
delete from {{ passed_tests() }} where test in ({{ names | join(', ') }});
insert into {{ passed_tests() }} values {{ rows | join(', ') }};
{%- endif -%}
{%- endmacro %}


{# What the by_day tables that a test reads hold: `made`, empty where there is none or one does not tell, and `version`. #}
{% macro held_by_test(test) -%}
  {%- set states = [] -%}
  {%- for parent in by_day_parents(test) -%} {%- do states.append(built_state(parent)) -%} {%- endfor -%}
  {%- if not states or none in states -%} {{ return({'made': '', 'version': -1}) }} {%- endif -%}
  {{ return({'made': states | map(attribute='made') | join(' '), 'version': states | map(attribute='version') | min}) }}
{%- endmacro %}

{% macro passed_tests() -%} {{ return(beside_ledger('passed_tests')) }} {%- endmacro %}

{# Found without `ref`: a test has the tables that it holds for parents, and none besides. #}
{% macro ledger_of_days() -%} {{ return(beside_ledger('int_outlets__day_versions')) }} {%- endmacro %}

{% macro beside_ledger(name) -%}
  {%- set ledger = graph.nodes['model.c4.int_outlets__day_versions'] -%}
  {{ return(api.Relation.create(database=ledger.database, schema=ledger.schema, identifier=name, type='table')) }}
{%- endmacro %}
