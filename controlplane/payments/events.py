"""What payments tell others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from controlplane.invoicing.domain import InvoiceId
from controlplane.kernel.events import JsonValue, TenantEvent
from controlplane.payments.domain import PaymentId


@dataclass(frozen=True, slots=True)
class PaymentReceived(TenantEvent):
    """Money arrived; amounts in cents."""

    topic: ClassVar[str] = "payment.received"

    payment_id: PaymentId
    amount_minor: int
    left_minor: int

    def payload(self) -> Mapping[str, JsonValue]:
        return {
            "payment_id": str(self.payment_id),
            "amount_minor": self.amount_minor,
            "left_minor": self.left_minor,
        }


@dataclass(frozen=True, slots=True)
class InvoiceCollected(TenantEvent):
    """Money settled an invoice or a part of it: the platform hears of it where VAT falls due on payment (212)."""

    topic: ClassVar[str] = "invoice.collected"

    invoice_id: InvoiceId
    amount_minor: int
    vat_minor: int
    is_settled: bool

    def payload(self) -> Mapping[str, JsonValue]:
        return {
            "invoice_id": str(self.invoice_id),
            "amount_minor": self.amount_minor,
            "vat_minor": self.vat_minor,
            "is_settled": self.is_settled,
        }
