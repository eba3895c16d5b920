{{ union_vendors('employees') }}
