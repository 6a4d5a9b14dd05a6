"""Alembic environment: the owner's connection, short lock waits, no offline mode."""

from __future__ import annotations

import os

from alembic import context
from sqlalchemy import create_engine, text

from controlplane.plumbing.database import normalise_url
from controlplane.plumbing.orm import Base

# A migration that cannot have its lock soon gives up, rather than queueing every query behind it.
LOCK_TIMEOUT_MS = 2_000

url = context.config.attributes.get("database_url") or os.environ["DATABASE_URL"]
engine = create_engine(normalise_url(url), connect_args={"options": f"-c lock_timeout={LOCK_TIMEOUT_MS}"})
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True)
    with context.begin_transaction():
        # Two migrators never run together.
        connection.execute(text("SELECT pg_advisory_xact_lock(7274)"))
        context.run_migrations()
engine.dispose()
