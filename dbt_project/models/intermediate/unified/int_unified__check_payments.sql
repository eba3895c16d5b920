{{ union_vendors('check_payments') }}
