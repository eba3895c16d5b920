{{ union_vendors('checks') }}
