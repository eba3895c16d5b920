{{ union_vendors('budget_lines') }}
