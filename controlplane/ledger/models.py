"""Rows of the ledger; what may not change is guarded by triggers (migration 0009)."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from controlplane.kernel.ids import TenantId
from controlplane.ledger.domain import JournalEntryId
from controlplane.plumbing.orm import Base, IdType


class AccountRow(Base):
    __tablename__ = "ledger_account"

    code: Mapped[str] = mapped_column(String(12), primary_key=True)
    label: Mapped[str] = mapped_column(String(100))
    is_per_tenant: Mapped[bool] = mapped_column(Boolean)
    source: Mapped[str] = mapped_column(String(200))


class AccountingEntityRow(Base):
    """One row: whose books these are."""

    __tablename__ = "accounting_entity"

    is_only_row: Mapped[bool] = mapped_column(Boolean, primary_key=True, default=True)
    siren: Mapped[str] = mapped_column(String(9))
    legal_name: Mapped[str] = mapped_column(String(200))
    version: Mapped[int] = mapped_column(Integer)


class FiscalYearRow(Base):
    """A closed year; an open one has no row."""

    __tablename__ = "fiscal_year"

    year: Mapped[int] = mapped_column(Integer, primary_key=True)
    closed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class EntryNumberRow(Base):
    """The last EcritureNum of a journal's year; locked while an entry takes the next one."""

    __tablename__ = "entry_number"

    journal: Mapped[str] = mapped_column(String(2), primary_key=True)
    year: Mapped[int] = mapped_column(Integer, primary_key=True)
    last: Mapped[int] = mapped_column(Integer)


class JournalEntryRow(Base):
    """`fingerprint` is the hash of what was asked for; `transaction` is the one that wrote the entry whole."""

    __tablename__ = "journal_entry"

    id: Mapped[JournalEntryId] = mapped_column(IdType(JournalEntryId), primary_key=True)
    key: Mapped[str] = mapped_column(String(200), unique=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    journal: Mapped[str] = mapped_column(String(2))
    year: Mapped[int] = mapped_column(Integer)
    number: Mapped[int] = mapped_column(Integer)
    occurred_on: Mapped[date] = mapped_column(Date)
    piece_ref: Mapped[str] = mapped_column(String(60))
    piece_on: Mapped[date] = mapped_column(Date)
    label: Mapped[str] = mapped_column(String(200))
    validated_on: Mapped[date] = mapped_column(Date)
    posted_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    transaction: Mapped[int] = mapped_column(BigInteger, server_default=text("txid_current()"))

    __table_args__ = (
        UniqueConstraint("journal", "year", "number", name="uq_journal_entry_journal_year_number"),
    )


class EntryLineRow(Base):
    __tablename__ = "entry_line"

    entry_id: Mapped[JournalEntryId] = mapped_column(
        IdType(JournalEntryId), ForeignKey("journal_entry.id"), primary_key=True
    )
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    account: Mapped[str] = mapped_column(String(12), ForeignKey("ledger_account.code"))
    tenant_id: Mapped[TenantId | None] = mapped_column(IdType(TenantId), ForeignKey("tenant.tenant_id"))
    tenant_label: Mapped[str] = mapped_column(String(200), default="")
    debit_minor: Mapped[int] = mapped_column(BigInteger)
    credit_minor: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (Index("ix_entry_line_account_tenant_id", "account", "tenant_id"),)


class EntryLetteringRow(Base):
    """Which lines of an account cancel out (FEC EcritureLet); added later, so it is a row of its own."""

    __tablename__ = "entry_lettering"

    entry_id: Mapped[JournalEntryId] = mapped_column(IdType(JournalEntryId), primary_key=True)
    line_number: Mapped[int] = mapped_column(Integer, primary_key=True)
    tenant_id: Mapped[TenantId] = mapped_column(IdType(TenantId))
    account: Mapped[str] = mapped_column(String(12))
    letter: Mapped[str] = mapped_column(String(3))
    lettered_on: Mapped[date] = mapped_column(Date)

    __table_args__ = (
        ForeignKeyConstraint(
            ["entry_id", "line_number"],
            ["entry_line.entry_id", "entry_line.number"],
            name="fk_entry_lettering_entry_id_line_number",
        ),
        Index("ix_entry_lettering_account_letter", "account", "tenant_id", "letter"),
    )
