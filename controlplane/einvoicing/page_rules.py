"""What the page shows, as texts: French amounts, dates and labels. Pure: same invoice, same texts."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Final

from controlplane.einvoicing.date_rules import first_day, last_day
from controlplane.invoicing.domain import (
    Buyer,
    Invoice,
    InvoiceKind,
    InvoiceLine,
    PostalAddress,
    Seller,
    Totals,
    VatCategory,
)
from controlplane.invoicing.unit_rules import unit_word
from controlplane.kernel.events import JsonValue

# French typography: thousands are set apart by a narrow no-break space, the sign by a no-break space.
_THOUSANDS: Final = "\u202f"
_NO_BREAK: Final = "\u00a0"
_CURRENCY_SIGNS: Final = {"EUR": "€"}
_HEADINGS: Final = {
    InvoiceKind.INVOICE: ("Facture", "Invoice"),
    InvoiceKind.CREDIT_NOTE: ("Avoir", "Credit note"),
    InvoiceKind.DEPOSIT: ("Facture d'acompte", "Deposit invoice"),
}


def format_decimal(value: Decimal, decimals_min: int = 0) -> str:
    """`1234567.5` as "1 234 567,5"."""
    text = f"{value:f}"
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0").ljust(decimals_min, "0")
    sign, digits = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
    groups = f"{int(digits):,}".replace(",", _THOUSANDS)
    return f"{sign}{groups},{fraction}" if fraction else f"{sign}{groups}"


def format_amount(minor: int, currency: str = "EUR") -> str:
    """`123456` as "1 234,56 €"."""
    return (
        f"{format_decimal(Decimal(minor).scaleb(-2), 2)}{_NO_BREAK}{_CURRENCY_SIGNS.get(currency, currency)}"
    )


def format_date(day: date) -> str:
    return f"{day:%d/%m/%Y}"


def make_page(invoice: Invoice) -> dict[str, JsonValue]:
    """All texts of the page; AssertionError when the invoice is not issued."""
    assert invoice.number is not None
    assert invoice.issued_on is not None
    assert invoice.seller is not None
    assert invoice.buyer is not None
    assert invoice.vat is not None
    heading, heading_en = _HEADINGS[invoice.kind]
    rate = "sans TVA" if invoice.vat.rate is None else f"{format_decimal(invoice.vat.rate)}{_NO_BREAK}%"
    return {
        "title": f"{heading} {invoice.number}",
        "heading": heading,
        "heading_en": heading_en,
        "number": invoice.number,
        "date": {
            "year": invoice.issued_on.year,
            "month": invoice.issued_on.month,
            "day": invoice.issued_on.day,
        },
        "banner": "DÉMONSTRATION – société fictive, document sans valeur" if invoice.seller.is_demo else "",
        "seller": {"name": invoice.seller.legal_name, "lines": _seller_lines(invoice.seller)},
        "buyer": {"name": invoice.buyer.legal_name, "lines": _buyer_lines(invoice.buyer)},
        "facts": _facts(invoice),
        "lines": [_line(line, rate, invoice.currency) for line in invoice.lines],
        "totals": _totals(invoice, rate),
        "exemption": invoice.vat.exemption_text or "",
        "payment": _payment(invoice),
        "notes": [note.text for note in invoice.notes if note.subject not in {"REG", "ABL", "BAR"}],
        "legal_line": _legal_line(invoice.seller),
    }


def _address_lines(address: PostalAddress) -> list[JsonValue]:
    city = f"{address.postal_code} {address.city} ({address.country})".strip()
    return [line for line in (address.line1, address.line2, city) if line]


def _seller_lines(seller: Seller) -> list[JsonValue]:
    return [
        *_address_lines(seller.address),
        f"SIREN {seller.siren} – TVA {seller.vat_id}",
        seller.contact_email,
    ]


def _buyer_lines(buyer: Buyer) -> list[JsonValue]:
    ids = []
    if buyer.siren is not None:
        ids.append(f"SIREN {buyer.siren}")
    if buyer.vat_id is not None:
        ids.append(f"TVA {buyer.vat_id}")
    if not ids and buyer.legal_id is not None:
        ids.append(f"N° d'entreprise {buyer.legal_id}")
    return [*_address_lines(buyer.address), " – ".join(ids)]


def _legal_line(seller: Seller) -> str:
    capital = format_amount(seller.capital_minor)
    return (
        f"{seller.legal_name}, {seller.legal_form} au capital de {capital} – RCS {seller.rcs_city} {seller.siren}"
        f" – TVA {seller.vat_id}"
    )


def _facts(invoice: Invoice) -> list[JsonValue]:
    assert invoice.issued_on is not None
    period = f"{format_date(first_day(invoice.period))} – {format_date(last_day(invoice.period))}"
    facts = [
        ("Date d'émission", "Issue date", format_date(invoice.issued_on)),
        ("Période", "Period", period),
        ("Nature", "Nature", "Prestation de services"),
    ]
    if invoice.due_on is not None:
        facts.append(("Échéance", "Due date", format_date(invoice.due_on)))
    if invoice.purchase_order:
        facts.append(("Bon de commande", "Purchase order", invoice.purchase_order))
    if invoice.preceding is not None:
        original = f"{invoice.preceding.number} du {format_date(invoice.preceding.issued_on)}"
        facts.append(("Facture d'origine", "Original invoice", original))
    facts += [
        ("Acompte déduit", "Deposit deducted", f"{one.number} du {format_date(one.issued_on)}")
        for one in invoice.deposits
    ]
    return [{"fr": fr, "en": en, "value": value} for fr, en, value in facts]


def _line(line: InvoiceLine, rate: str, currency: str) -> JsonValue:
    word = unit_word(line.unit_code)
    base = "" if line.base_quantity == 1 else f"pour {format_decimal(line.base_quantity)}"
    days = f"{format_date(first_day(line.period))} – {format_date(last_day(line.period))}"
    sign = _CURRENCY_SIGNS.get(currency, currency)
    return {
        "position": str(line.position),
        "name": line.name,
        "detail": f"{line.description} – {days}" if line.description else days,
        "quantity": f"{format_decimal(line.quantity)} {word}",
        "price": f"{format_decimal(line.price, 2)}{_NO_BREAK}{sign}",
        "base": base,
        "rate": rate,
        "net": format_amount(line.net_minor, currency),
    }


def _totals(invoice: Invoice, rate: str) -> list[JsonValue]:
    totals: Totals = invoice.totals
    rows: list[tuple[str, str, str, bool]] = []
    if invoice.allowances:
        rows.append(
            ("Total des lignes", "Sum of lines", format_amount(totals.lines_minor, invoice.currency), False)
        )
        rows += [
            (one.reason, "Discount", format_amount(-one.amount_minor, invoice.currency), False)
            for one in invoice.allowances
        ]
    rows.append(("Total HT", "Total before VAT", format_amount(totals.net_minor, invoice.currency), False))
    assert invoice.vat is not None
    name = f"TVA {rate}" if invoice.vat.category is VatCategory.STANDARD else "TVA"
    rows.append((name, "VAT", format_amount(totals.tax_minor, invoice.currency), False))
    gross = format_amount(totals.gross_minor, invoice.currency)
    if invoice.kind is InvoiceKind.CREDIT_NOTE:
        rows.append(("Total à votre crédit TTC", "Total credited", gross, True))
    else:
        rows.append(("Total TTC à payer", "Total due", gross, True))
    return [{"fr": fr, "en": en, "value": value, "is_strong": strong} for fr, en, value, strong in rows]


def _payment(invoice: Invoice) -> str:
    assert invoice.seller is not None
    if invoice.kind is InvoiceKind.CREDIT_NOTE:
        return "À déduire de vos prochains règlements."
    return f"{invoice.payment_terms} IBAN {invoice.seller.iban} – BIC {invoice.seller.bic} – réf. {invoice.number}"
