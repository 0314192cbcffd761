"""Alembic's entry: runs the migrations on the connection that :func:`relay.store.schema.upgrade` hands in."""

from alembic import context

from relay.store.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
