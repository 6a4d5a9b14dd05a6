"""Alembic migrations, one straight line: expand, backfill, contract a release later."""
