"""Invoices as values. Fields carry the business terms of EN 16931 (BT/BG numbers) in their docstrings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from controlplane.kernel.ids import Id, TenantId
from controlplane.kernel.period import Period
from controlplane.kernel.transitions import TransitionTable


class InvoiceId(Id):
    prefix = "inv"


class VatCheckId(Id):
    prefix = "vck"


class InvoiceKind(StrEnum):
    """BT-3, UNTDID 1001: invoice, credit note, and the invoice of a deposit (facture d'acompte)."""

    INVOICE = "380"
    CREDIT_NOTE = "381"
    DEPOSIT = "386"


class InvoiceState(StrEnum):
    """DRAFT is being computed and has no number; READY passed every check; HELD waits for a fact or a person;
    DRAFT_FAILED and ISSUE_FAILED met an error and can be tried again; ISSUED never changes."""

    DRAFT = "DRAFT"
    DRAFT_FAILED = "DRAFT_FAILED"
    HELD = "HELD"
    READY = "READY"
    ISSUE_FAILED = "ISSUE_FAILED"
    ISSUED = "ISSUED"


class InvoiceTrigger(StrEnum):
    APPROVE = "approve"
    HOLD = "hold"
    FAIL = "fail"
    RETRY = "retry"
    ISSUE = "issue"


TRANSITIONS = TransitionTable(
    "invoice",
    {
        (InvoiceState.DRAFT, InvoiceTrigger.APPROVE): InvoiceState.READY,
        (InvoiceState.DRAFT, InvoiceTrigger.HOLD): InvoiceState.HELD,
        (InvoiceState.DRAFT, InvoiceTrigger.FAIL): InvoiceState.DRAFT_FAILED,
        (InvoiceState.DRAFT_FAILED, InvoiceTrigger.RETRY): InvoiceState.DRAFT,
        (InvoiceState.HELD, InvoiceTrigger.RETRY): InvoiceState.DRAFT,
        (InvoiceState.READY, InvoiceTrigger.HOLD): InvoiceState.HELD,
        (InvoiceState.READY, InvoiceTrigger.FAIL): InvoiceState.ISSUE_FAILED,
        (InvoiceState.ISSUE_FAILED, InvoiceTrigger.RETRY): InvoiceState.READY,
        (InvoiceState.READY, InvoiceTrigger.ISSUE): InvoiceState.ISSUED,
    },
)


class VatCategory(StrEnum):
    """BT-118/BT-151, UNTDID 5305: standard, reverse charge, outside the scope of French VAT."""

    STANDARD = "S"
    REVERSE_CHARGE = "AE"
    OUTSIDE_SCOPE = "O"


class VatIdStatus(StrEnum):
    """What VIES said of a VAT number; UNREACHABLE is no answer and proves nothing."""

    VALID = "VALID"
    INVALID = "INVALID"
    UNREACHABLE = "UNREACHABLE"


@dataclass(frozen=True, slots=True)
class VatIdAnswer:
    """One answer about one VAT number. `consultation_number` is what VIES gives as proof of having asked;
    `source` names who answered; `is_simulated` marks answers that no authority gave."""

    vat_id: str
    status: VatIdStatus
    checked_at: datetime
    consultation_number: str
    source: str
    is_simulated: bool


@dataclass(frozen=True, slots=True)
class PostalAddress:
    """BG-5 / BG-8; `country` is ISO 3166-1 alpha-2."""

    line1: str
    line2: str
    postal_code: str
    city: str
    country: str


@dataclass(frozen=True, slots=True)
class Seller:
    """BG-4 with what French commercial law adds (C. com. R123-237, R123-238, L441-9, L441-10).

    `late_rate`: text of the late-payment rate; `is_vat_on_debits`: the option of CGI 269-2-c was taken;
    `is_demo`: a company that does not exist. `capital_minor` in EUR minor units.
    """

    legal_name: str
    legal_form: str
    capital_minor: int
    siren: str
    siret: str
    rcs_city: str
    vat_id: str
    address: PostalAddress
    iban: str
    bic: str
    electronic_address: str
    contact_email: str
    number_prefix: str
    payment_days: int
    late_rate: str
    is_vat_on_debits: bool
    is_demo: bool


@dataclass(frozen=True, slots=True)
class Buyer:
    """BG-7 as it was at issue. `electronic_address` with its scheme is BT-49."""

    legal_name: str
    siren: str | None
    vat_id: str | None
    address: PostalAddress
    electronic_address: str
    electronic_scheme: str
    legal_id: str | None
    legal_scheme: str | None


@dataclass(frozen=True, slots=True)
class VatTreatment:
    """The row of the VAT table that an invoice follows. `rate` in percent (None: no rate may be written).

    `exemption_text` BT-120, `vatex` BT-121, `source` the article; `flow` says how the State hears of it.
    """

    case: str
    category: VatCategory
    rate: Decimal | None
    vatex: str | None
    exemption_text: str | None
    flow: str
    source: str


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """BG-25: position BT-126, name BT-153, description BT-154, quantity BT-129, unit_code BT-130 (UN/ECE 20),
    price BT-146 for `base_quantity` BT-149, net_minor BT-131, period BG-26.

    `calculation` holds the steps of the price as text; `price_version` names the tariff that was applied;
    `credited_position` is the line of the original that a credit note's line takes back.
    """

    position: int
    sku: str
    name: str
    description: str
    quantity: Decimal
    unit_code: str
    price: Decimal
    base_quantity: Decimal
    net_minor: int
    period: Period
    calculation: tuple[str, ...]
    price_version: str | None
    is_correction: bool
    project_id: str | None
    service_id: str | None
    credited_position: int | None = None


@dataclass(frozen=True, slots=True)
class Allowance:
    """BG-20: a reduction of the whole invoice before VAT; amount BT-92 (positive), reason BT-97."""

    amount_minor: int
    reason: str


@dataclass(frozen=True, slots=True)
class VatBreakdown:
    """BG-23: taxable BT-116, tax BT-117, category BT-118, rate BT-119."""

    category: VatCategory
    rate: Decimal | None
    taxable_minor: int
    tax_minor: int


@dataclass(frozen=True, slots=True)
class Totals:
    """BG-22: lines BT-106, allowances BT-107, net BT-109, tax BT-110, gross BT-112, due BT-115 (BT-113 is 0)."""

    lines_minor: int
    allowance_minor: int
    net_minor: int
    tax_minor: int
    gross_minor: int
    due_minor: int


@dataclass(frozen=True, slots=True)
class Note:
    """BG-1: text BT-22 under the subject code BT-21 (UNTDID 4451)."""

    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Preceding:
    """BG-3: number BT-25 and date BT-26 of an invoice that this one refers to: corrected, or a deposit deducted."""

    invoice_id: InvoiceId
    number: str
    issued_on: date


@dataclass(frozen=True, slots=True)
class Hold:
    """Why an invoice waits: a stable code and a sentence."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Invoice:
    """One invoice, deposit invoice or credit note; `number` BT-1, `issued_on` BT-2, `due_on` BT-9, `kind` BT-3,
    `currency` BT-5, `billing_mode` BT-23, `purchase_order` BT-13, `period` BG-14 (half-open; its last day is BT-74;
    of a deposit, the day it was sold). `deposits` are the deposit invoices that its lines deduct (BG-3).

    Errors of building are held in `hold`; a number exists exactly when the state is ISSUED.
    """

    id: InvoiceId
    tenant_id: TenantId
    kind: InvoiceKind
    state: InvoiceState
    period: Period
    currency: str
    billing_mode: str
    seller: Seller | None
    buyer: Buyer | None
    vat: VatTreatment | None
    lines: tuple[InvoiceLine, ...]
    allowances: tuple[Allowance, ...]
    breakdown: tuple[VatBreakdown, ...]
    totals: Totals
    notes: tuple[Note, ...]
    payment_terms: str
    hold: Hold | None
    preceding: Preceding | None
    deposits: tuple[Preceding, ...]
    purchase_order: str
    is_issue_wanted: bool
    number: str | None
    issued_on: date | None
    due_on: date | None
    issued_at: datetime | None
    provenance: Mapping[str, str]
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def is_issued(self) -> bool:
        return self.state is InvoiceState.ISSUED

    @property
    def gross_minor(self) -> int:
        """BT-112, positive also on a credit note (EN 16931: a credit note, type 381, carries positive amounts)."""
        return self.totals.gross_minor


@dataclass(frozen=True, slots=True)
class PeriodClose:
    """What closing a month gave: the invoice (None: nothing was used), the credit notes for earlier months that
    cost less now than was billed, the supplementary invoices for those that cost more and bear another VAT, and whether
    this call made them."""

    tenant_id: TenantId
    period: Period
    invoice: Invoice | None
    is_new: bool
    credit_notes: tuple[Invoice, ...] = ()
    supplements: tuple[Invoice, ...] = ()
