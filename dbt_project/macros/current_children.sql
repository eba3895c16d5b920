{#
  The child rows whose root row still carries the same delivery: a subquery over every column of `child`.

  Raw keeps what a vendor once sent. A child row counts only while its root has the same `c4_seq`, so lines that the
  vendor removed and older deliveries drop out. A delivery is one record's, so its number is enough where `root` is the
  raw table of the records. Where it is a part of one (the checks of a day's file, say), `keys` maps the child's columns
  to its own, e.g. {'check_id': 'check_id'}.
#}
{% macro current_children(child, root, keys={}) -%}
{%- if keys -%}
(
  select c.*
  from {{ child }} as c
  inner join {{ root }} as r
    on r.integration_id = c.integration_id
    and r.c4_seq = c.c4_seq
    {%- for child_column, root_column in keys.items() %}
    and r.{{ adapter.quote(root_column) }} = c.{{ adapter.quote(child_column) }}
    {%- endfor %}
)
{%- else -%}
(select * from {{ child }} where c4_seq in (select c4_seq from {{ root }}))
{%- endif -%}
{%- endmacro %}
