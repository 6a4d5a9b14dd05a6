"""Journals, accounts and entries as values.

Sources: PCG (ANC 2014-03 as replaced by 2022-06), LPF A47 A-1 VII for the journals' export.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import ClassVar, Final

from controlplane.kernel.errors import Conflict, InvalidInput
from controlplane.kernel.ids import Id, TenantId

__all__ = [
    "Account",
    "AccountingEntity",
    "Accounts",
    "Balance",
    "EntryLine",
    "FiscalYear",
    "JournalCode",
    "JournalEntry",
    "JournalEntryDraft",
    "JournalEntryId",
    "LedgerConflict",
    "LedgerRefused",
    "LineDraft",
    "PostStatus",
]


class JournalEntryId(Id):
    prefix = "jre"


class JournalCode(StrEnum):
    """FEC JournalCode: sales, bank, miscellaneous, and what a year opens with."""

    VE = "VE"
    BQ = "BQ"
    OD = "OD"
    AN = "AN"


JOURNAL_LABELS: Final = {
    JournalCode.VE: "Ventes",
    JournalCode.BQ: "Banque",
    JournalCode.OD: "Opérations diverses",
    JournalCode.AN: "À nouveaux",
}


class Accounts:
    """Names of the accounts that the money rooms post to; table `ledger_account` is the chart itself."""

    RECEIVABLE: Final = "411"
    DOUBTFUL_RECEIVABLE: Final = "416"
    UNBILLED: Final = "418"
    DEPOSIT_RECEIVED: Final = "4191"
    VAT_DUE: Final = "44571"
    VAT_WAITING: Final = "44574"
    VAT_UNBILLED: Final = "44587"
    SALES: Final = "706"
    SALES_REDUCED: Final = "7061"
    SALES_REVERSE_CHARGE: Final = "7062"
    SALES_OUTSIDE: Final = "7063"
    SALES_REBATE: Final = "709"
    DEFERRED_INCOME: Final = "487"
    BANK: Final = "512"
    ROUNDING_LOSS: Final = "658"
    ROUNDING_GAIN: Final = "758"
    LATE_PENALTY: Final = "763"
    BAD_DEBT: Final = "654"
    RESULT_PROFIT: Final = "120"
    RESULT_LOSS: Final = "129"


class PostStatus(StrEnum):
    """What became of one post, in the order in which the reasons are looked at, as TigerBeetle's results are."""

    CREATED = "created"
    EXISTS = "exists"
    EXISTS_WITH_DIFFERENT_AMOUNT = "exists_with_different_amount"
    NO_LINES = "no_lines"
    NOT_ONE_SIDED = "not_one_sided"
    UNKNOWN_ACCOUNT = "unknown_account"
    TENANT_MISSING = "tenant_missing"
    TENANT_NOT_ALLOWED = "tenant_not_allowed"
    DATED_AHEAD = "dated_ahead"
    UNBALANCED = "unbalanced"


class LedgerConflict(Conflict):
    """The key was posted before with other content: the books are not told two stories."""

    code: ClassVar[str] = "exists_with_different_amount"


class LedgerRefused(InvalidInput):
    """An entry that no book may hold; `status` says why."""

    code: ClassVar[str] = "entry_refused"

    def __init__(self, status: PostStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class LineDraft:
    """One side of an entry: exactly one of debit and credit is above zero, in euro cents.

    `tenant_id` is the auxiliary account (FEC CompAuxNum); accounts that are kept per tenant require it.
    """

    account: str
    debit_minor: int
    credit_minor: int
    tenant_id: TenantId | None = None


@dataclass(frozen=True, slots=True)
class JournalEntryDraft:
    """What a room asks to be booked.

    `key` makes the post safe to repeat ("invoice:<id>"); `occurred_on` is the day in Paris (FEC EcritureDate);
    `piece_ref` and `piece_on` are the document's number and date (PieceRef, PieceDate; default `occurred_on`).
    """

    key: str
    journal: JournalCode
    occurred_on: date
    piece_ref: str
    label: str
    lines: tuple[LineDraft, ...]
    piece_on: date | None = None

    @property
    def document_on(self) -> date:
        return self.piece_on or self.occurred_on


@dataclass(frozen=True, slots=True)
class Account:
    """One account of the chart; `is_per_tenant` accounts carry an auxiliary account on each line."""

    code: str
    label: str
    is_per_tenant: bool
    source: str


@dataclass(frozen=True, slots=True)
class EntryLine:
    """A booked line with what the FEC says of it; `letter` is None until it was matched."""

    number: int
    account: str
    account_label: str
    debit_minor: int
    credit_minor: int
    tenant_id: TenantId | None
    tenant_label: str
    letter: str | None
    lettered_on: date | None


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """A booked entry; it never changes. `validated_on` (FEC ValidDate) is the day in Paris of its commit."""

    id: JournalEntryId
    key: str
    journal: JournalCode
    year: int
    number: int
    occurred_on: date
    piece_ref: str
    piece_on: date
    label: str
    validated_on: date
    posted_at: datetime
    lines: tuple[EntryLine, ...]

    @property
    def ecriture_num(self) -> str:
        """FEC EcritureNum: continuous for each journal and fiscal year."""
        return f"{self.journal}{self.year}-{self.number:07d}"


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account (and a tenant in it) holds: debits less credits, in euro cents."""

    account: str
    tenant_id: TenantId | None
    tenant_label: str
    minor: int


@dataclass(frozen=True, slots=True)
class FiscalYear:
    """A fiscal year is the calendar year in Paris; a closed one takes no entry any more."""

    year: int
    closed_at: datetime

    @property
    def ends_on(self) -> date:
        return date(self.year, 12, 31)


@dataclass(frozen=True, slots=True)
class AccountingEntity:
    """Whose books these are; `siren` stands in the FEC's file name."""

    siren: str
    legal_name: str
    version: int
