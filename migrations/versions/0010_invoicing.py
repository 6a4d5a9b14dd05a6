"""The seller, invoices with their lines, number series, answers of VIES.

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, UUID

from migrations.policies import grant_platform_table, protect_tenant_table

revision = "0010"
down_revision = "0009"

_STATES = "'DRAFT', 'DRAFT_FAILED', 'HELD', 'READY', 'ISSUE_FAILED', 'ISSUED'"
_FACTS = ("seller", "buyer", "vat", "hold", "preceding")


def upgrade() -> None:
    _create_platform_tables()
    _create_invoice()
    _create_lines()
    _create_closes()
    _create_vat_checks()
    _make_issued_final()


def _create_platform_tables() -> None:
    op.create_table(
        "invoice_seller",
        sa.Column("is_only_row", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("facts", JSONB, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("is_only_row", name="pk_invoice_seller"),
        sa.CheckConstraint("is_only_row", name="ck_invoice_seller_one_row"),
    )
    op.create_table(
        "invoice_series",
        sa.Column("prefix", sa.String(6), nullable=False),
        sa.Column("year", sa.Integer, nullable=False),
        sa.Column("last_number", sa.Integer, nullable=False),
        sa.Column("last_issued_on", sa.Date),
        sa.PrimaryKeyConstraint("prefix", name="pk_invoice_series"),
        sa.CheckConstraint("last_number >= 0", name="ck_invoice_series_last_number"),
    )
    for table in ("invoice_seller", "invoice_series"):
        grant_platform_table(table, app=None, system="SELECT, INSERT, UPDATE")


def _create_invoice() -> None:
    op.create_table(
        "invoice",
        sa.Column("id", UUID(as_uuid=True), nullable=False),
        sa.Column("tenant_id", UUID(as_uuid=True), nullable=False),
        sa.Column("kind", sa.String(3), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("period_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("period_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("billing_mode", sa.String(2), nullable=False),
        *(sa.Column(name, JSONB) for name in _FACTS),
        *(sa.Column(name, JSONB, nullable=False) for name in ("allowances", "breakdown", "totals", "notes")),
        sa.Column("gross_minor", sa.BigInteger, nullable=False),
        sa.Column("payment_terms", sa.String(300), nullable=False),
        sa.Column("purchase_order", sa.String(100), nullable=False),
        sa.Column("preceding_id", UUID(as_uuid=True)),
        sa.Column("is_issue_wanted", sa.Boolean, nullable=False),
        sa.Column("number", sa.String(20)),
        sa.Column("series_prefix", sa.String(6)),
        sa.Column("series_year", sa.Integer),
        sa.Column("series_number", sa.Integer),
        sa.Column("issued_on", sa.Date),
        sa.Column("due_on", sa.Date),
        sa.Column("issued_at", sa.DateTime(timezone=True)),
        sa.Column("provenance", JSONB, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_invoice"),
        sa.UniqueConstraint("tenant_id", "id", name="uq_invoice_tenant_id_id"),
        sa.UniqueConstraint("number", name="uq_invoice_number"),
        sa.UniqueConstraint("series_prefix", "series_year", "series_number", name="uq_invoice_series"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"], name="fk_invoice_tenant_id"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "preceding_id"], ["invoice.tenant_id", "invoice.id"], name="fk_invoice_preceding_id"
        ),
        sa.CheckConstraint(f"state IN ({_STATES})", name="ck_invoice_state"),
        sa.CheckConstraint("kind IN ('380', '381')", name="ck_invoice_kind"),
        sa.CheckConstraint("(kind = '381') = (preceding_id IS NOT NULL)", name="ck_invoice_credit_note"),
        sa.CheckConstraint("period_end > period_start", name="ck_invoice_period"),
        sa.CheckConstraint("number ~ '^[A-Za-z0-9+_/-]{1,20}$'", name="ck_invoice_number_form"),
        # A number exists exactly when the invoice is issued: drafts have none, and none is lost.
        sa.CheckConstraint(
            "(state = 'ISSUED') = (number IS NOT NULL) AND (state = 'ISSUED') = (issued_on IS NOT NULL)"
            " AND (state = 'ISSUED') = (series_number IS NOT NULL)",
            name="ck_invoice_number_at_issue",
        ),
    )
    op.create_index(
        "uq_invoice_tenant_period",
        "invoice",
        ["tenant_id", "period_start"],
        unique=True,
        postgresql_where=sa.text("kind = '380'"),
    )
    op.create_index("ix_invoice_tenant_id_preceding_id", "invoice", ["tenant_id", "preceding_id"])
    op.create_index(
        "ix_invoice_waiting",
        "invoice",
        ["state"],
        postgresql_where=sa.text("state <> 'ISSUED' AND is_issue_wanted"),
    )
    protect_tenant_table("invoice", app="SELECT", system="SELECT, INSERT, UPDATE")


def _create_lines() -> None:
    op.create_table(
        "invoice_line",
        sa.Column("tenant_id", UUID(as_uuid=True), nullable=False),
        sa.Column("invoice_id", UUID(as_uuid=True), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("sku", sa.String(100), nullable=False),
        sa.Column("name", sa.String(300), nullable=False),
        sa.Column("description", sa.String(1000), nullable=False),
        sa.Column("quantity", sa.Numeric(23, 4), nullable=False),
        sa.Column("unit_code", sa.String(3), nullable=False),
        sa.Column("price", sa.Numeric(23, 6), nullable=False),
        sa.Column("base_quantity", sa.Numeric(23, 4), nullable=False),
        sa.Column("net_minor", sa.BigInteger, nullable=False),
        sa.Column("period_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("period_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("calculation", JSONB, nullable=False),
        sa.Column("price_version", sa.String(40)),
        sa.Column("is_correction", sa.Boolean, nullable=False),
        sa.Column("project_id", sa.String(40)),
        sa.Column("service_id", sa.String(64)),
        sa.Column("credited_position", sa.Integer),
        sa.PrimaryKeyConstraint("tenant_id", "invoice_id", "position", name="pk_invoice_line"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "invoice_id"],
            ["invoice.tenant_id", "invoice.id"],
            name="fk_invoice_line_invoice_id",
        ),
        sa.CheckConstraint("price >= 0 AND base_quantity > 0", name="ck_invoice_line_price"),
    )
    protect_tenant_table("invoice_line", app="SELECT", system="SELECT, INSERT, DELETE")


def _create_closes() -> None:
    op.create_table(
        "period_close",
        sa.Column("tenant_id", UUID(as_uuid=True), nullable=False),
        sa.Column("period_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("period_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("invoice_id", UUID(as_uuid=True)),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "period_start", name="pk_period_close"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"], name="fk_period_close_tenant_id"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "invoice_id"],
            ["invoice.tenant_id", "invoice.id"],
            name="fk_period_close_invoice_id",
        ),
    )
    protect_tenant_table("period_close", app="SELECT", system="SELECT, INSERT")


def _create_vat_checks() -> None:
    op.create_table(
        "vat_id_check",
        sa.Column("id", UUID(as_uuid=True), nullable=False),
        sa.Column("tenant_id", UUID(as_uuid=True), nullable=False),
        sa.Column("vat_id", sa.String(16), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("consultation_number", sa.String(100), nullable=False),
        sa.Column("source", sa.String(200), nullable=False),
        sa.Column("is_simulated", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_vat_id_check"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"], name="fk_vat_id_check_tenant_id"),
        sa.CheckConstraint("status IN ('VALID', 'INVALID', 'UNREACHABLE')", name="ck_vat_id_check_status"),
    )
    op.create_index("ix_vat_id_check_tenant_id_vat_id", "vat_id_check", ["tenant_id", "vat_id", "checked_at"])
    protect_tenant_table("vat_id_check", app="SELECT", system="SELECT, INSERT")


def _make_issued_final() -> None:
    """An issued invoice never changes, whoever asks (CGI art. 289: correction only by another document)."""
    op.execute(
        """
        CREATE FUNCTION refuse_change_of_issued_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF OLD.state = 'ISSUED' THEN
                RAISE EXCEPTION 'invoice % is issued and never changes', OLD.number USING ERRCODE = '23001';
            END IF;
            RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER issued_is_final BEFORE UPDATE OR DELETE ON invoice"
        " FOR EACH ROW EXECUTE FUNCTION refuse_change_of_issued_invoice()"
    )
    op.execute(
        """
        CREATE FUNCTION refuse_change_of_issued_lines() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE line invoice_line := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
        BEGIN
            IF EXISTS (SELECT 1 FROM invoice
                       WHERE tenant_id = line.tenant_id AND id = line.invoice_id AND state = 'ISSUED') THEN
                RAISE EXCEPTION 'the lines of an issued invoice never change' USING ERRCODE = '23001';
            END IF;
            RETURN line;
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER issued_lines_are_final BEFORE INSERT OR UPDATE OR DELETE ON invoice_line"
        " FOR EACH ROW EXECUTE FUNCTION refuse_change_of_issued_lines()"
    )


def downgrade() -> None:
    for table in (
        "vat_id_check",
        "period_close",
        "invoice_line",
        "invoice",
        "invoice_series",
        "invoice_seller",
    ):
        op.drop_table(table)
    op.execute("DROP FUNCTION refuse_change_of_issued_invoice()")
    op.execute("DROP FUNCTION refuse_change_of_issued_lines()")
