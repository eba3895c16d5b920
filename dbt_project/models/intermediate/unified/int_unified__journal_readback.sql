{{ union_vendors('journal_readback') }}
