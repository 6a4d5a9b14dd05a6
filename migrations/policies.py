"""Row-level security as two calls: a tenant's table is protected, a platform's table is granted on purpose.

Source: PostgreSQL's documentation, "Row Security Policies". FORCE binds the owner too; the scalar sub-select is
evaluated once a statement.
"""

from __future__ import annotations

from alembic import op

APP = "rempart_app"
SYSTEM = "rempart_system"


def protect_tenant_table(
    table: str, *, app: str = "SELECT, INSERT, UPDATE, DELETE", system: str | None = None
) -> None:
    """Enable and force row-level security on a table with `tenant_id`; the app role sees its tenant's rows only."""
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    mine = "tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)"
    op.execute(f"CREATE POLICY tenant_rows ON {table} TO {APP} USING ({mine}) WITH CHECK ({mine})")
    op.execute(f"CREATE POLICY platform_rows ON {table} TO {SYSTEM} USING (true) WITH CHECK (true)")
    op.execute(f"GRANT {app} ON {table} TO {APP}")
    op.execute(f"GRANT {system or app} ON {table} TO {SYSTEM}")


def grant_platform_table(
    table: str, *, app: str | None, system: str = "SELECT, INSERT, UPDATE, DELETE"
) -> None:
    """Grant a table that belongs to no tenant; `app` says what a tenant's transaction may do with it."""
    if app:
        op.execute(f"GRANT {app} ON {table} TO {APP}")
    op.execute(f"GRANT {system} ON {table} TO {SYSTEM}")
