select
    integration_id,
    root_check_id as check_id,
    payment_id,
    tender as source_tender,
    amount,
    tip,
    paid_at
from {{ current_children(
    delivered(source('raw_files', 'check_payments')), ref('stg_files__current_checks'), {'root_path': 'path', 'root_check_id': 'check_id'}
) }} as payments
