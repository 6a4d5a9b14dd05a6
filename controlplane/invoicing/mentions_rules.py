"""Every mention that a business service invoice must carry, as rows with their source; none may be missing.

An invoice that lacks one is not issued (CGI 1737 II: 15 € a missing mention; C. com. L441-9: up to 375,000 €).
The rows of docs/french-law.md (table "Mentions") and these are the same, in the same order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from controlplane.invoicing.deposit_rules import AFTER_DEPOSIT_MODE, is_deduction
from controlplane.invoicing.domain import Buyer, Invoice, InvoiceKind, Seller, VatCategory
from controlplane.invoicing.numbering_rules import NUMBER
from controlplane.invoicing.terms_rules import PERIODIC_PAYMENT_DAYS_MAX, RECOVERY_EUR
from controlplane.tenancy.party_rules import is_valid_siren

DEBITS_TEXT: Final = "Option pour le paiement de la taxe d'après les débits"


@dataclass(frozen=True, slots=True)
class Mention:
    """One mention: `id` is stable, `source` the article, `term` the EN 16931 terms that carry it.

    `is_present` answers True also where the mention does not concern the invoice. `needs_number`: known only once
    the number and the dates are, so it is checked in the issuing transaction after they were taken.
    """

    id: str
    text: str
    source: str
    term: str
    is_present: Callable[[Invoice], bool]
    needs_number: bool = False


def missing_mentions(invoice: Invoice, *, is_numbered: bool) -> tuple[Mention, ...]:
    """List the mentions that an invoice lacks; before it has a number, those that need one are left out."""
    return tuple(
        row for row in MENTIONS if (is_numbered or not row.needs_number) and not row.is_present(invoice)
    )


def _seller(check: Callable[[Seller], bool]) -> Callable[[Invoice], bool]:
    return lambda invoice: invoice.seller is not None and check(invoice.seller)


def _buyer(check: Callable[[Buyer], bool]) -> Callable[[Invoice], bool]:
    return lambda invoice: invoice.buyer is not None and check(invoice.buyer)


def _has_address(party: Seller | Buyer) -> bool:
    address = party.address
    return all((address.line1.strip(), address.city.strip(), len(address.country) == 2))


def _buyer_is_named(buyer: Buyer) -> bool:
    in_france = buyer.address.country == "FR"
    identity = buyer.siren is not None if in_france else bool(buyer.vat_id or buyer.legal_id)
    return bool(buyer.legal_name.strip()) and _has_address(buyer) and identity


def _has_both_vat_ids(invoice: Invoice) -> bool:
    if invoice.vat is None or invoice.vat.category is not VatCategory.REVERSE_CHARGE:
        return True
    return bool(invoice.seller and invoice.seller.vat_id and invoice.buyer and invoice.buyer.vat_id)


def _has_line_facts(invoice: Invoice) -> bool:
    return bool(invoice.lines) and all(
        line.name.strip() and line.unit_code and line.base_quantity > 0 and line.quantity != 0
        for line in invoice.lines
    )


def _has_rate_or_exemption(invoice: Invoice) -> bool:
    if invoice.vat is None:
        return False
    if invoice.vat.category is VatCategory.STANDARD:
        return invoice.vat.rate is not None and invoice.vat.rate > 0
    return bool(invoice.vat.exemption_text and invoice.vat.vatex)


def _has_reverse_charge_word(invoice: Invoice) -> bool:
    if invoice.vat is None or invoice.vat.category is not VatCategory.REVERSE_CHARGE:
        return True
    return (invoice.vat.exemption_text or "").startswith("Autoliquidation")


def _has_debits_option(invoice: Invoice) -> bool:
    if invoice.seller is None or not invoice.seller.is_vat_on_debits:
        return True
    return any(DEBITS_TEXT in note.text for note in invoice.notes)


def _has_breakdown(invoice: Invoice) -> bool:
    return bool(invoice.breakdown) and invoice.totals.tax_minor == sum(r.tax_minor for r in invoice.breakdown)


def _has_note(subject: str) -> Callable[[Invoice], bool]:
    """Exactly once: the platform's rules BR-FR-05 and BR-FR-06."""
    return lambda invoice: (
        len([note for note in invoice.notes if note.subject == subject and note.text.strip()]) == 1
    )


def _has_recovery_note(invoice: Invoice) -> bool:
    amounts = [str(RECOVERY_EUR) in note.text for note in invoice.notes if note.subject == "PMT"]
    return amounts == [True]


def _has_lawful_due_date(invoice: Invoice) -> bool:
    if invoice.due_on is None or invoice.issued_on is None:
        return False
    return 0 <= (invoice.due_on - invoice.issued_on).days <= PERIODIC_PAYMENT_DAYS_MAX


def _refers_to_original(invoice: Invoice) -> bool:
    if invoice.kind is not InvoiceKind.CREDIT_NOTE:
        return True
    return invoice.preceding is not None and bool(invoice.preceding.number)


