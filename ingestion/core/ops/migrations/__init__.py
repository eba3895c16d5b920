"""Alembic migrations of the ops database, run from code by `ingestion.core.ops.db`."""
