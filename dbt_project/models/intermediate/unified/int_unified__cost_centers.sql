{{ union_vendors('cost_centers') }}
