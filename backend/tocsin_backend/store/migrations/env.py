"""Alembic's environment: run by Database.migrate with its connection, never from a shell."""

from alembic import context
from sqlmodel import SQLModel
from tocsin_backend.store import tables  # noqa: F401 (its import fills the metadata)

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
