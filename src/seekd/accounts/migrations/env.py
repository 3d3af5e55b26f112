"""Runs inside Alembic: hands the open connection of `accounts.migrate` to the migrations."""

from alembic import context

from seekd.accounts.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transaction_per_migration=False,
)
context.run_migrations()
