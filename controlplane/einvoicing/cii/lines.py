"""BG-25 to BG-31: one line, its price, its VAT and its period."""

from __future__ import annotations

from controlplane.einvoicing.cii.elements import add, add_date, amount, block, number
from controlplane.einvoicing.date_rules import first_day, last_day
from controlplane.einvoicing.xml_door import Element
from controlplane.invoicing.domain import Invoice, InvoiceLine


def add_line(trade: Element, invoice: Invoice, line: InvoiceLine) -> None:
    assert invoice.vat is not None
    with block(trade, "ram:IncludedSupplyChainTradeLineItem") as item:
        add(add(item, "ram:AssociatedDocumentLineDocument"), "ram:LineID", str(line.position))
        with block(item, "ram:SpecifiedTradeProduct") as product:
            add(product, "ram:SellerAssignedID", line.sku)
            add(product, "ram:Name", line.name)
            if line.description:
                add(product, "ram:Description", line.description)
        with block(add(item, "ram:SpecifiedLineTradeAgreement"), "ram:NetPriceProductTradePrice") as price:
            add(price, "ram:ChargeAmount", number(line.price))
            add(price, "ram:BasisQuantity", number(line.base_quantity), unitCode=line.unit_code)
        with block(item, "ram:SpecifiedLineTradeDelivery") as delivery:
            add(delivery, "ram:BilledQuantity", number(line.quantity), unitCode=line.unit_code)
        with block(item, "ram:SpecifiedLineTradeSettlement") as settlement:
            with block(settlement, "ram:ApplicableTradeTax") as tax:
                add(tax, "ram:TypeCode", "VAT")
                add(tax, "ram:CategoryCode", invoice.vat.category)
                # A line outside the scope of VAT must show no rate at all (BR-O-05).
                if invoice.vat.rate is not None:
                    add(tax, "ram:RateApplicablePercent", number(invoice.vat.rate))
            with block(settlement, "ram:BillingSpecifiedPeriod") as period:
                add_date(period, "ram:StartDateTime", first_day(line.period))
                add_date(period, "ram:EndDateTime", last_day(line.period))
            with block(settlement, "ram:SpecifiedTradeSettlementLineMonetarySummation") as summation:
                add(summation, "ram:LineTotalAmount", amount(line.net_minor))
