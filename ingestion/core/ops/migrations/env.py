"""Alembic's environment: migrates over the connection that `ingestion.core.ops.db` hands over."""

from alembic import context

from ingestion.core.ops.models import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    transactional_ddl=True,
    user_module_prefix="models.",
)
with context.begin_transaction():
    context.run_migrations()
