"""Deposit invoices (type 386), the deposits that an invoice deducts, and the deposit that a prepaid credit came from.

Revision ID: 0013
Revises: 0012
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, UUID

revision = "0013"
down_revision = "0012"

# As 0010 left it: the naming convention puts the table's name before the name that was given.
_KIND_CHECK = op.f("ck_invoice_ck_invoice_kind")


def upgrade() -> None:
    op.drop_constraint(_KIND_CHECK, "invoice")
    op.create_check_constraint("ck_invoice_kind", "invoice", "kind IN ('380', '381', '386')")
    op.add_column(
        "invoice", sa.Column("deposits", JSONB, nullable=False, server_default=sa.text("'[]'::jsonb"))
    )
    op.add_column("credit_grant", sa.Column("deposit_id", UUID(as_uuid=True)))
    # A deposit becomes credit once, whoever pays its last cent.
    op.create_index(
        "uq_credit_grant_deposit_id", "credit_grant", ["tenant_id", "deposit_id"], unique=True,
        postgresql_where=sa.text("deposit_id IS NOT NULL"),
    )  # fmt: skip
    # Not checked against older rows: prepaid credit without a deposit invoice keeps holding invoices.
    op.execute(
        "ALTER TABLE credit_grant ADD CONSTRAINT ck_credit_grant_prepaid_is_a_deposit"
        " CHECK ((kind = 'PREPAID') = (deposit_id IS NOT NULL)) NOT VALID"
    )


def downgrade() -> None:
    op.drop_constraint("ck_credit_grant_prepaid_is_a_deposit", "credit_grant")
    op.drop_index("uq_credit_grant_deposit_id", "credit_grant")
    op.drop_column("credit_grant", "deposit_id")
    op.drop_column("invoice", "deposits")
    op.drop_constraint(_KIND_CHECK, "invoice")
    op.create_check_constraint("ck_invoice_kind", "invoice", "kind IN ('380', '381')")
