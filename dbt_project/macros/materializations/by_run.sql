{#-
    What is added up of kept checks (int_sales__staged_checks) by the run that delivered them: a build adds up the runs whose
    checks came, changed or went since the last one, in one transaction.

    The ledger of kept checks tells by build which runs that are. Of what else decides where a check lies, a model that
    reads `int_outlets__places` keeps a hash over the business dates that there were: another one has all runs added up
    anew. Later dates can only give a place to checks that had none, and runs with such checks are always added up again.

    What was built is told by the table's comment, `runs <code> <made> <version> <date> <places>`: the hash of the query and
    the views below it, the build that made all kept checks, the last build that is in the table, the last business date
    and the hash of the places.

    The model's query selects its runs by the macro `of_touched_runs` and has the columns dataset and run; one that reads
    places has outlet_id, null for checks without a place.
-#}
{%- materialization by_run, default -%}
  {%- set present = load_cached_relation(this) -%}
  {%- set relation = this.incorporate(type='table') -%}
  {%- set kept = ref('int_sales__staged_checks') -%}
  {%- set ledger = ledger_of_deliveries(kept) -%}
  {%- set made = comment_of(ledger).split()[1] -%}
  {%- set version = run_query('select coalesce(max(version), 0) from ' ~ ledger).columns[0].values()[0] | int -%}
  {%- set placed = 'model.c4.int_outlets__places' in model.depends_on.nodes -%}
  {%- set code = local_md5(sql ~ definitions_of(views_read())) -%}
  {%- set words = comment_of(this).split() if present is not none and present.is_table else [] -%}
  {%- set known = words if words | length == 6 and words[0] == 'runs' else none -%}
  {%- set whole = should_full_refresh() or known is none or known[1] != code or known[2] != made or (placed and places_until(known[4])[1] != known[5]) -%}
  {%- set told = places_until() if placed else ['-', '-'] -%}

  {{ run_hooks(pre_hooks) }}
  {%- call statement('runs') -%}
    create temporary table {{ touched_table('runs') }} as
    select dataset, run from {{ ledger }} where run >= 0
    {%- if whole %}
    group by dataset, run
    {%- else %}
    group by dataset, run having max(version) > {{ known[3] }}
    union
    select dataset, run from {{ this }} where (dataset, run) not in (select dataset, run from {{ ledger }})
      {%- if placed %} or outlet_id is null {%- endif %}
    {%- endif -%}
    {%- for dataset, origin in origins_of_checks().items() if origin.root is none %} {#- of which the ledger has no runs #}
    union
    select dataset, {{ run_of('c4_seq') }} from {{ kept }} where dataset = '{{ dataset }}'
    {%- endfor -%}
  {%- endcall -%}
  {%- set a_run = deliveries_of_a_run() -%}
  {%- if not whole -%}
    {%- call statement('from') -%}
      {{ read_from('select coalesce(min(run), 900000000) * ' ~ a_run ~ ' from ' ~ touched_table('runs')) }};
      {{ read_before('select (coalesce(max(run), 0) + 1) * ' ~ a_run ~ ' from ' ~ touched_table('runs')) }}
    {%- endcall -%}
  {%- endif -%}
  {%- call statement('main') -%}
    {%- if whole %}
    {{ drop_present(present) }}
    {{ create_table_as(false, relation, sql) }};
    {%- else %}
    delete from {{ relation }} where (dataset, run) in (select dataset, run from {{ touched_table('runs') }});
    insert into {{ relation }} select * from ({{ sql }}) as told;
    {%- endif %}
  {%- endcall -%}
  {%- call statement('tell') -%}
    comment on table {{ relation }} is 'runs {{ code }} {{ made }} {{ version }} {{ told | join(" ") }}';
    drop table {{ touched_table('runs') }}
  {%- endcall -%}
  {{ run_hooks(post_hooks) }}
  {{ adapter.commit() }}
  {{ return({'relations': [relation]}) }}
{%- endmaterialization -%}


{#- The condition that a row (dataset, run) is of a run which a `by_run` model adds up now; in unit tests every one is. -#}
{%- macro of_touched_runs() -%}
  {%- if model.resource_type == 'unit_test' -%} true {%- else -%}
  {%- do ref('int_sales__staged_checks') -%}
  (dataset, run) in (select dataset, run from {{ touched_table('runs') }})
  {%- endif -%}
{%- endmacro -%}


{#- The run of a delivery. -#}
{%- macro run_of(delivery) -%} {{ delivery }} {{ '/' if target.type == 'postgres' else '//' }} {{ deliveries_of_a_run() }} {%- endmacro -%}


{#- The last business date of all places, or the given one, and a hash of the places until then. -#}
{%- macro places_until(date=none) -%}
  {%- set places = ref('int_outlets__places') -%}
  {%- set until -%} {{ "cast('" ~ date ~ "' as date)" if date else '(select max(business_date) from ' ~ places ~ ')' }} {%- endset -%}
  {%- set query -%}
    select coalesce(cast(max(business_date) as varchar), '1900-01-01'), cast(coalesce(sum({{ row_hash('p') }}), 0) as varchar)
    from {{ places }} as p
    where business_date <= {{ until }}
  {%- endset -%}
  {{ return(run_query(query).rows[0] | list) }}
{%- endmacro -%}
