{{ union_vendors('stock_movements') }}
