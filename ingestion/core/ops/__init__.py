"""The ops database: credentials, runs, watermarks, rejects, audit, files, the journal outbox and incidents."""