def _refers_to_deposits(invoice: Invoice) -> bool:
    deducted = sum(1 for line in invoice.lines if is_deduction(line))
    if deducted == 0 or invoice.kind is InvoiceKind.CREDIT_NOTE:
        return True
    return invoice.billing_mode == AFTER_DEPOSIT_MODE and len(invoice.deposits) == deducted


_CGI = "CGI ann. II art. 242 nonies A I"
MENTIONS: Final[tuple[Mention, ...]] = (
    Mention("seller-identity", "Nom, SIREN et adresse du vendeur", f"{_CGI}-1°", "BT-27 BT-30 BG-5",
            _seller(lambda s: bool(s.legal_name.strip()) and is_valid_siren(s.siren) and _has_address(s))),
    Mention("buyer-identity", "Nom, adresse et identifiant du client (SIREN en France)", f"{_CGI}-1°",
            "BT-44 BT-47 BG-8", _buyer(_buyer_is_named)),
    Mention("seller-vat-id", "Numéro de TVA du vendeur", f"{_CGI}-2°", "BT-31",
            _seller(lambda s: s.vat_id.startswith("FR"))),
    Mention("both-vat-ids", "Numéros de TVA des deux parties si le client doit la taxe", f"{_CGI}-4°",
            "BT-31 BT-48", _has_both_vat_ids),
    Mention("issue-date", "Date d'émission", f"{_CGI}-6°", "BT-2", lambda i: i.issued_on is not None, True),
    Mention("number", "Numéro unique, séquence chronologique et continue", f"{_CGI}-7°", "BT-1",
            lambda i: i.number is not None and NUMBER.fullmatch(i.number) is not None, True),
    Mention("line-facts", "Quantité, dénomination précise et prix unitaire hors taxe de chaque service",
            f"{_CGI}-8°", "BT-129 BT-153 BT-146", _has_line_facts),
    Mention("rate-or-exemption", "Taux de TVA ou référence de l'exonération", f"{_CGI}-8° and 12°",
            "BT-152 BT-120 BT-121", _has_rate_or_exemption),
    Mention("operation-nature", "Nature de l'opération : prestation de services", f"{_CGI}-8° bis", "BT-23",
            lambda i: i.billing_mode in {"S1", "S2", "S4"}),
    Mention("discounts", "Rabais acquis et chiffrables", f"{_CGI}-9°", "BG-20",
            lambda i: all(one.amount_minor > 0 and one.reason.strip() for one in i.allowances)),
    Mention("service-date", "Période de réalisation du service", f"{_CGI}-10°", "BG-14 BT-72",
            lambda i: i.period.end > i.period.start),
    Mention("totals-by-rate", "Total hors taxe et taxe par taux, taxe totale", f"{_CGI}-11°", "BG-23 BT-110",
            _has_breakdown),
    Mention("debits-option", DEBITS_TEXT, f"{_CGI}-11° bis", "BT-22 BT-8", _has_debits_option),
    Mention("reverse-charge", "Autoliquidation", f"{_CGI}-13°", "BT-120", _has_reverse_charge_word),
    Mention("company-form", "Forme juridique et capital social", "C. com. R123-238", "BT-33 BT-22 (REG)",
            lambda i: _has_note("REG")(i) and i.seller is not None and i.seller.capital_minor > 0),
    Mention("registry", "RCS et ville du greffe", "C. com. R123-237", "BT-22 (ABL)", _has_note("ABL")),
    Mention("due-date", "Date d'échéance, 45 jours au plus", "C. com. L441-9 I, L441-10 I", "BT-9",
            _has_lawful_due_date, True),
    Mention("discount-terms", "Conditions d'escompte, ou qu'il n'y en a pas", "C. com. L441-9 I; BR-FR-05",
            "BT-22 (AAB)", _has_note("AAB")),
    Mention("late-penalties", "Taux des pénalités de retard", "C. com. L441-9 I, L441-10 II; BR-FR-05",
            "BT-22 (PMD)", _has_note("PMD")),
    Mention("recovery-indemnity", "Indemnité forfaitaire de recouvrement de 40 €", "C. com. D441-5; BR-FR-05",
            "BT-22 (PMT)", _has_recovery_note),
    Mention("original-reference", "Numéro et date de la facture corrigée", "CGI art. 289 I-5; BR-FR-CO-05",
            "BG-3", _refers_to_original),
    Mention("deposit-reference", "Numéro et date de chaque facture d'acompte déduite",
            "CGI art. 289 I-1-c; BR-FR-08", "BG-3 BT-23", _refers_to_deposits),
    Mention("buyer-electronic-address", "Adresse électronique du client", "BR-FR-12", "BT-49",
            _buyer(lambda b: bool(b.electronic_address and b.electronic_scheme))),
    Mention("seller-electronic-address", "Adresse électronique du vendeur", "BR-FR-13", "BT-34",
            _seller(lambda s: s.electronic_address.startswith(s.siren))),
)  # fmt: skip
