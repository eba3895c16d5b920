-- Suppliers and customers. An archived contact is not active.
select
    integration_id,
    contact_id as counterparty_id,
    name as counterparty_name,
    is_supplier,
    contact_status = 'ACTIVE' as is_active
from {{ source('raw_xero', 'contacts') }}
