{# Wall-clock time at a place (timestamp without zone) of an instant. `timezone` is an IANA zone name expression. #}
{% macro local_timestamp(instant, timezone) -%}
(({{ instant }}) at time zone ({{ timezone }}))
{%- endmacro %}


{# The instant of a wall-clock time (text or timestamp without zone) at a place: the inverse of local_timestamp. #}
{% macro instant_at(wall_time, timezone) -%}
((cast({{ wall_time }} as timestamp)) at time zone ({{ timezone }}))
{%- endmacro %}


{# The instant (timestamp with time zone) at which a business date begins at a place: its cut-off, local time. #}
{% macro business_day_start(business_date, cutoff, timezone) -%}
(({{ business_date }} + cast({{ cutoff }} as time)) at time zone ({{ timezone }}))
{%- endmacro %}


{# The calendar date in UTC of an instant. #}
{% macro utc_date(instant) -%}
cast(({{ instant }}) at time zone 'UTC' as date)
{%- endmacro %}


{# The first day of the month of a date. #}
{% macro month_of(day) -%}
cast(date_trunc('month', {{ day }}) as date)
{%- endmacro %}


{# One row per date from `first` to `last`, both inclusive; stands alone in a select list. #}
{% macro each_date(first, last) -%}
  {{ return(adapter.dispatch('each_date', 'c4')(first, last)) }}
{%- endmacro %}

{% macro duckdb__each_date(first, last) -%}
cast(unnest(generate_series({{ first }}, {{ last }}, interval '1 day')) as date)
{%- endmacro %}

{% macro default__each_date(first, last) -%}
cast(generate_series({{ first }}, {{ last }}, interval '1 day') as date)
{%- endmacro %}


{# An instant as ISO 8601 text in UTC, to the second, ending in Z. #}
{% macro iso_utc(instant) -%}
  {{ return(adapter.dispatch('iso_utc', 'c4')(instant)) }}
{%- endmacro %}

{% macro duckdb__iso_utc(instant) -%}
strftime(({{ instant }}) at time zone 'UTC', '%Y-%m-%dT%H:%M:%SZ')
{%- endmacro %}

{% macro default__iso_utc(instant) -%}
to_char(({{ instant }}) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
{%- endmacro %}
