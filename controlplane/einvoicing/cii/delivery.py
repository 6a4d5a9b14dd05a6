"""BG-13: when the service was completed."""

from __future__ import annotations

from controlplane.einvoicing.cii.elements import add, add_date, block
from controlplane.einvoicing.date_rules import last_day
from controlplane.einvoicing.xml_door import Element
from controlplane.invoicing.domain import Invoice


def add_delivery(trade: Element, invoice: Invoice) -> None:
    """BT-72 is the period's last day: a month of usage is complete when the month is."""
    with block(trade, "ram:ApplicableHeaderTradeDelivery") as delivery:
        event = add(delivery, "ram:ActualDeliverySupplyChainEvent")
        add_date(event, "ram:OccurrenceDateTime", last_day(invoice.period))
