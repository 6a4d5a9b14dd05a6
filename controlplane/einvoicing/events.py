"""What e-invoicing tells others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from controlplane.invoicing.domain import InvoiceId
from controlplane.kernel.events import JsonValue, TenantEvent


@dataclass(frozen=True, slots=True)
class EInvoiceArchived(TenantEvent):
    """The files of an invoice exist and never change; `sha256` is the Factur-X file's."""

    topic: ClassVar[str] = "einvoice.archived"

    invoice_id: InvoiceId
    sha256: str

    def payload(self) -> Mapping[str, JsonValue]:
        return {"invoice_id": str(self.invoice_id), "sha256": self.sha256}
