{{ union_vendors('products') }}
