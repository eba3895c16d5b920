{{ union_vendors('punches') }}
