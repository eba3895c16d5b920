{{ union_vendors('gl_lines') }}
