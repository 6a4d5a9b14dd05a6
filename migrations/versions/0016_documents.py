"""Documents and numbers: an issued invoice without a file may have its buyer corrected; longer business numbers.

A document whose files were never made has reached nobody, so its buyer may still be written as it should be; number,
amounts, VAT and lines stay final, and so does the buyer once a file exists.

Revision ID: 0016
Revises: 0015
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

_FINAL = """
CREATE OR REPLACE FUNCTION refuse_change_of_issued_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state = 'ISSUED' THEN
        {unless}
        RAISE EXCEPTION 'invoice % is issued and never changes', OLD.number USING ERRCODE = '23001';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$
"""
_UNLESS_NO_FILE = """
        IF TG_OP = 'UPDATE'
           AND to_jsonb(NEW) - ARRAY['buyer', 'version', 'updated_at']
             = to_jsonb(OLD) - ARRAY['buyer', 'version', 'updated_at']
           AND NOT EXISTS (SELECT 1 FROM invoice_archive
                           WHERE tenant_id = OLD.tenant_id AND invoice_id = OLD.id) THEN
            RETURN NEW;
        END IF;
"""
_WIDTH = 30
_WIDTH_BEFORE = 16


def upgrade() -> None:
    op.execute(_FINAL.format(unless=_UNLESS_NO_FILE))
    for table in ("tenant", "vat_id_check"):
        op.alter_column(table, "vat_id", type_=sa.String(_WIDTH))


def downgrade() -> None:
    for table in ("tenant", "vat_id_check"):
        op.alter_column(table, "vat_id", type_=sa.String(_WIDTH_BEFORE))
    op.execute(_FINAL.format(unless=""))
