"""Payments as values: money that arrived, the part of it that settles an invoice, what an invoice still lacks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from controlplane.invoicing.domain import InvoiceId
from controlplane.kernel.ids import Id, TenantId


class PaymentId(Id):
    prefix = "pay"


class AllocationId(Id):
    prefix = "pal"


class RefundId(Id):
    prefix = "rfd"


class PaymentMethod(StrEnum):
    """How money arrives; cash and cards are not taken (C. com. L112-6; a card till would need a certificate)."""

    TRANSFER = "TRANSFER"
    DIRECT_DEBIT = "DIRECT_DEBIT"


@dataclass(frozen=True, slots=True)
class Payment:
    """Money on the bank account. `received_on` is the day in Paris; `bank_reference` names the statement's line;
    `remittance` is what the customer wrote. `amount_minor` is above zero."""

    id: PaymentId
    tenant_id: TenantId
    amount_minor: int
    currency: str
    received_on: date
    method: PaymentMethod
    bank_reference: str
    remittance: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Allocation:
    """A part of a payment that settles an invoice; `vat_minor` is the VAT that falls due with it.

    Below zero: money that a credit note set free again, with the VAT that the note reversed.
    """

    id: AllocationId
    tenant_id: TenantId
    payment_id: PaymentId
    invoice_id: InvoiceId
    amount_minor: int
    vat_minor: int
    allocated_on: date
    allocated_at: datetime


@dataclass(frozen=True, slots=True)
class Refund:
    """A part of a payment that was paid back; `bank_reference` names the transfer, which may have several parts."""

    id: RefundId
    tenant_id: TenantId
    payment_id: PaymentId
    amount_minor: int
    paid_on: date
    bank_reference: str
    recorded_at: datetime


class SettlementState(StrEnum):
    """How far an invoice is settled; derived, never stored. OVERDUE is open after its due date."""

    OPEN = "OPEN"
    PARTIAL = "PARTIAL"
    SETTLED = "SETTLED"
    OVERDUE = "OVERDUE"


@dataclass(frozen=True, slots=True)
class OpenItem:
    """An issued invoice with what was paid and credited; all in cents, VAT included."""

    invoice_id: InvoiceId
    number: str
    due_on: date
    gross_minor: int
    vat_minor: int
    paid_minor: int
    paid_vat_minor: int
    credited_minor: int
    credited_vat_minor: int
    is_vat_on_payment: bool = True

    @property
    def open_minor(self) -> int:
        return self.gross_minor - self.paid_minor - self.credited_minor

    def state(self, today: date) -> SettlementState:
        if self.open_minor <= 0:
            return SettlementState.SETTLED
        if today > self.due_on:
            return SettlementState.OVERDUE
        return SettlementState.PARTIAL if self.paid_minor or self.credited_minor else SettlementState.OPEN


@dataclass(frozen=True, slots=True)
class Receipt:
    """What recording a payment did: what it settled and what is left over; `is_new` False: it was known."""

    payment: Payment
    allocations: tuple[Allocation, ...]
    left_minor: int
    is_new: bool
