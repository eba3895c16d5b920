{{ union_vendors('check_lines') }}
