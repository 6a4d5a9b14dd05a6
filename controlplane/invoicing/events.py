"""What invoicing tells others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from controlplane.invoicing.domain import InvoiceId
from controlplane.kernel.events import JsonValue, TenantEvent


@dataclass(frozen=True, slots=True)
class InvoiceDrafted(TenantEvent):
    """A draft was computed: it is READY, or HELD with a reason."""

    topic: ClassVar[str] = "invoice.drafted"

    invoice_id: InvoiceId
    state: str
    hold_code: str | None

    def payload(self) -> Mapping[str, JsonValue]:
        return {"invoice_id": str(self.invoice_id), "state": self.state, "hold_code": self.hold_code}


@dataclass(frozen=True, slots=True)
class InvoiceIssued(TenantEvent):
    """An invoice or credit note got its number and will never change. Amounts in minor units."""

    topic: ClassVar[str] = "invoice.issued"

    invoice_id: InvoiceId
    number: str
    kind: str
    gross_minor: int
    currency: str

    def payload(self) -> Mapping[str, JsonValue]:
        return {
            "invoice_id": str(self.invoice_id),
            "number": self.number,
            "kind": self.kind,
            "gross_minor": self.gross_minor,
            "currency": self.currency,
        }


@dataclass(frozen=True, slots=True)
class VatCheckWanted(TenantEvent):
    """A draft waits for an answer about a VAT number: somebody asks VIES outside the transaction."""

    topic: ClassVar[str] = "vat_check.wanted"

    vat_id: str
    country: str

    def payload(self) -> Mapping[str, JsonValue]:
        return {"vat_id": self.vat_id, "country": self.country}


@dataclass(frozen=True, slots=True)
class VatChecked(TenantEvent):
    """An answer about a VAT number was recorded; what waited for it can be tried again."""

    topic: ClassVar[str] = "vat_check.recorded"

    vat_id: str
    status: str

    def payload(self) -> Mapping[str, JsonValue]:
        return {"vat_id": self.vat_id, "status": self.status}
