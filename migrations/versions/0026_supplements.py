"""Supplementary invoices: a month may have them beside its own invoice, and they name the one that they add to.

Revision ID: 0026
Revises: 0025
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"

_IS_SUPPLEMENT = "(provenance ->> 'supplement_of') IS NOT NULL"


def upgrade() -> None:
    _replace(
        where=f"kind = '380' AND NOT ({_IS_SUPPLEMENT})",
        check=f"(kind <> '381' OR preceding_id IS NOT NULL)"
        f" AND (preceding_id IS NULL OR kind = '381' OR (kind = '380' AND {_IS_SUPPLEMENT}))",
    )


def downgrade() -> None:
    _replace(where="kind = '380'", check="(kind = '381') = (preceding_id IS NOT NULL)")


def _replace(*, where: str, check: str) -> None:
    op.drop_index("uq_invoice_tenant_period", "invoice")
    op.create_index(
        "uq_invoice_tenant_period",
        "invoice",
        ["tenant_id", "period_start"],
        unique=True,
        postgresql_where=sa.text(where),
    )
    op.drop_constraint(op.f("ck_invoice_ck_invoice_credit_note"), "invoice")
    op.create_check_constraint("ck_invoice_credit_note", "invoice", check)
