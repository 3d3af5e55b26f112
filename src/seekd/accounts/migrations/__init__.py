"""Alembic migrations of the books; `accounts.migrate` runs them at start."""
