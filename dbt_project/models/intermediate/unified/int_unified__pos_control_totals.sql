{{ union_vendors('pos_control_totals') }}
