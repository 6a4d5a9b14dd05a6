"""Legal entities, holdings, certifications, and the verdicts that are relied on.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, UUID

from migrations.policies import SYSTEM, grant_platform_table

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    _create_entities()
    _create_holdings()
    _create_certifications()
    _create_verdicts()
    for table in ("legal_entity", "holding", "certification"):
        # Facts are ended, never deleted: even the platform may write only the columns that end one.
        grant_platform_table(table, app="SELECT", system="SELECT, INSERT")
        op.execute(f"GRANT UPDATE (valid_to, ended_at, version) ON {table} TO {SYSTEM}")
        op.create_check_constraint(f"ck_{table}_validity", table, "valid_to >= valid_from")
    grant_platform_table("verdict", app=None)
    grant_platform_table("verdict_key", app=None)


def _fact_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("evidence", sa.Text, nullable=False),
        sa.Column("evidence_sha256", sa.String(64)),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_to", sa.DateTime(timezone=True)),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("version", sa.Integer, nullable=False),
    ]


def _create_entities() -> None:
    op.create_table(
        "legal_entity",
        sa.Column("id", UUID(as_uuid=True), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("seat", sa.String(2)),
        sa.Column("central_administration", sa.String(2)),
        sa.Column("principal_establishment", sa.String(2)),
        sa.Column("siren", sa.String(9)),
        sa.Column("lei", sa.String(20)),
        *_fact_columns(),
        sa.PrimaryKeyConstraint("id", name="pk_legal_entity"),
        sa.CheckConstraint(
            "kind IN ('company', 'natural_persons', 'state', 'free_float')", name="ck_legal_entity_kind"
        ),
    )


def _create_holdings() -> None:
    op.create_table(
        "holding",
        sa.Column("id", UUID(as_uuid=True), nullable=False),
        sa.Column("holder_id", UUID(as_uuid=True), nullable=False),
        sa.Column("held_id", UUID(as_uuid=True), nullable=False),
        sa.Column("capital_bp", sa.Integer),
        sa.Column("votes_bp", sa.Integer),
        sa.Column("has_veto", sa.Boolean, nullable=False),
        sa.Column("appoints_board_majority", sa.Boolean, nullable=False),
        sa.Column("has_dominance", sa.Boolean, nullable=False),
        *_fact_columns(),
        sa.PrimaryKeyConstraint("id", name="pk_holding"),
        sa.ForeignKeyConstraint(["holder_id"], ["legal_entity.id"], name="fk_holding_holder_id"),
        sa.ForeignKeyConstraint(["held_id"], ["legal_entity.id"], name="fk_holding_held_id"),
        sa.CheckConstraint("capital_bp BETWEEN 0 AND 10000", name="ck_holding_capital"),
        sa.CheckConstraint("votes_bp BETWEEN 0 AND 10000", name="ck_holding_votes"),
    )
    op.create_index("ix_holding_held_id", "holding", ["held_id"])
    op.create_index("ix_holding_holder_id", "holding", ["holder_id"])


def _create_certifications() -> None:
    op.create_table(
        "certification",
        sa.Column("id", UUID(as_uuid=True), nullable=False),
        sa.Column("framework", sa.String(40), nullable=False),
        sa.Column("framework_version", sa.String(20), nullable=False),
        sa.Column("level", sa.String(40)),
        sa.Column("entity_id", UUID(as_uuid=True)),
        sa.Column("site_code", sa.String(40)),
        sa.Column("issued_on", sa.Date, nullable=False),
        sa.Column("expires_on", sa.Date, nullable=False),
        *_fact_columns(),
        sa.PrimaryKeyConstraint("id", name="pk_certification"),
        sa.ForeignKeyConstraint(["entity_id"], ["legal_entity.id"], name="fk_certification_entity_id"),
        sa.CheckConstraint("entity_id IS NOT NULL OR site_code IS NOT NULL", name="ck_certification_scope"),
        sa.CheckConstraint("expires_on >= issued_on", name="ck_certification_dates"),
    )
    op.create_index("ix_certification_entity_id", "certification", ["entity_id"])
    op.create_index("ix_certification_site_code", "certification", ["site_code"])


def _create_verdicts() -> None:
    op.create_table(
        "verdict",
        sa.Column("policy_hash", sa.String(64), nullable=False),
        sa.Column("site_code", sa.String(40), nullable=False),
        sa.Column("requirement", JSONB, nullable=False),
        sa.Column("site", JSONB, nullable=False),
        sa.Column("is_admissible", sa.Boolean, nullable=False),
        sa.Column("reason_codes", JSONB, nullable=False),
        sa.Column("facts_read", JSONB, nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("policy_hash", "site_code", name="pk_verdict"),
    )
    op.create_table(
        "verdict_key",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("policy_hash", sa.String(64), nullable=False),
        sa.Column("site_code", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("key", "policy_hash", "site_code", name="pk_verdict_key"),
        sa.ForeignKeyConstraint(
            ["policy_hash", "site_code"],
            ["verdict.policy_hash", "verdict.site_code"],
            name="fk_verdict_key_policy_hash_site_code",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_verdict_key_policy_hash_site_code", "verdict_key", ["policy_hash", "site_code"])


def downgrade() -> None:
    for table in ("verdict_key", "verdict", "certification", "holding", "legal_entity"):
        op.drop_table(table)
