{{ config(materialized='view') }}

select
    transaction_id,
    outlet_id as location_id,
    timestamp,
    line_items,
    payment_method,
    total_amount
from {{ ref('fct_transactions') }}
