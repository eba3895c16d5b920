{{ union_vendors('check_taxes') }}
