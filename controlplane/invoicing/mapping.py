"""Rows of the room as values, and values as columns."""

from __future__ import annotations

from datetime import date
from typing import Any

from pydantic import TypeAdapter

from controlplane.invoicing.domain import (
    Allowance,
    Buyer,
    Hold,
    Invoice,
    InvoiceId,
    InvoiceKind,
    InvoiceLine,
    InvoiceState,
    Note,
    Preceding,
    Seller,
    Totals,
    VatBreakdown,
    VatIdAnswer,
    VatIdStatus,
    VatTreatment,
)
from controlplane.invoicing.models import InvoiceLineRow, InvoiceRow, VatCheckRow
from controlplane.kernel.period import Period

_SELLER = TypeAdapter(Seller)
_BUYER = TypeAdapter(Buyer)
_VAT = TypeAdapter(VatTreatment)
_HOLD = TypeAdapter(Hold)
_TOTALS = TypeAdapter(Totals)
_ALLOWANCES = TypeAdapter(tuple[Allowance, ...])
_BREAKDOWN = TypeAdapter(tuple[VatBreakdown, ...])
_NOTES = TypeAdapter(tuple[Note, ...])


def to_seller(facts: dict[str, Any]) -> Seller:
    return _SELLER.validate_python(facts)


def from_seller(seller: Seller) -> dict[str, Any]:
    facts: dict[str, Any] = _SELLER.dump_python(seller, mode="json")
    return facts


def to_columns(invoice: Invoice) -> dict[str, Any]:
    """What may change between draft and issue."""
    preceding = None if invoice.preceding is None else _write_preceding(invoice.preceding)
    return {
        "state": invoice.state,
        "currency": invoice.currency,
        "billing_mode": invoice.billing_mode,
        "seller": None if invoice.seller is None else _SELLER.dump_python(invoice.seller, mode="json"),
        "buyer": None if invoice.buyer is None else _BUYER.dump_python(invoice.buyer, mode="json"),
        "vat": None if invoice.vat is None else _VAT.dump_python(invoice.vat, mode="json"),
        "hold": None if invoice.hold is None else _HOLD.dump_python(invoice.hold, mode="json"),
        "preceding": preceding,
        "deposits": [_write_preceding(one) for one in invoice.deposits],
        "allowances": _ALLOWANCES.dump_python(invoice.allowances, mode="json"),
        "breakdown": _BREAKDOWN.dump_python(invoice.breakdown, mode="json"),
        "totals": _TOTALS.dump_python(invoice.totals, mode="json"),
        "notes": _NOTES.dump_python(invoice.notes, mode="json"),
        "gross_minor": invoice.totals.gross_minor,
        "payment_terms": invoice.payment_terms,
        "purchase_order": invoice.purchase_order,
        "is_issue_wanted": invoice.is_issue_wanted,
        "number": invoice.number,
        "issued_on": invoice.issued_on,
        "due_on": invoice.due_on,
        "issued_at": invoice.issued_at,
        "provenance": dict(invoice.provenance),
        "version": invoice.version,
        "updated_at": invoice.updated_at,
    }


def to_line_columns(invoice: Invoice, line: InvoiceLine) -> dict[str, Any]:
    return {
        "tenant_id": invoice.tenant_id,
        "invoice_id": invoice.id,
        "position": line.position,
        "sku": line.sku,
        "name": line.name,
        "description": line.description,
        "quantity": line.quantity,
        "unit_code": line.unit_code,
        "price": line.price,
        "base_quantity": line.base_quantity,
        "net_minor": line.net_minor,
        "period_start": line.period.start,
        "period_end": line.period.end,
        "calculation": list(line.calculation),
        "price_version": line.price_version,
        "is_correction": line.is_correction,
        "project_id": line.project_id,
        "service_id": line.service_id,
        "credited_position": line.credited_position,
    }


def to_line(row: InvoiceLineRow) -> InvoiceLine:
    return InvoiceLine(
        position=row.position,
        sku=row.sku,
        name=row.name,
        description=row.description,
        quantity=row.quantity,
        unit_code=row.unit_code,
        price=row.price,
        base_quantity=row.base_quantity,
        net_minor=row.net_minor,
        period=Period(row.period_start, row.period_end),
        calculation=tuple(row.calculation),
        price_version=row.price_version,
        is_correction=row.is_correction,
        project_id=row.project_id,
        service_id=row.service_id,
        credited_position=row.credited_position,
    )


def to_invoice(row: InvoiceRow, lines: tuple[InvoiceLine, ...]) -> Invoice:
    return Invoice(
        id=row.id,
        tenant_id=row.tenant_id,
        kind=InvoiceKind(row.kind),
        state=InvoiceState(row.state),
        period=Period(row.period_start, row.period_end),
        currency=row.currency,
        billing_mode=row.billing_mode,
        seller=None if row.seller is None else to_seller(row.seller),
        buyer=None if row.buyer is None else _BUYER.validate_python(row.buyer),
        vat=None if row.vat is None else _VAT.validate_python(row.vat),
        lines=lines,
        allowances=_ALLOWANCES.validate_python(row.allowances),
        breakdown=_BREAKDOWN.validate_python(row.breakdown),
        totals=_TOTALS.validate_python(row.totals),
        notes=_NOTES.validate_python(row.notes),
        payment_terms=row.payment_terms,
        hold=None if row.hold is None else _HOLD.validate_python(row.hold),
        preceding=None if row.preceding is None else _read_preceding(row.preceding),
        deposits=tuple(_read_preceding(one) for one in row.deposits),
        purchase_order=row.purchase_order,
        is_issue_wanted=row.is_issue_wanted,
        number=row.number,
        issued_on=row.issued_on,
        due_on=row.due_on,
        issued_at=row.issued_at,
        provenance=row.provenance,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def to_answer(row: VatCheckRow) -> VatIdAnswer:
    return VatIdAnswer(
        vat_id=row.vat_id,
        status=VatIdStatus(row.status),
        checked_at=row.checked_at,
        consultation_number=row.consultation_number,
        source=row.source,
        is_simulated=row.is_simulated,
    )


def _read_preceding(facts: dict[str, Any]) -> Preceding:
    return Preceding(
        InvoiceId.parse(facts["invoice_id"]), facts["number"], date.fromisoformat(facts["issued_on"])
    )


def _write_preceding(preceding: Preceding) -> dict[str, Any]:
    return {
        "invoice_id": str(preceding.invoice_id),
        "number": preceding.number,
        "issued_on": preceding.issued_on.isoformat(),
    }
