{# An amount, unit price or quantity as it is stored: exact, four decimals. #}
{% macro money(expression) -%}
cast({{ expression }} as decimal(18, 4))
{%- endmacro %}


{#
  The product of two decimals. DuckDB multiplies two decimal(18) in 64 bits and overflows near 10^10 rupiah, so the
  first factor is widened.
#}
{% macro multiply(left, right) -%}
(cast({{ left }} as decimal(28, 4)) * {{ right }})
{%- endmacro %}


{#
  Rounded half away from zero to a currency's exponent (0 for IDR, 2 for AUD, 3 for KWD). `exponent` is a column.
  Each branch is cast by itself: DuckDB unites decimals of 38 digits at the smallest scale.
#}
{% macro round_to_currency(amount, exponent) -%}
(case {{ exponent }}
  {%- for decimals in [0, 2, 3] %}
  when {{ decimals }} then cast(round({{ amount }}, {{ decimals }}) as decimal(18, 4))
  {%- endfor %}
  else cast(round({{ amount }}, 4) as decimal(18, 4))
end)
{%- endmacro %}


{#
  A local amount in the functional currency of the entity. Foreign amounts are translated at the day's rate and
  rounded at this, the lowest, grain; amounts already in that currency stay exact, fractions included.
  `day` is the alias of a row of dim_outlet_dates.
#}
{% macro translate(amount, day) -%}
case
  when {{ day }}.is_foreign
    then {{ round_to_currency(multiply(amount, day ~ '.exchange_rate'), day ~ '.currency_exponent') }}
  else {{ amount }}
end
{%- endmacro %}


{# One unit of the smallest denomination of a currency: 1 for exponent 0, 0.01 for 2. #}
{% macro currency_unit(exponent) -%}
(case {{ exponent }} when 0 then 1 when 2 then 0.01 when 3 then 0.001 else 0.0001 end)
{%- endmacro %}


{#
  numerator / denominator rounded half away from zero to `scale` decimals, exactly; null when the denominator is 0.
  DuckDB divides decimals as floating point, so there the division is done on integers.
#}
{% macro divide(numerator, denominator, scale=4) -%}
  {{ return(adapter.dispatch('divide', 'c4')(numerator, denominator, scale)) }}
{%- endmacro %}

{% macro duckdb__divide(numerator, denominator, scale) -%}
{%- set above = 'cast(cast(' ~ numerator ~ ' as decimal(38, 4)) * 10000 as hugeint)' -%}
{%- set below = 'cast(cast(' ~ denominator ~ ' as decimal(38, 4)) * 10000 as hugeint)' -%}
case when {{ denominator }} <> 0 then cast(
  cast(
    sign({{ above }}) * sign({{ below }})
    * ((2 * abs({{ above }}) * {{ 10 ** scale }} + abs({{ below }})) // (2 * abs({{ below }})))
    as decimal(38, 0)
  ) * cast({{ '0.' ~ '0' * (scale - 1) ~ '1' if scale else '1' }} as decimal({{ scale + 1 }}, {{ scale }}))
  as decimal(18, {{ scale }})
) end
{%- endmacro %}

{% macro default__divide(numerator, denominator, scale) -%}
case when {{ denominator }} <> 0
  then cast(round(cast({{ numerator }} as numeric) / ({{ denominator }}), {{ scale }}) as decimal(18, {{ scale }}))
end
{%- endmacro %}


{# Hours at the standard rate of the job with the employer's burden. #}
{% macro labor_amount(weighted_hours) -%}
({{ multiply(weighted_hours, 'cast(hourly_rate as decimal(18, 4))') }} * cast(1 + burden as decimal(10, 6)))
{%- endmacro %}


{# Decimals that a currency is used with (ISO 4217; the rupiah without sen, as in practice). #}
{% macro iso_exponent(currency) -%}
(case
  when {{ currency }} in ('IDR', 'JPY', 'KRW', 'VND', 'CLP', 'PYG', 'UGX', 'XAF', 'XOF', 'XPF', 'ISK') then 0
  when {{ currency }} in ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') then 3
  else 2
end)
{%- endmacro %}
