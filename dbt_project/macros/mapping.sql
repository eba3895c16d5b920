{# A source system's code as configuration writes it: lower case and trimmed; `(blank)` stands for none. #}
{% macro code(column) -%}
coalesce(nullif(lower(trim({{ column }})), ''), '(blank)')
{%- endmacro %}


{#
  Effective-dated lookup in a mapping with wildcards: for each requested key and each span of dates the values of
  the most specific row; of two equally specific rows the one that begins later. A query of `keys`, `values`,
  `valid_from`, `valid_to`, whose spans of one key never overlap, so that joining facts to it cannot multiply them.

  `candidates` names a CTE of every mapping row that fits a requested key: keys, values, specificity (higher wins),
  valid_from, valid_to. A key or a date that nothing fits has no row: the caller decides what unmapped means.
#}
{% macro dated_lookup(candidates, keys, values) -%}
{%- set key_list = keys | join(', ') -%}
select
  {{ key_list }},
  {{ values | join(', ') }},
  valid_from,
  valid_to
from (
  select
    {% for key in keys %}spans.{{ key }}, {% endfor %}
    {% for value in values %}c.{{ value }}, {% endfor %}
    spans.valid_from,
    spans.valid_to,
    row_number() over (
      partition by {% for key in keys %}spans.{{ key }}, {% endfor %}spans.valid_from
      order by c.specificity desc, c.valid_from desc{% for value in values %}, c.{{ value }}{% endfor %}
    ) as preference
  from (
    select
      {{ key_list }},
      starts_on as valid_from,
      coalesce(
        lead(starts_on) over (partition by {{ key_list }} order by starts_on) - 1,
        date '9999-12-31'
      ) as valid_to
    from (
      select {{ key_list }}, valid_from as starts_on from {{ candidates }}
      union
      select {{ key_list }}, valid_to + 1 as starts_on from {{ candidates }} where valid_to < date '9999-12-31'
    ) as bounds
  ) as spans
  inner join {{ candidates }} as c
    on c.valid_from <= spans.valid_from
    and c.valid_to >= spans.valid_to
    {%- for key in keys %}
    and c.{{ key }} = spans.{{ key }}
    {%- endfor %}
) as ranked
where preference = 1
{%- endmacro %}


{#
  Joins that look up the account of an amount: `m` by its kind and keys, `s` for suspense. `alias` has entity_id and the
  date that `date` names; kind and keys are SQL.
#}
{% macro join_accounts(alias, date, kind, key1="'*'", key2="'*'") -%}
left join {{ ref('dim_account_mapping') }} as m
    on m.entity_id = {{ alias }}.entity_id
    and m.kind = {{ kind }}
    and m.key1 = {{ key1 }}
    and m.key2 = {{ key2 }}
    and {{ alias }}.{{ date }} between m.valid_from and m.valid_to
left join {{ ref('dim_account_mapping') }} as s
    on s.entity_id = {{ alias }}.entity_id
    and s.kind = 'suspense'
    and {{ alias }}.{{ date }} between s.valid_from and s.valid_to
{%- endmacro %}
