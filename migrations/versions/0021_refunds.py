"""Refunds, and allocations that a credit note sets free again.

Revision ID: 0021
Revises: 0020
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

from migrations.policies import protect_tenant_table

revision = "0021"
down_revision = "0020"

# As 0011 left it: the naming convention puts the table's name before the name that was given.
_AMOUNT_CHECK = op.f("ck_payment_allocation_ck_payment_allocation_amount")


def upgrade() -> None:
    op.drop_constraint(_AMOUNT_CHECK, "payment_allocation")
    op.create_index("ix_journal_entry_piece_ref", "journal_entry", ["piece_ref"])
    op.create_table(
        "payment_refund",
        sa.Column("id", UUID(as_uuid=True), nullable=False),
        sa.Column("tenant_id", UUID(as_uuid=True), nullable=False),
        sa.Column("payment_id", UUID(as_uuid=True), nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("paid_on", sa.Date, nullable=False),
        sa.Column("bank_reference", sa.String(100), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_payment_refund"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "payment_id"],
            ["payment.tenant_id", "payment.id"],
            name="fk_payment_refund_payment_id",
        ),
        sa.CheckConstraint("amount_minor > 0", name="ck_payment_refund_amount"),
    )
    op.create_index("ix_payment_refund_payment", "payment_refund", ["tenant_id", "payment_id"])
    op.create_index("ix_payment_refund_bank_reference", "payment_refund", ["bank_reference"])
    protect_tenant_table("payment_refund", app="SELECT", system="SELECT, INSERT")


def downgrade() -> None:
    op.drop_table("payment_refund")
    op.drop_index("ix_journal_entry_piece_ref", "journal_entry")
    op.create_check_constraint(
        "ck_payment_allocation_amount", "payment_allocation", "amount_minor > 0 AND vat_minor >= 0"
    )
