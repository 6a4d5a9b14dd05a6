"""Sign-up in stages: organizations that wait for approval, with small limits; accepted terms; names that may repeat.

Revision ID: 0028
Revises: 0027
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.policies import APP

revision = "0028"
down_revision = "0027"

# As the metadata's naming convention made it.
_STATUS_CHECK = "ck_tenant_ck_tenant_status"
REPLICAS = 1_000
# What somebody may have whom nobody knows yet: enough to try one small model on a processor.
PENDING = {"projects": 1, "services": 1, "gpus": 0, "replicas": 2, "api_keys": 2, "apps": 1, "secrets": 5}
# What a tenant's own transaction may write of its row: never whether it is approved, and not what it accepted.
OWN_COLUMNS = (
    "legal_name, country, siren, vat_id, address_line1, address_line2, postal_code, city, address_country, tax_zone, "
    "version, updated_at"
)


def upgrade() -> None:
    op.add_column("tenant", sa.Column("terms", sa.String(40)))
    op.add_column("tenant", sa.Column("terms_accepted_at", sa.DateTime(timezone=True)))
    op.execute(
        "ALTER TABLE tenant ADD CONSTRAINT ck_tenant_terms_with_instant"
        " CHECK ((terms IS NULL) = (terms_accepted_at IS NULL))"
    )
    op.execute(f"ALTER TABLE tenant DROP CONSTRAINT {_STATUS_CHECK}")
    op.execute(
        f"ALTER TABLE tenant ADD CONSTRAINT {_STATUS_CHECK}"
        " CHECK (status IN ('PENDING', 'ACTIVE', 'SUSPENDED', 'REFUSED'))"
    )
    op.execute(f"REVOKE UPDATE ON tenant FROM {APP}")
    op.execute(f"GRANT UPDATE ({OWN_COLUMNS}) ON tenant TO {APP}")
    op.execute("ALTER TABLE tenant DROP CONSTRAINT uq_tenant_name")
    op.create_index(
        "ix_tenant_pending", "tenant", ["tenant_id"], postgresql_where=sa.text("status = 'PENDING'")
    )
    for column in ("name", "siren", "vat_id"):
        op.create_index(f"ix_tenant_{column}", "tenant", [column])
    op.add_column("quota_default", sa.Column("pending_count", sa.Integer, nullable=False, server_default="0"))
    op.alter_column("quota_default", "pending_count", server_default=None)
    table = sa.table("quota_default", sa.column("name"), sa.column("limit_count"), sa.column("pending_count"))
    op.bulk_insert(table, [{"name": "replicas", "limit_count": REPLICAS, "pending_count": 0}])
    for name, count in PENDING.items():
        op.execute(sa.update(table).where(table.c.name == name).values(pending_count=count))


def downgrade() -> None:
    for name in ("quota", "quota_default"):
        table = sa.table(name, sa.column("name"))
        op.execute(sa.delete(table).where(table.c.name == "replicas"))
    op.drop_column("quota_default", "pending_count")
    for column in ("vat_id", "siren", "name", "pending"):
        op.drop_index(f"ix_tenant_{column}", "tenant")
    op.execute(f"REVOKE UPDATE ({OWN_COLUMNS}) ON tenant FROM {APP}")
    op.execute(f"GRANT UPDATE ON tenant TO {APP}")
    op.execute("ALTER TABLE tenant ADD CONSTRAINT uq_tenant_name UNIQUE (name)")
    op.execute(f"ALTER TABLE tenant DROP CONSTRAINT {_STATUS_CHECK}")
    # Whoever waited was not served, and is not afterwards.
    op.execute("UPDATE tenant SET status = 'SUSPENDED' WHERE status IN ('PENDING', 'REFUSED')")
    op.execute(f"ALTER TABLE tenant ADD CONSTRAINT {_STATUS_CHECK} CHECK (status IN ('ACTIVE', 'SUSPENDED'))")
    op.execute("ALTER TABLE tenant DROP CONSTRAINT ck_tenant_terms_with_instant")
    op.drop_column("tenant", "terms_accepted_at")
    op.drop_column("tenant", "terms")
