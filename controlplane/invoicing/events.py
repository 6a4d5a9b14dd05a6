"""What invoicing tells others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from controlplane.invoicing.domain import InvoiceId
from controlplane.kernel.events import DomainEvent, JsonValue
from controlplane.kernel.ids import TenantId


@dataclass(frozen=True, slots=True)
class InvoiceDrafted(DomainEvent):
    """A draft was computed: it is READY, or HELD with a reason."""

    topic: ClassVar[str] = "invoice.drafted"

    tenant_id: TenantId
    invoice_id: InvoiceId
    state: str
    hold_code: str | None

    @property
    def tenant(self) -> TenantId:
        return self.tenant_id

    def payload(self) -> Mapping[str, JsonValue]:
        return {"invoice_id": str(self.invoice_id), "state": self.state, "hold_code": self.hold_code}


@dataclass(frozen=True, slots=True)
class InvoiceIssued(DomainEvent):
    """An invoice or credit note got its number and will never change. Amounts in minor units."""

    topic: ClassVar[str] = "invoice.issued"

    tenant_id: TenantId
    invoice_id: InvoiceId
    number: str
    kind: str
    gross_minor: int
    currency: str

    @property
    def tenant(self) -> TenantId:
        return self.tenant_id

    def payload(self) -> Mapping[str, JsonValue]:
        return {
            "invoice_id": str(self.invoice_id),
            "number": self.number,
            "kind": self.kind,
            "gross_minor": self.gross_minor,
            "currency": self.currency,
        }


@dataclass(frozen=True, slots=True)
class VatCheckWanted(DomainEvent):
    """A draft waits for an answer about a VAT number: somebody asks VIES outside the transaction."""

    topic: ClassVar[str] = "vat_check.wanted"

    tenant_id: TenantId
    vat_id: str
    country: str

    @property
    def tenant(self) -> TenantId:
        return self.tenant_id

    def payload(self) -> Mapping[str, JsonValue]:
        return {"vat_id": self.vat_id, "country": self.country}


@dataclass(frozen=True, slots=True)
class VatChecked(DomainEvent):
    """An answer about a VAT number was recorded; what waited for it can be tried again."""

    topic: ClassVar[str] = "vat_check.recorded"

    tenant_id: TenantId
    vat_id: str
    status: str

    @property
    def tenant(self) -> TenantId:
        return self.tenant_id

    def payload(self) -> Mapping[str, JsonValue]:
        return {"vat_id": self.vat_id, "status": self.status}
