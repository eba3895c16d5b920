{{ config(materialized='by_day') }}

-- The amounts behind the candidate entries, added up once for all that reads them.
{{ journal_amounts(touched('f')) }}
