{#-
    Rows of checks as staging tells them, kept from build to build: a build reads what was delivered since the last one,
    and forgets the rows of deliveries that no longer count.

    The model's query is a union over the vendors of `checks` with the columns `dataset` (a vendor's raw schema) and
    `c4_seq`, over staging that reads through `delivered`. A table of deliveries beside it, `<model>__deliveries`, holds
    what the last build saw: the last delivery of every run in each raw table of checks, and a hash of all else that
    staging makes checks of: its own views and the vendor's lists (menus, tenders); also how many deliveries the root had of
    a run, what their numbers came to, and the last build (`version`) in which kept rows of the run came or went, which
    by_run models go by. So
      - a run that is new, or whose records came in two parts, is read, and all that was delivered after it;
      - a record that came again or that the vendor took back has left its delivery, and its rows go;
      - another list (but for `checks_without` in the meta of its source, columns of which no check is made) or another
        view has the vendor's checks read whole, and so are those of a vendor whose raw tables do not say which of them
        are checks (`checks` there). Everybody's are then, in parts, if the vendor has many.
    Another query, a lost table or --full-refresh has everything made anew. All of it is one transaction, but for that on
    DuckDB, where each part is one (as of `by_day`) and the ledger is gone meanwhile; what goes and what comes is found in one
    statement where others may write raw tables meanwhile.
-#}
{%- materialization by_delivery, default -%}
  {%- set present = load_cached_relation(this) -%}
  {%- set relation = this.incorporate(type='table') -%}
  {%- set ledger = ledger_of_deliveries(this) -%}
  {%- set known = load_cached_relation(ledger) -%}
  {%- set code = local_md5(sql ~ 'a ledger of runs, their last deliveries, numbers and sums, and versions') -%}
  {%- set told = comment_of(ledger).split() if known is not none else [] -%}
  {%- set whole = should_full_refresh() or present is none or told | length != 2 or told[0] != code -%}
  {%- set origins = origins_of_checks() -%}

  {{ run_hooks(pre_hooks) }}
  {%- call statement('found') -%}
    create temporary table deliveries__found as {{ deliveries_found(origins) }}
  {%- endcall -%}
  {%- set first = {} if whole else first_deliveries(ledger, origins) -%}
  {%- if are_many(relation, first, origins) -%}
    {%- set whole = true -%}
    {%- set first = {} -%}
  {%- endif -%}
  {%- for dataset, delivery in first.items() -%}
    {%- call statement('from_' ~ dataset) -%} {{ read_from('select ' ~ delivery, dataset) }} {%- endcall -%}
  {%- endfor -%}
  {%- if whole -%}
    {%- call statement('forget') -%} drop table if exists {{ ledger }} {%- endcall -%}
    {{ make_in_parts(relation, present, sql, origins) }}
  {%- else -%}
    {%- call statement('main') -%}
      {{ adapter.dispatch('replace_deliveries', 'c4')(relation, sql, origins, first, ledger) }}
    {%- endcall -%}
  {%- endif -%}
  {%- call statement('tell') -%}
    create temporary table deliveries__told as {{ 'select f.*, 1 as version from deliveries__found as f' if whole else deliveries_told(ledger, first) }};
    drop table if exists {{ ledger }};
    create table {{ ledger }} as select * from deliveries__told;
    comment on table {{ ledger }} is '{{ code }} {{ invocation_id if whole else told[1] }}';
    drop table deliveries__told;
    drop table deliveries__found;
  {%- endcall -%}
  {{ run_hooks(post_hooks) }}
  {{ adapter.commit() }}
  {{ return({'relations': [relation]}) }}
{%- endmaterialization -%}


