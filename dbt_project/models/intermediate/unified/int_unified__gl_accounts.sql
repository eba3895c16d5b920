{{ union_vendors('gl_accounts') }}
