{#
  The child rows whose root row still carries the same delivery: a subquery over every column of `child`.

  Raw keeps what a vendor once sent. A child row counts only while its root has the same integration, the same key
  and the same `c4_seq`, so lines that the vendor removed and older deliveries drop out.
  `keys` maps the child's column to the root's, e.g. {'root_id': 'id'}.
#}
{% macro current_children(child, root, keys) -%}
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
{%- endmacro %}
