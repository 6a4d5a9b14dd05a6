"""Payments received and what they settle.

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

from migrations.policies import protect_tenant_table

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "payment",
        sa.Column("id", UUID(as_uuid=True), nullable=False),
        sa.Column("tenant_id", UUID(as_uuid=True), nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("received_on", sa.Date, nullable=False),
        sa.Column("method", sa.String(16), nullable=False),
        sa.Column("bank_reference", sa.String(100), nullable=False),
        sa.Column("remittance", sa.String(140), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_payment"),
        sa.UniqueConstraint("tenant_id", "id", name="uq_payment_tenant_id_id"),
        # A line of the bank statement is recorded once, whoever sends it again.
        sa.UniqueConstraint("bank_reference", name="uq_payment_bank_reference"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"], name="fk_payment_tenant_id"),
        sa.CheckConstraint("amount_minor > 0", name="ck_payment_amount"),
        sa.CheckConstraint("method IN ('TRANSFER', 'DIRECT_DEBIT')", name="ck_payment_method"),
    )
    op.create_table(
        "payment_allocation",
        sa.Column("id", UUID(as_uuid=True), nullable=False),
        sa.Column("tenant_id", UUID(as_uuid=True), nullable=False),
        sa.Column("payment_id", UUID(as_uuid=True), nullable=False),
        sa.Column("invoice_id", UUID(as_uuid=True), nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("vat_minor", sa.BigInteger, nullable=False),
        sa.Column("allocated_on", sa.Date, nullable=False),
        sa.Column("allocated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_payment_allocation"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "payment_id"],
            ["payment.tenant_id", "payment.id"],
            name="fk_payment_allocation_payment_id",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "invoice_id"],
            ["invoice.tenant_id", "invoice.id"],
            name="fk_payment_allocation_invoice_id",
        ),
        sa.CheckConstraint("amount_minor > 0 AND vat_minor >= 0", name="ck_payment_allocation_amount"),
    )
    op.create_index("ix_payment_allocation_invoice", "payment_allocation", ["tenant_id", "invoice_id"])
    op.create_index("ix_payment_allocation_payment", "payment_allocation", ["tenant_id", "payment_id"])
    for table in ("payment", "payment_allocation"):
        protect_tenant_table(table, app="SELECT", system="SELECT, INSERT")


def downgrade() -> None:
    op.drop_table("payment_allocation")
    op.drop_table("payment")