{#-
    The table anew, some deliveries at a time (`deliveries_at_a_time`): what years of checks, lines and payments need at once
    is memory, or disk for all their joins.
-#}
{%- macro make_in_parts(relation, present, sql, origins) -%}
  {%- call statement('make') -%}
    {{ drop_present(present) }}
    {{ create_table_as(false, relation, 'select * from (' ~ sql ~ ') as told where false') }}
  {%- endcall -%}
  {%- set bounds = [0] -%}
  {%- set roots = origins.values() | map(attribute='root') | reject('none') | list -%}
  {%- set query -%}
    select c4_seq
    from (
      select c4_seq, row_number() over (order by c4_seq) as place
      from ({% for root in roots %}select c4_seq from {{ root }}{{ ' union all ' if not loop.last }}{% endfor %}) as deliveries
    ) as numbered
    where place % {{ var('deliveries_at_a_time') }} = 0
    order by c4_seq
  {%- endset -%}
  {%- if roots -%} {%- do bounds.extend(run_query(query).columns[0].values() | map('int')) -%} {%- endif -%}
  {%- do bounds.append(9223372036854775807) -%}
  {%- if target.type == 'duckdb' -%} {%- do adapter.commit() -%} {%- endif -%}
  {%- for bound in bounds[1:] -%}
    {#- a vendor without a root is read whole each time -#}
    {%- set part -%}
      select * from ({{ sql }}) as told
      where coalesce(c4_seq, 0) >= {{ bounds[loop.index0] }} and coalesce(c4_seq, 0) < {{ bound }}
    {%- endset -%}
    {%- call statement('range') -%}
      {{ read_from('select ' ~ bounds[loop.index0]) }};
      {{ read_before('select ' ~ bound) }}
    {%- endcall -%}
    {%- if target.type == 'duckdb' -%}
      {%- call statement('main') -%} insert into {{ relation }} {{ part }} {%- endcall -%}
      {%- do adapter.commit() -%}
    {%- else -%} {#- a table of its own, because only the query of a new table is run by several processes -#}
      {%- call statement('part') -%} create temporary table deliveries__part as {{ part }} {%- endcall -%}
      {%- call statement('main') -%} insert into {{ relation }} select * from deliveries__part {%- endcall -%}
      {%- call statement('forget') -%} drop table deliveries__part {%- endcall -%}
    {%- endif -%}
  {%- endfor -%}
  {%- if target.type == 'postgres' -%}
    {%- call statement('index') -%}
      create index on {{ relation }} (c4_seq);
      create index on {{ relation }} (dataset, c4_seq)
    {%- endcall -%}
  {%- endif -%}
{%- endmacro -%}


{#-
    What each vendor's checks are made of: dataset -> `root` (a relation or none), `delivered` (raw tables of checks),
    `lists` (other raw tables, and which of their columns no check is made of), `views` (models of staging).
-#}
{%- macro origins_of_checks() -%}
  {%- set origins = {} -%}
  {%- for slug in vendors_with('checks') -%}
    {%- set found = namespace(root=none, delivered=[], lists=[], views=[], left=[]) -%}
    {%- for entity in ['checks', 'check_lines', 'check_payments', 'check_taxes'] -%}
      {%- set id = 'model.' ~ project_name ~ '.stg_' ~ slug ~ '__' ~ entity -%}
      {%- if id in graph.nodes -%} {%- do found.left.append(id) -%} {%- endif -%} {#- not every till tells taxes -#}
    {%- endfor -%}
    {%- for _ in graph.nodes if found.left -%} {#- no more steps than there are models -#}
      {%- for id in found.left if id not in found.views -%} {%- do found.views.append(id) -%} {%- endfor -%}
      {%- set parents = [] -%}
      {%- for id in found.left -%} {%- do parents.extend(graph.nodes[id].depends_on.nodes) -%} {%- endfor -%}
      {%- set found.left = parents | select('in', graph.nodes) | unique | list -%}
    {%- endfor -%}
    {%- set read = [] -%}
    {%- for id in found.views -%} {%- do read.extend(graph.nodes[id].depends_on.nodes) -%} {%- endfor -%}
    {%- for id in read | select('in', graph.sources) | unique | sort -%}
      {%- set node = graph.sources[id] -%}
      {%- set table = api.Relation.create(database=node.database, schema=node.schema, identifier=node.identifier) -%}
      {%- set meta = node.config.meta or node.meta -%}
      {%- if meta.get('checks') == 'root' -%} {%- set found.root = table -%} {%- endif -%}
      {%- if 'checks' in meta -%}
        {%- do found.delivered.append(table) -%}
      {%- else -%}
        {%- do found.lists.append({'table': table, 'without': meta.get('checks_without', [])}) -%}
      {%- endif -%}
    {%- endfor -%}
    {%- do origins.update({'raw_' ~ slug: found}) -%}
  {%- endfor -%}
  {{ return(origins) }}
{%- endmacro -%}


{#- The table of deliveries beside the kept checks; its comment is the code of the query and the build that made all. -#}
{%- macro ledger_of_deliveries(kept) -%}
  {{ return(api.Relation.create(database=kept.database, schema=kept.schema, identifier=kept.identifier ~ '__deliveries', type='table')) }}
{%- endmacro -%}


{#- What was found, with the build in which kept rows of the run came or went last: this one, or what the ledger says. -#}
{%- macro deliveries_told(ledger, first) -%}
    select
      f.*,
      case
        when (f.n, f.total) is distinct from (k.n, k.total) then build.version
    {%- for dataset, delivery in first.items() %}
        when f.dataset = '{{ dataset }}' and f.run >= {{ delivery // (deliveries_of_a_run() | int) }} then build.version
    {%- endfor %}
        else k.version
      end as version
    from deliveries__found as f
    left join {{ ledger }} as k on k.dataset = f.dataset and k.name = f.name and k.run = f.run
    cross join (select coalesce(max(version), 0) + 1 as version from {{ ledger }}) as build
{%- endmacro -%}


{#-
    What there is to read of each vendor: dataset, name, run, content; of a run its last delivery, else run -1 and a hash.
    Of a root's run also n and total, its deliveries and the sum of their numbers.
-#}
{%- macro deliveries_found(origins) -%}
    select
      cast(dataset as varchar) as dataset, cast(name as varchar) as name, cast(run as bigint) as run,
      cast(content as decimal(38, 0)) as content, cast(n as bigint) as n, cast(total as decimal(38, 0)) as total
    from (
      select null as dataset, null as name, 0 as run, 0 as content, 0 as n, 0 as total where 1 = 0
  {%- for dataset, origin in origins.items() -%}
    {%- for table in origin.delivered %}
      union all
      select '{{ dataset }}', '{{ table.identifier }}', run, last, n, total
      from ({{ adapter.dispatch('runs_of', 'c4')(table, is_root=table == origin.root) }}) as runs
    {%- endfor %}
    {%- for list in origin.lists %}
      union all
      select '{{ dataset }}', '{{ list.table.identifier }}', -1, coalesce(sum({{ row_hash(columns_told(**list)) }}), 0), null, null from {{ list.table }}
    {%- endfor %}
      union all
      select '{{ dataset }}', 'staging', -1, {{ row_hash(["cast('" ~ definitions_of(origin.views) ~ "' as varchar)"]) }}, null, null
  {%- endfor %}
    ) as found
{%- endmacro -%}

{%- macro duckdb__runs_of(table, is_root) -%}
    select
      {{ run_of('c4_seq') }} as run, max(c4_seq) as last,
      {{ 'count(*)' if is_root else 'null' }} as n, {{ 'sum(c4_seq)' if is_root else 'null' }} as total
    from {{ table }} group by 1
{%- endmacro -%}

{#- Of a root by a pass over its index on deliveries, else by that index from run to run backwards; no table is read. -#}
{%- macro postgres__runs_of(table, is_root) -%}
  {%- if is_root -%}
    select c4_seq / {{ deliveries_of_a_run() }} as run, max(c4_seq) as last, count(*) as n, sum(c4_seq) as total from {{ table }} group by 1
  {%- else -%}
    with recursive lasts (last) as (
      select max(c4_seq) from {{ table }}
      union all
      select (select max(c4_seq) from {{ table }} where c4_seq < lasts.last / {{ deliveries_of_a_run() }} * {{ deliveries_of_a_run() }})
      from lasts
      where lasts.last is not null
    )
    select last / {{ deliveries_of_a_run() }} as run, last, cast(null as bigint) as n, cast(null as numeric) as total
    from lasts
    where last is not null
  {%- endif -%}
{%- endmacro -%}

{#- Deliveries are numbered by run and record: SEQ_PER_RUN of ingestion/core/load.py. -#}
{%- macro deliveries_of_a_run() -%} 10000000000 {%- endmacro -%}

{#- The columns of a list but for those that a delivery of the same content changes, and those of which no check is made. -#}
{%- macro columns_told(table, without) -%}
  {%- set names = [] -%}
  {%- for column in adapter.get_columns_in_relation(table) if column.name not in without -%}
    {%- if column.name[:3] != 'c4_' and column.name[:5] != '_dlt_' -%} {%- do names.append(adapter.quote(column.name)) -%} {%- endif -%}
  {%- endfor -%}
  {{ return(names) }}
{%- endmacro -%}

{%- macro definitions_of(views) -%}
  {%- if not views -%} {{ return('') }} {%- endif -%}
  {%- set names = [] -%}
  {%- for id in views -%} {%- do names.append("('" ~ graph.nodes[id].schema ~ "', '" ~ graph.nodes[id].alias ~ "')") -%} {%- endfor -%}
  {{ return(local_md5(run_query(adapter.dispatch('definitions', 'c4')(names | join(', '))).columns[0].values() | join('\n'))) }}
{%- endmacro -%}

{%- macro duckdb__definitions(names) -%}
    select sql from duckdb_views()
    where database_name = current_database() and (schema_name, view_name) in ({{ names }})
    order by view_name
{%- endmacro -%}

{%- macro postgres__definitions(names) -%}
    select definition from pg_views where (schemaname, viewname) in ({{ names }}) order by viewname
{%- endmacro -%}


{#-
    Whether a vendor is read whole that has more rows than are made at a time: at once they are disk for the joins of all of
    its history. Parts are no help with one that has no root, which is read whole in every build.
-#}
{%- macro are_many(relation, first, origins) -%}
  {%- set found = namespace(many=false) -%}
  {%- for dataset, delivery in first.items() if delivery == 0 and origins[dataset].root is not none -%}
    {%- set query -%}
      select 1 from {{ relation }} where dataset = '{{ dataset }}' limit 1 offset {{ var('deliveries_at_a_time') }}
    {%- endset -%}
    {%- if run_query(query).rows | length -%} {%- set found.many = true -%} {%- endif -%}
  {%- endfor -%}
  {{ return(found.many) }}
{%- endmacro -%}


{#- From which delivery on each vendor is read again: dataset -> delivery; where nothing is new, one above all. -#}
{%- macro first_deliveries(ledger, origins) -%}
  {%- set first = {} -%}
  {%- set query -%}
    select
      f.dataset,
      case
        when max(case when f.run < 0 and f.content is distinct from k.content then 1 else 0 end) = 1 then 0
        else min(case when f.run >= 0 and (k.content is null or f.content > k.content) then f.run * {{ deliveries_of_a_run() }} end)
      end
    from deliveries__found as f
    left join {{ ledger }} as k on k.dataset = f.dataset and k.name = f.name and k.run = f.run
    group by f.dataset
  {%- endset -%}
  {%- for dataset, delivery in run_query(query).rows -%}
    {%- set rootless = origins[dataset].root is none -%}
    {%- do first.update({dataset: 0 if rootless else 9223372036854775807 if delivery is none else delivery | int}) -%}
  {%- endfor -%}
  {{ return(first) }}
{%- endmacro -%}


{#- The kept rows of a vendor that do not count any longer, or that are read again. -#}
{%- macro gone(origin, dataset, delivery, from=0) -%}
  kept.dataset = '{{ dataset }}'
  {%- if delivery > 0 %}
  and not exists (
    select 1 from {{ origin.root }} as r
    where r.c4_seq = kept.c4_seq and r.c4_seq < {{ delivery }}{{ ' and r.c4_seq >= ' ~ from if from }}
  )
  {%- endif -%}
{%- endmacro -%}

{%- macro duckdb__replace_deliveries(relation, sql, origins, first, ledger) -%}
  {%- for dataset, delivery in first.items() %}
    delete from {{ relation }} as kept where {{ gone(origins[dataset], dataset, delivery) }};
  {%- endfor %}
    insert into {{ relation }} by name select * from ({{ sql }});
{%- endmacro -%}

{#-
    Deliveries only ever leave a run, or come to it above its last one. So the rows of a run are still those that were kept
    if the root has as many deliveries as then and their numbers add up to the same; only other runs, as a rule those of
    the last days, are compared row by row.
-#}
{%- macro postgres__replace_deliveries(relation, sql, origins, first, ledger) -%}
  {%- set columns = adapter.get_columns_in_relation(relation) | map(attribute='quoted') | join(', ') %}
  {%- set a_run = deliveries_of_a_run() %}
    {#- what goes and what comes is found by one statement, because others may write raw tables meanwhile; and kept in a
        table of its own, because only the query of a new table is run by several processes -#}
    create temporary table deliveries__read as
    {{ 'with' if first }}
  {%- for dataset, delivery in first.items() %}
    other_runs_{{ dataset }} as materialized (
      {%- if delivery > 0 %}
      select k.run
      from {{ ledger }} as k
      left join deliveries__found as f on f.dataset = k.dataset and f.name = k.name and f.run = k.run
      where k.dataset = '{{ dataset }}' and k.name = '{{ origins[dataset].root.identifier }}'
        and (k.run >= {{ delivery // (a_run | int) }} or (f.n, f.total) is distinct from (k.n, k.total))
      {%- else %}
      select c4_seq / {{ a_run }} as run from {{ relation }} where dataset = '{{ dataset }}' group by 1
      {%- endif %}
    ){{ ',' if not loop.last }}
  {%- endfor %}
    select {{ columns }}, false as is_gone from ({{ sql }}) as told
  {%- for dataset, delivery in first.items() %}
    union all
    select {{ columns }}, true as is_gone
    from {{ relation }} as kept
    where {{ gone(origins[dataset], dataset, delivery, '(select min(run) * ' ~ a_run ~ ' from other_runs_' ~ dataset ~ ')') }}
      and kept.c4_seq >= (select min(run) * {{ a_run }} from other_runs_{{ dataset }})
      and kept.c4_seq < (select (max(run) + 1) * {{ a_run }} from other_runs_{{ dataset }})
  {%- endfor %};
    delete from {{ relation }} as kept
    where (kept.dataset, kept.c4_seq) in (select dataset, c4_seq from deliveries__read where is_gone)
      and kept.c4_seq >= (select min(c4_seq) from deliveries__read where is_gone)
      and kept.c4_seq <= (select max(c4_seq) from deliveries__read where is_gone);
    insert into {{ relation }} ({{ columns }}) select {{ columns }} from deliveries__read where not is_gone;
    drop table deliveries__read
{%- endmacro -%}
