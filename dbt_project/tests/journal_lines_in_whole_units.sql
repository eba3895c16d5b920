{{ config(meta={'dagster': {'ref': {'name': 'journal_lines'}}}) }}
-- I2: a line of zero, with two sides, or with a fraction of the currency's unit; a target would refuse it.
select l.*
from {{ ref('journal_lines') }} as l
inner join {{ ref('dim_entities') }} as e on e.entity_id = l.entity_id
where (l.debit > 0 and l.credit > 0)
    or l.debit + l.credit <= 0
    or l.debit <> {{ round_to_currency('l.debit', 'e.currency_exponent') }}
    or l.credit <> {{ round_to_currency('l.credit', 'e.currency_exponent') }}
