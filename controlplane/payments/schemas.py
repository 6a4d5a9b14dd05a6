"""Wire shapes of payments. Amounts are decimal strings in EUR."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal

from pydantic import Field

from controlplane.payments.domain import (
    Allocation,
    OpenItem,
    Payment,
    PaymentMethod,
    Receipt,
    SettlementState,
)
from controlplane.plumbing.web import WireModel


def amount(minor: int) -> str:
    return f"{Decimal(minor).scaleb(-2):.2f}"


class PaymentCreate(WireModel):
    organization_id: str = Field(
        max_length=40, description="Who paid.", examples=["org_01k0000000000000000000000a"]
    )
    amount: str = Field(
        pattern=r"^[0-9]{1,13}(\.[0-9]{1,2})?$", description="What arrived, in EUR.", examples=["120.00"]
    )
    received_on: date = Field(description="Day on the bank statement.", examples=["2026-11-20"])
    bank_reference: str = Field(
        min_length=1,
        max_length=100,
        description="The statement's line; recorded once.",
        examples=["2026-11-20/17"],
    )
    remittance: str = Field(
        default="", max_length=140, description="What the customer wrote.", examples=["RMP-2026-000001"]
    )
    method: PaymentMethod = Field(default=PaymentMethod.TRANSFER, description="How.", examples=["TRANSFER"])

    def minor(self) -> int:
        return int(Decimal(self.amount).scaleb(2))


class SettledShape(WireModel):
    invoice_id: str = Field(description="Invoice.", examples=["inv_01k0000000000000000000000a"])
    amount: str = Field(description="Part of the payment.", examples=["120.00"])
    vat: str = Field(description="VAT that falls due with it.", examples=["20.00"])

    @classmethod
    def of(cls, one: Allocation) -> SettledShape:
        return cls(invoice_id=str(one.invoice_id), amount=amount(one.amount_minor), vat=amount(one.vat_minor))


class PaymentShape(WireModel):
    id: str = Field(description="Id.", examples=["pay_01k0000000000000000000000a"])
    organization_id: str = Field(description="Who paid.", examples=["org_01k0000000000000000000000a"])
    amount: str = Field(description="What arrived.", examples=["120.00"])
    currency: str = Field(description="Currency.", examples=["EUR"])
    received_on: date = Field(description="Day on the bank statement.", examples=["2026-11-20"])
    method: PaymentMethod = Field(description="How.", examples=["TRANSFER"])
    bank_reference: str = Field(description="The statement's line.", examples=["2026-11-20/17"])
    remittance: str = Field(description="What the customer wrote.", examples=["RMP-2026-000001"])
    recorded_at: datetime = Field(description="When it was recorded.", examples=["2026-11-20T09:00:00Z"])

    @classmethod
    def of(cls, payment: Payment) -> PaymentShape:
        return cls(
            id=str(payment.id), organization_id=str(payment.tenant_id), amount=amount(payment.amount_minor),
            currency=payment.currency, received_on=payment.received_on, method=payment.method,
            bank_reference=payment.bank_reference, remittance=payment.remittance, recorded_at=payment.recorded_at,
        )  # fmt: skip


class ReceiptAnswer(WireModel):
    payment: PaymentShape = Field(description="The payment.")
    settles: list[SettledShape] = Field(description="What it settles.")
    left_over: str = Field(description="What stays the customer's.", examples=["0.00"])
    is_new: bool = Field(description="False when the reference was recorded before.", examples=[True])

    @classmethod
    def of(cls, receipt: Receipt) -> ReceiptAnswer:
        return cls(
            payment=PaymentShape.of(receipt.payment),
            settles=[SettledShape.of(one) for one in receipt.allocations],
            left_over=amount(receipt.left_minor),
            is_new=receipt.is_new,
        )


class MatchAnswer(WireModel):
    settles: list[SettledShape] = Field(description="What was settled; empty when nothing was left over.")

    @classmethod
    def of(cls, allocations: Sequence[Allocation]) -> MatchAnswer:
        return cls(settles=[SettledShape.of(one) for one in allocations])


class PaymentList(WireModel):
    payments: list[PaymentShape] = Field(description="Newest first.")
    limit: int = Field(description="How many a page holds.", examples=[50])
    has_next: bool = Field(description="There are more.", examples=[False])
    next_cursor: str | None = Field(description="Cursor of the next page.", examples=[None])


class BalanceShape(WireModel):
    invoice_id: str = Field(description="Invoice.", examples=["inv_01k0000000000000000000000a"])
    number: str = Field(description="Its number.", examples=["RMP-2026-000001"])
    due_on: date = Field(description="When it is due.", examples=["2026-12-02"])
    gross: str = Field(description="Its total.", examples=["120.00"])
    paid: str = Field(description="What was paid.", examples=["0.00"])
    credited: str = Field(description="What was credited.", examples=["0.00"])
    open: str = Field(description="What is open; negative: in the customer's favour.", examples=["120.00"])
    state: SettlementState = Field(description="How far it is settled.", examples=["OPEN"])

    @classmethod
    def of(cls, item: OpenItem, today: date) -> BalanceShape:
        return cls(
            invoice_id=str(item.invoice_id), number=item.number, due_on=item.due_on,
            gross=amount(item.gross_minor), paid=amount(item.paid_minor), credited=amount(item.credited_minor),
            open=amount(item.open_minor), state=item.state(today),
        )  # fmt: skip


class BalanceList(WireModel):
    invoices: list[BalanceShape] = Field(description="Issued invoices, oldest first.")
