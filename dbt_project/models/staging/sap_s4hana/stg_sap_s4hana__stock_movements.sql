-- Goods movements by plant. Receipts into stock, issues and waste out of it are positive, what reverses them negative;
-- transfers carry the sign of the stock. A posted count difference moves the book value like a transfer: the counted
-- value itself is in SAP's physical inventory documents, which are not read.
with items as (
    select
        *,
        case
            when goods_movement_type in ('101', '102', '122', '123', '161', '162', '561', '562') then 'receipt'
            when left(goods_movement_type, 2) in ('20', '22', '26', '60') then 'issue'
            when left(goods_movement_type, 2) = '55' then 'waste'
            when left(goods_movement_type, 1) in ('3', '4', '7') then 'transfer'
            else 'type ' || goods_movement_type
        end as movement
    from {{ current_children(source('raw_sap_s4hana', 'material_document_items'), source('raw_sap_s4hana', 'material_documents')) }} as current_items
),

signed as (
    select
        *,
        case debit_credit_code when 'S' then 1 else -1 end
        * case when movement in ('issue', 'waste') then -1 else 1 end as direction
    from items
)

select
    signed.integration_id,
    signed.root_material_document || signed.root_material_document_year as document_id,
    signed.material_document_item as line_id,
    signed.plant as source_outlet_id,
    signed.material,
    signed.movement,
    signed.direction * signed.quantity_in_entry_unit as quantity,
    signed.entry_unit as unit,
    signed.direction * signed.gds_mvt_ext_amt_in_co_code_crcy as amount,
    documents.posting_date
from signed
inner join {{ source('raw_sap_s4hana', 'material_documents') }} as documents
    on signed.integration_id = documents.integration_id
    and signed.root_material_document_year = documents.material_document_year
    and signed.root_material_document = documents.material_document
