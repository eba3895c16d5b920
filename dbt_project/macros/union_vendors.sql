{#
  One unified entity over the vendors that supply it (`vars.vendors`) and that the company uses (C4_VENDORS, a list
  with commas; all where it is not set), with the columns and types of the contract.

  A vendor feeds an entity by having the model `stg_<slug>__<entity>` with at least these columns; a missing column
  or a value that does not fit its type fails the build here, before it can reach a mart. Only what
  `optional_columns` names may be missing: it is null then.

  With `dataset` each row begins with a column of that name: the raw schema of its vendor.
#}
{% macro union_vendors(entity, dataset=false) -%}
{%- set columns = unified_columns(entity) -%}
{%- for slug in vendors_with(entity) %}
{%- set relation = ref('stg_' ~ slug ~ '__' ~ entity) -%}
{%- set absent = [] -%}
{%- if execute and optional_columns(entity) -%}
  {%- set present = adapter.get_columns_in_relation(relation) | map(attribute='name') | list -%}
  {%- for name in optional_columns(entity) if name not in present -%}
    {%- do absent.append(name) -%}
  {%- endfor -%}
{%- endif %}
select
  {%- if dataset %}
  cast('raw_{{ slug }}' as varchar) as dataset,
  {%- endif %}
  {%- for name, type in columns.items() %}
  cast({{ 'null' if name in absent else name }} as {{ type }}) as {{ name }}{{ "," if not loop.last }}
  {%- endfor %}
from {{ relation }}
{{ "union all" if not loop.last }}
{%- else %}
select
  {%- if dataset %}
  cast(null as varchar) as dataset,
  {%- endif %}
  {%- for name, type in columns.items() %}
  cast(null as {{ type }}) as {{ name }}{{ "," if not loop.last }}
  {%- endfor %}
where 1 = 0
{%- endfor %}
{%- endmacro %}


{# Names of the vendors that supply an entity and that the company uses. #}
{% macro vendors_with(entity) -%}
{%- set used = env_var('C4_VENDORS', '').split(',') -%}
{%- set slugs = [] -%}
{%- for slug, entities in var('vendors').items() if entity in entities and (used == [''] or slug in used) -%}
  {%- do slugs.append(slug) -%}
{%- endfor -%}
{{ return(slugs) }}
{%- endmacro %}


{# Columns that not every vendor can tell. #}
{% macro optional_columns(entity) -%}
{{ return({'pos_control_totals': ['read_until']}.get(entity, [])) }}
{%- endmacro %}


{# The unified model: column -> type, per entity. docs/architecture.md says what each column means. #}
{% macro unified_columns(entity) -%}
{%- set text = 'varchar' -%}
{%- set amount = 'decimal(18, 4)' -%}
{%- set instant = 'timestamp with time zone' -%}
{%- set entities = {
  'checks': {
    'integration_id': text, 'check_id': text, 'check_number': text, 'check_type': text, 'refunded_check_id': text,
    'source_outlet_id': text, 'opened_at': instant, 'closed_at': instant, 'source_business_date': 'date',
    'source_channel': text, 'is_voided': 'boolean', 'covers': 'bigint', 'gross_sales': amount, 'discounts': amount,
    'comps': amount, 'returns': amount, 'net_sales': amount, 'service_charge': amount, 'tax': amount, 'tip': amount,
    'rounding': amount, 'bill_total': amount, 'source_currency': text, 'staff_ref': text, 'updated_at': instant,
    'c4_seq': 'bigint',
  },
  'check_lines': {
    'integration_id': text, 'check_id': text, 'line_id': text, 'line_type': text, 'source_product_id': text,
    'product_code': text, 'product_name': text, 'source_category': text, 'quantity': amount, 'unit_price': amount,
    'gross_sales': amount, 'discounts': amount, 'comps': amount, 'returns': amount, 'net_sales': amount,
    'discount_name': text, 'source_channel': text, 'is_voided': 'boolean',
  },
  'check_payments': {
    'integration_id': text, 'check_id': text, 'payment_id': text, 'source_tender': text, 'amount': amount,
    'tip': amount, 'paid_at': instant,
  },
  'check_taxes': {
    'integration_id': text, 'check_id': text, 'tax_id': text, 'tax_name': text, 'rate': 'decimal(18, 6)',
    'taxable_amount': amount, 'amount': amount,
  },
  'check_modifiers': {
    'integration_id': text, 'check_id': text, 'line_id': text, 'modifier_id': text, 'modifier_name': text,
    'option_name': text, 'amount': amount,
  },
  'products': {
    'integration_id': text, 'source_product_id': text, 'product_code': text, 'product_name': text,
    'source_category': text, 'list_price': amount, 'is_deleted': 'boolean',
  },
  'pos_control_totals': {
    'integration_id': text, 'source_outlet_id': text, 'control_date': 'date', 'basis': text, 'measure': text,
    'amount': amount, 'read_until': instant,
  },
  'employees': {
    'integration_id': text, 'employee_id': text, 'source_outlet_id': text, 'job_title': text, 'department': text,
    'manager_id': text, 'employment_status': text, 'hired_on': 'date', 'left_on': 'date',
  },
  'punches': {
    'integration_id': text, 'punch_id': text, 'employee_id': text, 'work_date': 'date', 'started_at': instant,
    'ended_at': instant, 'hours': amount, 'is_approved': 'boolean', 'updated_at': instant,
  },
  'time_off': {
    'integration_id': text, 'request_id': text, 'employee_id': text, 'start_date': 'date', 'end_date': 'date',
    'kind': text, 'hours': amount, 'status': text,
  },
  'gl_accounts': {
    'integration_id': text, 'account_code': text, 'account_name': text, 'statement': text, 'normal_side': text,
    'is_active': 'boolean',
  },
  'gl_lines': {
    'integration_id': text, 'entity_id': text, 'document_id': text, 'line_id': text, 'posting_date': 'date',
    'account_code': text, 'source_outlet_id': text, 'amount': amount, 'currency': text, 'reference': text,
    'text': text, 'is_reversed': 'boolean',
  },
  'budget_lines': {
    'integration_id': text, 'account_code': text, 'source_outlet_id': text, 'month': 'date', 'amount': amount,
  },
  'counterparties': {
    'integration_id': text, 'counterparty_id': text, 'counterparty_name': text, 'is_supplier': 'boolean',
    'is_active': 'boolean',
  },
  'cost_centers': {
    'integration_id': text, 'source_outlet_id': text, 'name': text, 'valid_from': 'date', 'valid_to': 'date',
  },
  'stock_movements': {
    'integration_id': text, 'document_id': text, 'line_id': text, 'source_outlet_id': text, 'material': text,
    'movement': text, 'quantity': amount, 'unit': text, 'amount': amount, 'posting_date': 'date',
  },
  'journal_readback': {
    'integration_id': text, 'reference': text, 'external_id': text, 'target_account': text, 'amount': amount,
    'posting_date': 'date', 'is_live': 'boolean',
  },
} -%}
{%- if entity not in entities -%}
  {{ exceptions.raise_compiler_error("unknown unified entity '" ~ entity ~ "'; known: " ~ entities.keys() | join(', ')) }}
{%- endif -%}
{{ return(entities[entity]) }}
{%- endmacro %}
