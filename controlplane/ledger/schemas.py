"""Wire shapes of the ledger. Amounts are decimal texts in euros: the books are kept in them."""

from __future__ import annotations

from datetime import date, datetime

from pydantic import Field

from controlplane.ledger.domain import Account, AccountingEntity, FiscalYear, JournalCode, JournalEntry
from controlplane.plumbing.amounts import CURRENCY, text_of
from controlplane.plumbing.web import WireModel


class AccountShape(WireModel):
    code: str = Field(description="CompteNum.", examples=["411"])
    label: str = Field(description="CompteLib.", examples=["Clients"])
    is_per_tenant: bool = Field(description="Each line names an organization (CompAuxNum).")
    source: str = Field(description="Where the account comes from.")
    balance: str = Field(description="Debits less credits over all time.", examples=["-120.00"])
    currency: str = Field(description="ISO 4217.", examples=["EUR"])

    @classmethod
    def of(cls, account: Account, balance_minor: int) -> AccountShape:
        return cls(
            code=account.code,
            label=account.label,
            is_per_tenant=account.is_per_tenant,
            source=account.source,
            balance=text_of(balance_minor),
            currency=CURRENCY,
        )


class AccountList(WireModel):
    accounts: list[AccountShape]
    balance: str = Field(description="Sum over all accounts: always 0.00.", examples=["0.00"])
    currency: str = Field(description="ISO 4217.", examples=["EUR"])


class EntryLineShape(WireModel):
    account: str = Field(description="CompteNum.")
    account_label: str = Field(description="CompteLib.")
    organization_id: str | None = Field(description="CompAuxNum.")
    organization_label: str = Field(description="CompAuxLib as it was then.")
    debit: str = Field(description="Debit.", examples=["120.00"])
    credit: str = Field(description="Credit.", examples=["0.00"])
    letter: str | None = Field(description="EcritureLet.")
    lettered_on: date | None = Field(description="DateLet.")


class EntryShape(WireModel):
    id: str = Field(description="Id of the entry.")
    key: str = Field(description="What made the post safe to repeat.")
    journal: JournalCode = Field(description="JournalCode.")
    number: str = Field(description="EcritureNum.", examples=["VE2026-0000001"])
    occurred_on: date = Field(description="EcritureDate.")
    piece_ref: str = Field(description="PieceRef.")
    piece_on: date = Field(description="PieceDate.")
    label: str = Field(description="EcritureLib.")
    validated_on: date = Field(description="ValidDate.")
    posted_at: datetime = Field(description="When it was booked.")
    currency: str = Field(description="ISO 4217, of every amount here.", examples=["EUR"])
    lines: list[EntryLineShape] = Field(description="Debits and credits; they sum to zero.")

    @classmethod
    def of(cls, entry: JournalEntry) -> EntryShape:
        return cls(
            id=str(entry.id),
            key=entry.key,
            journal=entry.journal,
            number=entry.ecriture_num,
            occurred_on=entry.occurred_on,
            piece_ref=entry.piece_ref,
            piece_on=entry.piece_on,
            label=entry.label,
            validated_on=entry.validated_on,
            posted_at=entry.posted_at,
            currency=CURRENCY,
            lines=[
                EntryLineShape(
                    account=line.account,
                    account_label=line.account_label,
                    organization_id=None if line.tenant_id is None else str(line.tenant_id),
                    organization_label=line.tenant_label,
                    debit=text_of(line.debit_minor),
                    credit=text_of(line.credit_minor),
                    letter=line.letter,
                    lettered_on=line.lettered_on,
                )
                for line in entry.lines
            ],
        )


class EntryList(WireModel):
    entries: list[EntryShape]
    limit: int = Field(description="How many a page holds.", examples=[50])
    has_next: bool = Field(description="There are more.", examples=[False])
    next_cursor: str | None = Field(description="Cursor of the next page.", examples=[None])


class EntityShape(WireModel):
    siren: str = Field(pattern=r"^[0-9]{9}$", description="SIREN of the seller.", examples=["732829320"])
    legal_name: str = Field(min_length=1, max_length=200, description="Its name.", examples=["Nuage SAS"])


class EntityOut(EntityShape):
    version: int = Field(description="Grows with each change.")

    @classmethod
    def of(cls, entity: AccountingEntity) -> EntityOut:
        return cls(siren=entity.siren, legal_name=entity.legal_name, version=entity.version)


class EntityAnswer(WireModel):
    accounting_entity: EntityOut


class FiscalYearShape(WireModel):
    year: int = Field(description="The calendar year.", examples=[2026])
    closed_at: datetime = Field(description="When it was closed.")


class FiscalYearAnswer(WireModel):
    fiscal_year: FiscalYearShape

    @classmethod
    def of(cls, closed: FiscalYear) -> FiscalYearAnswer:
        return cls(fiscal_year=FiscalYearShape(year=closed.year, closed_at=closed.closed_at))
