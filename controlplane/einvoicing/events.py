"""What e-invoicing tells others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from controlplane.invoicing.domain import InvoiceId
from controlplane.kernel.events import DomainEvent, JsonValue
from controlplane.kernel.ids import TenantId


@dataclass(frozen=True, slots=True)
class EInvoiceArchived(DomainEvent):
    """The files of an invoice exist and never change; `sha256` is the Factur-X file's."""

    topic: ClassVar[str] = "einvoice.archived"

    tenant_id: TenantId
    invoice_id: InvoiceId
    sha256: str

    @property
    def tenant(self) -> TenantId:
        return self.tenant_id

    def payload(self) -> Mapping[str, JsonValue]:
        return {"invoice_id": str(self.invoice_id), "sha256": self.sha256}
