"""Wire shapes of payments. Amounts are decimal strings in EUR."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from pydantic import Field

from controlplane.payments.domain import (
    Allocation,
    OpenItem,
    Payment,
    PaymentMethod,
    Receipt,
    Refund,
    SettlementState,
)
from controlplane.plumbing.amounts import CURRENCY, AmountText, minor_of, text_of
from controlplane.plumbing.web import WireModel


class PaymentCreate(WireModel):
    organization_id: str = Field(
        max_length=40, description="Who paid.", examples=["org_01k0000000000000000000000a"]
    )
    amount: AmountText = Field(description="What arrived, in EUR.", examples=["120.00"])
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
        return minor_of(self.amount)


class SettledShape(WireModel):
    invoice_id: str = Field(description="Invoice.", examples=["inv_01k0000000000000000000000a"])
    amount: str = Field(description="Part of the payment, in its currency.", examples=["120.00"])
    vat: str = Field(description="VAT that falls due with it, in the same currency.", examples=["20.00"])

    @classmethod
    def of(cls, one: Allocation) -> SettledShape:
        return cls(
            invoice_id=str(one.invoice_id), amount=text_of(one.amount_minor), vat=text_of(one.vat_minor)
        )


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
            id=str(payment.id), organization_id=str(payment.tenant_id), amount=text_of(payment.amount_minor),
            currency=payment.currency, received_on=payment.received_on, method=payment.method,
            bank_reference=payment.bank_reference, remittance=payment.remittance, recorded_at=payment.recorded_at,
        )  # fmt: skip


class ReceiptAnswer(WireModel):
    payment: PaymentShape = Field(description="The payment.")
    settles: list[SettledShape] = Field(description="What it settles.")
    left_over: str = Field(description="What stays the customer's, in EUR.", examples=["0.00"])
    is_new: bool = Field(description="False when the reference was recorded before.", examples=[True])

    @classmethod
    def of(cls, receipt: Receipt) -> ReceiptAnswer:
        return cls(
            payment=PaymentShape.of(receipt.payment),
            settles=[SettledShape.of(one) for one in receipt.allocations],
            left_over=text_of(receipt.left_minor),
            is_new=receipt.is_new,
        )


class MatchAnswer(WireModel):
    settles: list[SettledShape] = Field(description="What was settled; empty when nothing was left over.")

    @classmethod
    def of(cls, allocations: Sequence[Allocation]) -> MatchAnswer:
        return cls(settles=[SettledShape.of(one) for one in allocations])


class RefundCreate(WireModel):
    amount: AmountText = Field(description="What was paid back, in EUR.", examples=["12.00"])
    paid_on: date = Field(description="Day on the bank statement.", examples=["2026-11-25"])
    bank_reference: str = Field(
        min_length=1,
        max_length=100,
        description="The statement's line; recorded once.",
        examples=["2026-11-25/3"],
    )

    def minor(self) -> int:
        return minor_of(self.amount)


class RefundShape(WireModel):
    id: str = Field(description="Id.", examples=["rfd_01k0000000000000000000000a"])
    payment_id: str = Field(
        description="Payment that the money came from.", examples=["pay_01k0000000000000000000000a"]
    )
    amount: str = Field(description="Part that was paid back.", examples=["12.00"])
    currency: str = Field(description="Currency.", examples=["EUR"])
    paid_on: date = Field(description="Day on the bank statement.", examples=["2026-11-25"])
    bank_reference: str = Field(description="The statement's line.", examples=["2026-11-25/3"])

    @classmethod
    def of(cls, one: Refund) -> RefundShape:
        return cls(
            id=str(one.id), payment_id=str(one.payment_id), amount=text_of(one.amount_minor), currency=CURRENCY,
            paid_on=one.paid_on, bank_reference=one.bank_reference,
        )  # fmt: skip


class RefundAnswer(WireModel):
    refunds: list[RefundShape] = Field(description="The payments that it came out of.")


class PaymentList(WireModel):
    payments: list[PaymentShape] = Field(description="Newest first.")
    limit: int = Field(description="How many a page holds.", examples=[50])
    has_next: bool = Field(description="There are more.", examples=[False])
    next_cursor: str | None = Field(description="Cursor of the next page.", examples=[None])


class BalanceShape(WireModel):
    invoice_id: str = Field(description="Invoice.", examples=["inv_01k0000000000000000000000a"])
    number: str = Field(description="Its number.", examples=["RMP-2026-000001"])
    currency: str = Field(description="ISO 4217, of every amount here.", examples=["EUR"])
    due_on: date = Field(description="When it is due.", examples=["2026-12-02"])
    gross: str = Field(description="Its total.", examples=["120.00"])
    paid: str = Field(description="What was paid.", examples=["0.00"])
    credited: str = Field(description="What was credited.", examples=["0.00"])
    open: str = Field(description="What is open; negative: in the customer's favour.", examples=["120.00"])
    state: SettlementState = Field(description="How far it is settled.", examples=["OPEN"])

    @classmethod
    def of(cls, item: OpenItem, today: date) -> BalanceShape:
        return cls(
            invoice_id=str(item.invoice_id), number=item.number, currency=CURRENCY, due_on=item.due_on,
            gross=text_of(item.gross_minor), paid=text_of(item.paid_minor), credited=text_of(item.credited_minor),
            open=text_of(item.open_minor), state=item.state(today),
        )  # fmt: skip


class BalanceList(WireModel):
    invoices: list[BalanceShape] = Field(description="Issued invoices, oldest first.")
