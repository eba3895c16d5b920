-- Suppliers. A natural person has no name here.
select
    integration_id,
    ltrim(supplier, '0') as counterparty_id,
    supplier_name as counterparty_name,
    true as is_supplier,
    deletion_indicator is not true and posting_is_blocked is not true as is_active
from {{ source('raw_sap_s4hana', 'suppliers') }}
