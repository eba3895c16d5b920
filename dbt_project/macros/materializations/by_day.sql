{#-
    A large fact, built by outlet-day: rows of the outlet-days whose version (int_outlets__day_versions) is above the one
    that the table was last brought to are deleted and made again, in one transaction that also writes down the version.
    So a build may be killed between any two models, and each goes on from where it stands. A table whose version the
    ledger does not span (the ledger was lost) is made anew.

    What was built is told by the table's own comment, `c4 <code> <version> <made>`: it commits with the rows, moves with
    a backup and goes with the table. `code` is a hash of the compiled query, the views below it, the columns and the
    `code` of the models that it reads; another one, a lost comment or --full-refresh has the table made anew, and `made` is
    the invocation that did so: between two nights of one `made`, days above a version are all that can differ, which is
    what is published (ingestion/core/warehouse). Whatever else such a model reads must be part of a day's fingerprint;
    tests/unit/test_dbt_project.py holds that.

    Days are made some at a time (`outlet_days_at_a_time`), in the order of their dates: what a full build of years needs
    is time, not memory. On DuckDB each of these times is a transaction of its own, for 2.0.0 shows nobody, until the file
    is opened again, what is inserted after an insert of no rows in the same transaction. Nobody reads in between, and a
    build that dies in between is begun anew: the comment is written at the end.

    The model's query selects its days by the macro `touched` and has the columns outlet_id and business_date.
-#}
{%- materialization by_day, default -%}
  {%- set present = load_cached_relation(this) -%}
  {%- set relation = this.incorporate(type='table') -%}
  {%- set ledger = ref('int_outlets__day_versions') -%}
  {%- set built = built_state(this) if present is not none and present.is_table else none -%}
  {%- set codes = [sql] + model.columns.values() | map(attribute='name') | list + model.columns.values() | map(attribute='data_type') | list -%}
  {%- set known = run_query('select coalesce(min(version), 0), coalesce(max(version), 0) from ' ~ ledger).rows[0] -%}
  {%- set versions = [known[1] | int] -%}
  {%- do codes.append(definitions_of(views_read())) -%}
  {%- for parent in by_day_parents(model) -%}
    {%- set state = built_state(parent) -%}
    {%- if state is none -%}
      {{ exceptions.raise_compiler_error(this.identifier ~ " cannot be built: " ~ parent.identifier ~ " does not tell what it holds; build it first") }}
    {%- endif -%}
    {%- do codes.append(state.code) -%}
    {%- do versions.append(state.version) -%}
  {%- endfor -%}
  {%- set code = local_md5(codes | join('\n')) -%}
  {%- set version = versions | min | int -%}
  {%- set whole = should_full_refresh() or built is none or built.code != code or not known[0] <= built.version <= version -%}
  {%- set since = '' if whole else ' where version > ' ~ built.version -%}

  {{ run_hooks(pre_hooks) }}
  {%- call statement('days') -%}
    create temporary table {{ touched_table('days') }} as
    select
      outlet_id,
      business_date,
      cast(floor((row_number() over (order by business_date, outlet_id) - 1) / {{ var('outlet_days_at_a_time') }}.0) as integer) as slice
    from {{ ledger }}{{ since }};
    create temporary table {{ touched_table() }} (outlet_id varchar, business_date date);
  {%- endcall -%}
  {%- set slices = run_query('select coalesce(max(slice) + 1, 0) from ' ~ touched_table('days')).columns[0].values()[0] | int -%}
  {%- for slice in range([slices, 1 if whole else 0] | max) -%}
    {%- call statement('slice') -%}
      delete from {{ touched_table() }};
      insert into {{ touched_table() }} select outlet_id, business_date from {{ touched_table('days') }} where slice = {{ slice }};
      {{ 'analyze ' ~ touched_table() if target.type == 'postgres' }}
    {%- endcall -%}
    {%- if reads_deliveries() -%}
      {%- call statement('from') -%}
        {{ read_from('select coalesce(min(first_delivery), 9223372036854775807) from ' ~ ledger ~ ' where ' ~ is_touched()) }};
        {#- of many slices only: a night reads what came while it was building as well -#}
        {{ read_before('select null' if loop.last else 'select coalesce(max(last_delivery) + 1, 0) from ' ~ ledger ~ ' where ' ~ is_touched()) }}
      {%- endcall -%}
    {%- endif -%}
    {%- call statement('main') -%}
      {{ by_day_sql(relation, present, sql, whole and loop.first) }}
    {%- endcall -%}
    {%- if target.type == 'duckdb' -%} {%- do adapter.commit() -%} {%- endif -%}
  {%- else -%}
    {%- call noop_statement('main', 'NOTHING TOUCHED') -%} {%- endcall -%}
  {%- endfor -%}
  {%- if slices and target.type == 'postgres' -%}
    {%- for told in ([relation] if whole else touched_partitions(relation)) -%}
      {%- call statement('analyze') -%} analyze {{ told }} {%- endcall -%}
    {%- endfor -%}
  {%- endif -%}
  {%- call statement('tell') -%}
    comment on table {{ relation }} is 'c4 {{ code }} {{ version }} {{ invocation_id if whole else built.made }}';
    drop table {{ touched_table() }};
    drop table {{ touched_table('days') }};
  {%- endcall -%}
  {{ run_hooks(post_hooks) }}
  {{ adapter.commit() }}
  {{ return({'relations': [relation]}) }}
{%- endmaterialization -%}


{#- The version at which a new ledger begins: above all that tables tell, should the old one have been lost. -#}
{%- macro first_version() -%}
  {%- set comments = run_query(adapter.dispatch('all_comments', 'c4')()).columns[0].values() if execute else [] -%}
  {%- set versions = [0] -%}
  {%- for comment in comments -%} {%- do versions.append(comment.split()[2] | int) -%} {%- endfor -%}
  {{ return((versions | max) + 1) }}
{%- endmacro -%}

{%- macro duckdb__all_comments() -%}
  select comment from duckdb_tables() where database_name = current_database() and comment like 'c4 %'
{%- endmacro -%}

{%- macro postgres__all_comments() -%}
  select description from pg_description where classoid = 'pg_class'::regclass and objsubid = 0 and description like 'c4 %'
{%- endmacro -%}


{#- The statements that bring the table to the days of `touched_table`: made anew, or those days replaced. -#}
{%- macro by_day_sql(relation, present, sql, whole) -%}
  {%- if whole -%}
    {{ drop_present(present) }}
    {{ create_by_day_table(relation, sql) }}
  {%- else -%}
    {{ make_partitions(relation) }}
    delete from {{ relation }} where {{ is_touched() }};
    {{ insert_by_day(relation, sql) }}
  {%- endif -%}
{%- endmacro -%}

{#- A statement that drops what is there, if anything is. -#}
{%- macro drop_present(present) -%}
  {%- if present is not none and target.type == 'postgres' -%}
    {%- do adapter.drop_relation(present) -%} {#- views go with it, and dbt must know that they did -#}
  {%- elif present is not none -%}
    drop {{ present.type }} if exists {{ present }};
  {%- endif -%}
{%- endmacro -%}

{%- macro insert_by_day(relation, sql) -%}
    {{ get_assert_columns_equivalent(sql) }}
    {%- set columns = model.columns.values() | map(attribute='name') | join(', ') -%}
    insert into {{ relation }} ({{ columns }}) select {{ columns }} from ({{ sql }}) as rows_of_days;
{%- endmacro -%}

{%- macro create_by_day_table(relation, sql) -%}
  {{ return(adapter.dispatch('create_by_day_table', 'c4')(relation, sql)) }}
{%- endmacro -%}

{#- Later days come behind earlier ones by themselves; a table made anew is put in that order. -#}
{%- macro duckdb__create_by_day_table(relation, sql) -%}
  {{ create_table_as(false, relation, 'select * from (' ~ sql ~ ') order by business_date') }}
{%- endmacro -%}

{#- Partitioned by month of business date; the index serves the reading and replacing of days. -#}
{%- macro postgres__create_by_day_table(relation, sql) -%}
    create table {{ relation }} {{ get_table_columns_and_constraints() }} partition by range (business_date);
    create index on {{ relation }} (business_date, outlet_id);
    {{ make_partitions(relation) }}
    {{ insert_by_day(relation, sql) }}
{%- endmacro -%}


{#- The partitions for the months of `touched_table`, in the schema `partitions`: readers look at the table itself. -#}
{%- macro make_partitions(relation) -%}
  {{ return(adapter.dispatch('make_partitions', 'c4')(relation)) }}
{%- endmacro -%}

{%- macro duckdb__make_partitions(relation) -%} {%- endmacro -%}

{%- macro postgres__make_partitions(relation) -%}
  {%- set months -%}
    select distinct date_trunc('month', business_date)::date as first, (date_trunc('month', business_date) + interval '1 month')::date
    from {{ touched_table() }} order by 1
  {%- endset -%}
  {%- for first, next in run_query(months).rows %}
    create table if not exists partitions."{{ relation.schema }}_{{ relation.identifier }}_{{ first.strftime('%Y_%m') }}"
    partition of {{ relation }} for values from ('{{ first }}') to ('{{ next }}');
  {%- endfor %}
{%- endmacro -%}


{#- The partitions with rows of touched days, of which the planner is to be told; the table itself where one is new. -#}
{%- macro touched_partitions(relation) -%}
  {%- set query -%}
    select relname, reltuples < 0 from pg_class
    where relnamespace = 'partitions'::regnamespace and relname in (
      select '{{ relation.schema }}_{{ relation.identifier }}_' || to_char(business_date, 'YYYY_MM') from {{ touched_table('days') }}
    )
  {%- endset -%}
  {%- set found = [] -%}
  {%- for name, is_new in run_query(query).rows -%}
    {%- do found.append(relation if is_new else 'partitions."' ~ name ~ '"') -%}
  {%- endfor -%}
  {{ return([relation] if relation in found else found) }}
{%- endmacro -%}


{#- Whether it reads kept checks or, for the checks of its days, staging: no older deliveries than those of the days. -#}
{%- macro reads_deliveries() -%}
  {%- set read = model.depends_on.nodes -%}
  {%- set of_checks = 'model.c4.int_sales__checks' in read and 'model.c4.int_unified__' in read | join(' ') -%}
  {{ return('model.c4.int_sales__placed_checks' in read or of_checks) }}
{%- endmacro -%}


{#-
    The views that this one reads, and those that they read, whose text is a part of its own; but for those of unified
    records: what they say of a check is in its content.
-#}
{%- macro views_read() -%}
  {%- set found = [] -%}
  {%- set left = namespace(ids=[model.unique_id]) -%}
  {%- for _ in graph.nodes if left.ids -%}
    {%- set parents = [] -%}
    {%- for id in left.ids -%} {%- do parents.extend(graph.nodes[id].depends_on.nodes) -%} {%- endfor -%}
    {%- set left.ids = [] -%}
    {%- for id in parents | unique if graph.nodes.get(id, {}).get('config', {}).get('materialized') == 'view' -%}
      {%- if 'unified' not in graph.nodes[id].fqn and id not in found -%}
        {%- do found.append(id) -%}
        {%- do left.ids.append(id) -%}
      {%- endif -%}
    {%- endfor -%}
  {%- endfor -%}
  {{ return(found) }}
{%- endmacro -%}


{#- The by_day models that a node reads. -#}
{%- macro by_day_parents(node) -%}
  {%- set found = [] -%}
  {%- for parent in node.depends_on.nodes if graph.nodes.get(parent, {}).get('config', {}).get('materialized') == 'by_day' -%}
    {%- set node = graph.nodes[parent] -%}
    {%- do found.append(api.Relation.create(database=node.database, schema=node.schema, identifier=node.alias)) -%}
  {%- endfor -%}
  {{ return(found) }}
{%- endmacro -%}


{#- What a table's comment tells: `code`, `version` and `made`, or none. -#}
{%- macro built_state(relation) -%}
  {%- set words = comment_of(relation).split() -%}
  {{ return({'code': words[1], 'version': words[2] | int, 'made': words[3]} if words | length == 4 and words[0] == 'c4' else none) }}
{%- endmacro -%}

{%- macro comment_of(relation) -%}
  {%- set found = run_query(adapter.dispatch('asks_comment', 'c4')(relation)).columns[0].values() -%}
  {{ return(found[0] or '' if found else '') }}
{%- endmacro -%}

{%- macro duckdb__asks_comment(relation) -%}
  select comment from duckdb_tables()
  where database_name = current_database() and schema_name = '{{ relation.schema }}' and table_name = '{{ relation.identifier }}'
{%- endmacro -%}

{%- macro postgres__asks_comment(relation) -%}
  select obj_description(to_regclass('{{ relation }}'), 'pg_class')
{%- endmacro -%}

{#- Made before any model, because models are built side by side. -#}
{%- macro make_partitions_schema() -%}
  {%- if target.type == 'postgres' -%} create schema if not exists partitions {%- endif -%}
{%- endmacro -%}
