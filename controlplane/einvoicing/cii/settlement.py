"""BG-16 to BG-23 and BG-3: payment, VAT, allowances, terms, totals, the invoices that this one refers to."""

from __future__ import annotations

from typing import Final

from controlplane.einvoicing.cii.elements import add, add_date, amount, block, number
from controlplane.einvoicing.date_rules import first_day, last_day
from controlplane.einvoicing.xml_door import Element
from controlplane.invoicing.domain import (
    Allowance,
    Invoice,
    Preceding,
    VatBreakdown,
    VatCategory,
    VatTreatment,
)

# UNTDID 4461: SEPA credit transfer.
_SEPA_TRANSFER: Final = "58"
# BT-8 (UNTDID 2475 in CII): VAT falls due when paid, or on the invoice under the debits option.
_DUE_WHEN_PAID: Final = "72"
_DUE_ON_INVOICE: Final = "5"
# UNTDID 5189: discount.
_DISCOUNT: Final = "95"


def add_settlement(trade: Element, invoice: Invoice) -> None:
    assert invoice.seller is not None
    assert invoice.number is not None
    assert invoice.vat is not None
    with block(trade, "ram:ApplicableHeaderTradeSettlement") as settlement:
        add(settlement, "ram:PaymentReference", invoice.number)
        add(settlement, "ram:InvoiceCurrencyCode", invoice.currency)
        with block(settlement, "ram:SpecifiedTradeSettlementPaymentMeans") as means:
            add(means, "ram:TypeCode", _SEPA_TRANSFER)
            add(add(means, "ram:PayeePartyCreditorFinancialAccount"), "ram:IBANID", invoice.seller.iban)
            add(add(means, "ram:PayeeSpecifiedCreditorFinancialInstitution"), "ram:BICID", invoice.seller.bic)
        for row in invoice.breakdown:
            _add_tax(settlement, row, invoice.vat, is_on_debits=invoice.seller.is_vat_on_debits)
        with block(settlement, "ram:BillingSpecifiedPeriod") as period:
            add_date(period, "ram:StartDateTime", first_day(invoice.period))
            add_date(period, "ram:EndDateTime", last_day(invoice.period))
        for allowance in invoice.allowances:
            _add_allowance(settlement, allowance, invoice.vat)
        with block(settlement, "ram:SpecifiedTradePaymentTerms") as terms:
            add(terms, "ram:Description", invoice.payment_terms)
            if invoice.due_on is not None:
                add_date(terms, "ram:DueDateDateTime", invoice.due_on)
        _add_totals(settlement, invoice)
        for preceding in (*((invoice.preceding,) if invoice.preceding else ()), *invoice.deposits):
            _add_reference(settlement, preceding)


def _add_tax(settlement: Element, row: VatBreakdown, vat: VatTreatment, *, is_on_debits: bool) -> None:
    with block(settlement, "ram:ApplicableTradeTax") as tax:
        add(tax, "ram:CalculatedAmount", amount(row.tax_minor))
        add(tax, "ram:TypeCode", "VAT")
        if vat.exemption_text:
            add(tax, "ram:ExemptionReason", vat.exemption_text)
        add(tax, "ram:BasisAmount", amount(row.taxable_minor))
        add(tax, "ram:CategoryCode", row.category)
        if vat.vatex:
            add(tax, "ram:ExemptionReasonCode", vat.vatex)
        if row.category is VatCategory.STANDARD:
            add(tax, "ram:DueDateTypeCode", _DUE_ON_INVOICE if is_on_debits else _DUE_WHEN_PAID)
        if row.rate is not None:
            add(tax, "ram:RateApplicablePercent", number(row.rate))


def _add_allowance(settlement: Element, allowance: Allowance, vat: VatTreatment) -> None:
    with block(settlement, "ram:SpecifiedTradeAllowanceCharge") as group:
        add(add(group, "ram:ChargeIndicator"), "udt:Indicator", "false")
        add(group, "ram:ActualAmount", amount(allowance.amount_minor))
        add(group, "ram:ReasonCode", _DISCOUNT)
        add(group, "ram:Reason", allowance.reason)
        with block(group, "ram:CategoryTradeTax") as tax:
            add(tax, "ram:TypeCode", "VAT")
            add(tax, "ram:CategoryCode", vat.category)
            if vat.rate is not None:
                add(tax, "ram:RateApplicablePercent", number(vat.rate))


def _add_totals(settlement: Element, invoice: Invoice) -> None:
    totals = invoice.totals
    with block(settlement, "ram:SpecifiedTradeSettlementHeaderMonetarySummation") as group:
        add(group, "ram:LineTotalAmount", amount(totals.lines_minor))
        if invoice.allowances:
            add(group, "ram:AllowanceTotalAmount", amount(totals.allowance_minor))
        add(group, "ram:TaxBasisTotalAmount", amount(totals.net_minor))
        add(group, "ram:TaxTotalAmount", amount(totals.tax_minor), currencyID=invoice.currency)
        add(group, "ram:GrandTotalAmount", amount(totals.gross_minor))
        add(group, "ram:DuePayableAmount", amount(totals.due_minor))


def _add_reference(settlement: Element, preceding: Preceding) -> None:
    with block(settlement, "ram:InvoiceReferencedDocument") as reference:
        add(reference, "ram:IssuerAssignedID", preceding.number)
        add_date(reference, "ram:FormattedIssueDateTime", preceding.issued_on, kind="qdt")
