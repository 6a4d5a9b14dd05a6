"""Wire shapes of e-invoices."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from controlplane.einvoicing.domain import LABELS, EInvoice, EInvoiceState, Status
from controlplane.plumbing.web import WireModel


class StatusShape(WireModel):
    code: int = Field(description="Status of the French reform.", examples=[200])
    label: str = Field(description="Its French name.", examples=["Déposée"])
    reason: str = Field(description="Reason, where one is due.", examples=[""])
    source: str = Field(description="Who says so.", examples=["platform"])
    is_simulated: bool = Field(description="No platform said so.", examples=[False])
    occurred_at: datetime = Field(description="When.", examples=["2026-11-02T09:00:00Z"])

    @classmethod
    def of(cls, status: Status) -> StatusShape:
        return cls(
            code=int(status.code), label=LABELS[status.code], reason=status.reason, source=status.source,
            is_simulated=status.is_simulated, occurred_at=status.occurred_at,
        )  # fmt: skip


class EInvoiceAnswer(WireModel):
    state: EInvoiceState = Field(description="Where the document stands.", examples=["NOT_TRANSMITTED"])
    profile: str = Field(description="Its profile (BT-24).", examples=["urn:cen.eu:en16931:2017"])
    message: str = Field(description="What failed or was answered.", examples=["null platform: …"])
    statuses: list[StatusShape] = Field(description="Its life cycle, oldest first.")

    @classmethod
    def of(cls, einvoice: EInvoice | None, statuses: list[Status]) -> EInvoiceAnswer:
        return cls(
            state=EInvoiceState.PENDING if einvoice is None else einvoice.state,
            profile="" if einvoice is None else einvoice.profile,
            message="" if einvoice is None else einvoice.message,
            statuses=[StatusShape.of(status) for status in statuses],
        )


class EInvoiceRowShape(WireModel):
    invoice_id: str = Field(description="Invoice.", examples=["inv_01k0000000000000000000000a"])
    organization_id: str = Field(description="Whose it is.", examples=["org_01k0000000000000000000000a"])
    number: str | None = Field(description="Its number.", examples=["RMP-2026-000001"])
    state: EInvoiceState = Field(description="Where its files stand.", examples=["RENDER_FAILED"])
    message: str = Field(description="What failed or was answered.", examples=["BR-CO-09: …"])
    updated_at: datetime = Field(description="Since when.", examples=["2026-11-02T09:00:00Z"])

    @classmethod
    def of(cls, one: EInvoice, number: str | None) -> EInvoiceRowShape:
        return cls(
            invoice_id=str(one.invoice_id), organization_id=str(one.tenant_id), number=number, state=one.state,
            message=one.message, updated_at=one.updated_at,
        )  # fmt: skip


class EInvoiceList(WireModel):
    e_invoices: list[EInvoiceRowShape] = Field(description="Newest first.")
    limit: int = Field(description="How many a page holds.", examples=[50])
    has_next: bool = Field(description="There are more.", examples=[False])
    next_cursor: str | None = Field(description="Cursor of the next page.", examples=[None])
