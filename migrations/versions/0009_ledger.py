"""Chart of accounts, append-only entries that sum to zero, numbers, fiscal years, lettering.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

from migrations.policies import grant_platform_table, protect_tenant_table

revision = "0009"
down_revision = "0008"

_PCG = "PCG, ANC 2014-03 replaced by ANC 2022-06"
# (code, label, kept per tenant, source). The sub-accounts of 706 are the house's own, one a VAT regime.
CHART = (
    ("110", "Report à nouveau (solde créditeur)", False, _PCG),
    ("119", "Report à nouveau (solde débiteur)", False, _PCG),
    ("120", "Résultat de l'exercice (bénéfice)", False, _PCG),
    ("129", "Résultat de l'exercice (perte)", False, _PCG),
    ("411", "Clients", True, _PCG),
    ("416", "Clients douteux ou litigieux", True, _PCG),
    ("418", "Clients - Produits non encore facturés", True, _PCG),
    ("4191", "Clients - Avances et acomptes reçus", True, _PCG),
    ("44551", "TVA à décaisser", False, _PCG),
    ("44571", "TVA collectée", False, _PCG),
    ("44574", "TVA collectée en attente d'encaissement", False, f"{_PCG}; CGI 269-2-c"),
    ("44587", "TVA sur factures à établir", False, _PCG),
    ("487", "Produits constatés d'avance", False, _PCG),
    ("491", "Dépréciations des comptes de clients", False, _PCG),
    ("512", "Banques", False, _PCG),
    ("654", "Pertes sur créances irrécouvrables", False, _PCG),
    ("658", "Charges diverses de gestion courante", False, _PCG),
    ("6817", "Dotations aux dépréciations des actifs circulants", False, _PCG),
    ("706", "Prestations de services - taux normal", False, f"{_PCG}; CGI 278"),
    ("7061", "Prestations de services - DOM, taux 8,5 %", False, f"{_PCG}; CGI 296"),
    ("7062", "Prestations de services - UE, autoliquidation", False, f"{_PCG}; CGI 259-1° et 283-2"),
    ("7063", "Prestations de services - hors champ de la TVA française", False, f"{_PCG}; CGI 259-1°"),
    ("709", "Rabais, remises et ristournes accordés", False, _PCG),
    ("758", "Produits divers de gestion courante", False, _PCG),
    ("763", "Revenus des autres créances", False, _PCG),
)


def upgrade() -> None:
    chart = op.create_table(
        "ledger_account",
        sa.Column("code", sa.String(12), nullable=False),
        sa.Column("label", sa.String(100), nullable=False),
        sa.Column("is_per_tenant", sa.Boolean, nullable=False),
        sa.Column("source", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("code", name="pk_ledger_account"),
        sa.CheckConstraint("code ~ '^[1-7][0-9]{2,11}$'", name="ck_ledger_account_code"),
    )
    op.bulk_insert(
        chart,
        [dict(zip(("code", "label", "is_per_tenant", "source"), row, strict=True)) for row in CHART],
    )
    grant_platform_table("ledger_account", app="SELECT", system="SELECT, INSERT")
    _create_years()
    _create_entries()
    _create_lettering()
    _create_rules()


def _create_years() -> None:
    op.create_table(
        "accounting_entity",
        sa.Column("is_only_row", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("siren", sa.String(9), nullable=False),
        sa.Column("legal_name", sa.String(200), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("is_only_row", name="pk_accounting_entity"),
        sa.CheckConstraint("is_only_row", name="ck_accounting_entity_one_row"),
        sa.CheckConstraint("siren ~ '^[0-9]{9}$'", name="ck_accounting_entity_siren"),
    )
    grant_platform_table("accounting_entity", app=None, system="SELECT, INSERT, UPDATE")
    op.create_table(
        "fiscal_year",
        sa.Column("year", sa.Integer, nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("year", name="pk_fiscal_year"),
    )
    grant_platform_table("fiscal_year", app=None, system="SELECT, INSERT")
    op.create_table(
        "entry_number",
        sa.Column("journal", sa.String(2), nullable=False),
        sa.Column("year", sa.Integer, nullable=False),
        sa.Column("last", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("journal", "year", name="pk_entry_number"),
    )
    grant_platform_table("entry_number", app=None, system="SELECT, INSERT, UPDATE")


def _create_entries() -> None:
    op.create_table(
        "journal_entry",
        sa.Column("id", UUID(as_uuid=True), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("journal", sa.String(2), nullable=False),
        sa.Column("year", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("occurred_on", sa.Date, nullable=False),
        sa.Column("piece_ref", sa.String(60), nullable=False),
        sa.Column("piece_on", sa.Date, nullable=False),
        sa.Column("label", sa.String(200), nullable=False),
        sa.Column("validated_on", sa.Date, nullable=False),
        sa.Column("posted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("transaction", sa.BigInteger, nullable=False, server_default=sa.text("txid_current()")),
        sa.PrimaryKeyConstraint("id", name="pk_journal_entry"),
        sa.UniqueConstraint("key", name="uq_journal_entry_key"),
        sa.UniqueConstraint("journal", "year", "number", name="uq_journal_entry_journal_year_number"),
        sa.CheckConstraint("journal IN ('VE', 'BQ', 'OD', 'AN')", name="ck_journal_entry_journal"),
        sa.CheckConstraint("extract(year FROM occurred_on) = year", name="ck_journal_entry_year"),
        sa.CheckConstraint("validated_on >= occurred_on", name="ck_journal_entry_validated_on"),
        sa.CheckConstraint("piece_ref <> '' AND label <> ''", name="ck_journal_entry_texts"),
    )
    grant_platform_table("journal_entry", app=None, system="SELECT, INSERT")
    op.create_table(
        "entry_line",
        sa.Column("entry_id", UUID(as_uuid=True), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("account", sa.String(12), nullable=False),
        sa.Column("tenant_id", UUID(as_uuid=True)),
        sa.Column("tenant_label", sa.String(200), nullable=False),
        sa.Column("debit_minor", sa.BigInteger, nullable=False),
        sa.Column("credit_minor", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("entry_id", "number", name="pk_entry_line"),
        sa.ForeignKeyConstraint(["entry_id"], ["journal_entry.id"], name="fk_entry_line_entry_id"),
        sa.ForeignKeyConstraint(["account"], ["ledger_account.code"], name="fk_entry_line_account"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"], name="fk_entry_line_tenant_id"),
        sa.CheckConstraint(
            "debit_minor >= 0 AND credit_minor >= 0 AND (debit_minor = 0) <> (credit_minor = 0)",
            name="ck_entry_line_one_sided",
        ),
    )
    op.create_index("ix_entry_line_account_tenant_id", "entry_line", ["account", "tenant_id"])
    protect_tenant_table("entry_line", app="SELECT", system="SELECT, INSERT")


def _create_lettering() -> None:
    op.create_table(
        "entry_lettering",
        sa.Column("tenant_id", UUID(as_uuid=True), nullable=False),
        sa.Column("entry_id", UUID(as_uuid=True), nullable=False),
        sa.Column("line_number", sa.Integer, nullable=False),
        sa.Column("account", sa.String(12), nullable=False),
        sa.Column("letter", sa.String(3), nullable=False),
        sa.Column("lettered_on", sa.Date, nullable=False),
        sa.PrimaryKeyConstraint("entry_id", "line_number", name="pk_entry_lettering"),
        sa.ForeignKeyConstraint(
            ["entry_id", "line_number"],
            ["entry_line.entry_id", "entry_line.number"],
            name="fk_entry_lettering_entry_id_line_number",
        ),
    )
    op.create_index(
        "ix_entry_lettering_account_letter", "entry_lettering", ["account", "tenant_id", "letter"]
    )
    protect_tenant_table("entry_lettering", app="SELECT", system="SELECT, INSERT")


def _create_rules() -> None:
    """What no program can talk its way around: nothing changes, entries balance, and are written in one go."""
    for table in ("journal_entry", "entry_line", "entry_lettering", "fiscal_year", "ledger_account"):
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    op.execute(
        "CREATE FUNCTION check_entry_balance() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "DECLARE entry uuid; difference numeric; lines int; BEGIN "
        "IF TG_TABLE_NAME = 'journal_entry' THEN entry := NEW.id; ELSE entry := NEW.entry_id; END IF; "
        "SELECT coalesce(sum(debit_minor - credit_minor), 0), count(*) INTO difference, lines "
        "FROM entry_line WHERE entry_id = entry; "
        "IF lines < 2 OR difference <> 0 THEN RAISE EXCEPTION "
        "'journal entry % does not balance: % lines, difference %', entry, lines, difference "
        "USING ERRCODE = 'check_violation', CONSTRAINT = 'entry_sums_to_zero'; END IF; RETURN NULL; END $$"
    )
    for table in ("journal_entry", "entry_line"):
        op.execute(
            f"CREATE CONSTRAINT TRIGGER {table}_sums_to_zero AFTER INSERT ON {table} "
            "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_entry_balance()"
        )
    op.execute(
        "CREATE FUNCTION refuse_late_line() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF (SELECT transaction FROM journal_entry WHERE id = NEW.entry_id) <> txid_current() THEN "
        "RAISE EXCEPTION 'journal entry % was booked before', NEW.entry_id "
        "USING ERRCODE = 'restrict_violation'; END IF; RETURN NEW; END $$"
    )
    op.execute(
        "CREATE TRIGGER entry_line_with_its_entry BEFORE INSERT ON entry_line "
        "FOR EACH ROW EXECUTE FUNCTION refuse_late_line()"
    )
    op.execute(
        "CREATE FUNCTION refuse_closed_year() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF EXISTS (SELECT 1 FROM fiscal_year WHERE year = NEW.year) THEN "
        "RAISE EXCEPTION 'fiscal year % is closed', NEW.year USING ERRCODE = 'restrict_violation'; END IF; "
        "RETURN NEW; END $$"
    )
    op.execute(
        "CREATE TRIGGER journal_entry_open_year BEFORE INSERT ON journal_entry "
        "FOR EACH ROW EXECUTE FUNCTION refuse_closed_year()"
    )


def downgrade() -> None:
    for table in (
        "entry_lettering",
        "entry_line",
        "journal_entry",
        "entry_number",
        "fiscal_year",
        "accounting_entity",
        "ledger_account",
    ):
        op.drop_table(table)
    for function in ("check_entry_balance", "refuse_late_line", "refuse_closed_year"):
        op.execute(f"DROP FUNCTION {function}()")
