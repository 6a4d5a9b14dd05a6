"""How rated lines, a customer and a seller become a checked draft. Pure: what is missing becomes a Hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Final
from uuid import UUID

from controlplane.invoicing.deposit_rules import (
    AFTER_DEPOSIT_MODE,
    PLAIN_MODE,
    deduct_deposits,
    refer_to,
)
from controlplane.invoicing.domain import (
    Allowance,
    Buyer,
    Hold,
    Invoice,
    InvoiceKind,
    InvoiceLine,
    Note,
    PostalAddress,
    Preceding,
    Seller,
    VatTreatment,
)
from controlplane.invoicing.mentions_rules import DEBITS_TEXT, missing_mentions
from controlplane.invoicing.party_data import (
    EAS_BY_COUNTRY,
    SCHEME_EMAIL,
    SCHEME_EU_VAT,
    SCHEME_FOREIGN,
    SCHEME_FR_ADDRESS,
    SCHEME_SIREN,
)
from controlplane.invoicing.terms_rules import discount_text, payment_terms_text, penalty_text, recovery_text
from controlplane.invoicing.totals_rules import check_lines, check_rounding, compute_breakdown, compute_totals
from controlplane.invoicing.unit_rules import unit_code
from controlplane.invoicing.vat_data import Flow
from controlplane.kernel.errors import InvalidInput
from controlplane.kernel.jurisdiction import MEMBER_STATES
from controlplane.rating.domain import CreditKind, CreditUse, RatedLine, RatedPeriod, Step, StepKind
from controlplane.tenancy.domain import BillingParty
from controlplane.tenancy.party_rules import find_vat_number

# Where a customer outside every address registry gets its invoice: the portal tells it by e-mail.
NO_REGISTRY_ADDRESS: Final = "facturation@customer.invalid"
# Said on the page where a reader who multiplies would find another cent.
BALANCED_TEXT: Final = (
    "Le total hors taxe est l'arrondi de la somme exacte des lignes ; le montant d'une ligne peut de ce fait "
    "différer d'un centime de l'arrondi de quantité × prix."
)

SUPPLEMENT_TEXT: Final = (
    "Facture complémentaire : usage d'une période antérieure, au régime de TVA de la période de réalisation."
)


def make_buyer(party: BillingParty) -> Buyer:
    """Snapshot a billing party as BG-7, with the identifiers that the French platform wants."""
    address = PostalAddress(
        party.address.line1,
        party.address.line2,
        party.address.postal_code,
        party.address.city,
        party.address.country,
    )
    if party.siren is not None:
        legal, scheme = party.siren, SCHEME_SIREN
        electronic, electronic_scheme = party.siren, SCHEME_FR_ADDRESS
    else:
        legal = party.vat_id or ""
        scheme = SCHEME_EU_VAT if party.country in MEMBER_STATES else SCHEME_FOREIGN
        electronic_scheme = EAS_BY_COUNTRY.get(party.country, SCHEME_EMAIL)
        # An address registry knows numbers without the signs that people put into them.
        bare = "".join(character for character in legal if character.isalnum())
        electronic = NO_REGISTRY_ADDRESS if electronic_scheme == SCHEME_EMAIL else bare
    return Buyer(
        legal_name=party.legal_name,
        siren=party.siren,
        # BT-48 is a VAT number with its country (BR-CO-09); another business number stands in BT-47 alone.
        vat_id=find_vat_number(party.vat_id, party.country),
        address=address,
        electronic_address=electronic,
        electronic_scheme=electronic_scheme,
        legal_id=legal or None,
        legal_scheme=scheme if legal else None,
    )


def make_lines(
    rated: Sequence[RatedLine], originals: Mapping[datetime, Preceding] = MappingProxyType({})
) -> tuple[InvoiceLine, ...]:
    """Number rated lines as BG-25; a line without quantity is left out.

    `originals` tells which invoice billed a corrected period, by the period's start: its number and date are printed.
    """
    kept = [line for line in rated if line.quantity != 0]
    return tuple(
        _make_line(position, line, originals.get(line.charge_period.start))
        for position, line in enumerate(kept, start=1)
    )


def _make_line(position: int, line: RatedLine, original: Preceding | None) -> InvoiceLine:
    correction = ""
    if line.is_correction:
        correction = " (régularisation d'une période antérieure)"
        if original is not None:
            correction = f" (régularisation de la facture {original.number} du {original.issued_on:%d/%m/%Y})"
    return InvoiceLine(
        position=position,
        sku=line.sku,
        name=line.description_fr + correction,
        description=line.description_en,
        quantity=line.quantity,
        unit_code=unit_code(line.unit),
        price=line.unit_price,
        base_quantity=line.price_base_quantity,
        net_minor=line.net_minor,
        period=line.charge_period,
        calculation=tuple(_step_text(step) for step in line.calculation),
        price_version=None if line.price_version_id is None else str(line.price_version_id),
        is_correction=line.is_correction,
        project_id=line.project_id,
        service_id=line.service_id,
    )


def is_balanced(lines: Sequence[InvoiceLine]) -> bool:
    """Tell whether a line stands a cent beside its own rounding, so that the sum is right."""
    return any(step.startswith(f"{StepKind.BALANCE}(") for line in lines for step in line.calculation)


def _step_text(step: Step) -> str:
    inputs = ", ".join(f"{name}={value}" for name, value in sorted(step.inputs.items()))
    return f"{step.kind}({inputs}) = {step.result}"


def make_allowances(uses: Sequence[CreditUse]) -> tuple[Allowance, ...]:
    """Promotional credit is a reduction (BG-20); prepaid credit is a deposit, which lines deduct."""
    return tuple(
        Allowance(use.amount_minor, use.label)
        for use in uses
        if use.kind is CreditKind.PROMOTIONAL and use.amount_minor > 0
    )


def make_notes(seller: Seller, vat: VatTreatment, story: str) -> tuple[Note, ...]:
    """BG-1: the notes that law and platform want (BR-FR-05), each subject once."""
    euros, cents = divmod(seller.capital_minor, 100)
    notes = [
        Note("PMT", recovery_text()),
        Note("PMD", penalty_text(seller.late_rate)),
        Note("AAB", discount_text()),
        Note("REG", f"{seller.legal_form} au capital de {euros},{cents:02d} €"),
        Note("ABL", f"RCS {seller.rcs_city} {seller.siren}"),
        # The platform's treatment: with B2B it also checks the buyer's SIREN and address (BR-FR-11, -20, -21).
        Note("BAR", "B2B" if vat.flow == Flow.E_INVOICE else "B2BINT"),
    ]
    general = []
    if seller.is_vat_on_debits:
        general.append(f"{DEBITS_TEXT}.")
    if seller.is_demo:
        general.append("DÉMONSTRATION : vendeur fictif, ce document n'est pas une facture réelle.")
    if story:
        general.append(story)
    if general:
        notes.append(Note("AAI", " ".join(general)))
    return tuple(notes)


def complete_draft(
    draft: Invoice,
    *,
    seller: Seller,
    party: BillingParty,
    vat: VatTreatment,
    rated: RatedPeriod,
    corrections: Sequence[RatedPeriod] = (),
    originals: Mapping[datetime, Preceding] = MappingProxyType({}),
    deposits: Mapping[UUID, Invoice] = MappingProxyType({}),
) -> Invoice:
    """Fill a draft from its facts; `hold` says why it cannot be issued, or is None.

    `deposits` are the issued deposit invoices that the period's prepaid credit came from, by their UUID.
    """
    bare = replace(
        draft,
        hold=find_problem((rated, *corrections)),
        seller=seller,
        buyer=make_buyer(party),
        vat=vat,
        billing_mode=AFTER_DEPOSIT_MODE if deposits else PLAIN_MODE,
        deposits=refer_to(deposits.values()),
    )
    if bare.hold is not None:
        return bare
    lines = make_lines([line for part in (rated, *corrections) for line in part.lines], originals)
    deducted = deduct_deposits(rated.credits, deposits, vat, period=rated.period, after=len(lines))
    if isinstance(deducted, Hold):
        return replace(bare, hold=deducted)
    return check_draft(_with_amounts(bare, (*lines, *deducted), make_allowances(rated.credits), vat, seller))


def find_problem(parts: Sequence[RatedPeriod]) -> Hold | None:
    """Usage that nothing prices, of the month or of one that is corrected, holds the document."""
    problems = [problem for part in parts for problem in part.problems]
    if not problems:
        return None
    return Hold("rating_problem", f"{problems[0].message} ({len(problems)} problem(s))")


def complete_deposit(
    draft: Invoice, *, seller: Seller, party: BillingParty, vat: VatTreatment, line: InvoiceLine
) -> Invoice:
    """Fill a deposit invoice (type 386)."""
    bare = replace(draft, hold=None, seller=seller, buyer=make_buyer(party), vat=vat, billing_mode=PLAIN_MODE)
    return check_draft(_with_amounts(bare, (line,), (), vat, seller))


def complete_supplement(
    draft: Invoice,
    *,
    seller: Seller,
    buyer: Buyer,
    vat: VatTreatment,
    part: RatedPeriod,
    original: Preceding | None,
) -> Invoice:
    """Fill the invoice of what an earlier month costs more, to the buyer and by the VAT of that month's supply.

    `original` billed the month; None where no invoice did.
    """
    bare = replace(
        draft, hold=find_problem((part,)), seller=seller, buyer=buyer, vat=vat, billing_mode=PLAIN_MODE,
        preceding=original,
    )  # fmt: skip
    if bare.hold is not None:
        return bare
    originals = {} if original is None else {part.period.start: original}
    filled = _with_amounts(bare, make_lines(part.lines, originals), (), vat, seller)
    story = SUPPLEMENT_TEXT
    if is_balanced(filled.lines):
        story = f"{story} {BALANCED_TEXT}"
    return check_draft(replace(filled, notes=make_notes(seller, vat, story)))


def _with_amounts(
    invoice: Invoice,
    lines: tuple[InvoiceLine, ...],
    allowances: tuple[Allowance, ...],
    vat: VatTreatment,
    seller: Seller,
) -> Invoice:
    breakdown = compute_breakdown(lines, allowances, vat, invoice.currency)
    return replace(
        invoice,
        lines=lines,
        allowances=allowances,
        breakdown=breakdown,
        totals=compute_totals(lines, allowances, breakdown),
        notes=make_notes(seller, vat, BALANCED_TEXT if is_balanced(lines) else ""),
        payment_terms=payment_terms_text(seller.payment_days),
    )


def check_draft(invoice: Invoice) -> Invoice:
    """Run every check that needs no number; the first that fails becomes the hold."""
    try:
        check_amounts(invoice)
    except InvalidInput as err:
        where = "; ".join(f"{problem.field}: {problem.message}" for problem in err.fields[:3])
        return replace(invoice, hold=Hold("lines_wrong", f"{err.message} {where}".strip()))
    if invoice.totals.gross_minor < 0:
        return replace(
            invoice,
            hold=Hold("negative_total", "The total is below zero: that is a credit note, not an invoice."),
        )
    missing = missing_mentions(invoice, is_numbered=False)
    if missing:
        named = ", ".join(mention.id for mention in missing)
        return replace(invoice, hold=Hold("mention_missing", f"The law wants these mentions: {named}."))
    return invoice


def check_amounts(invoice: Invoice) -> None:
    """Refuse lines whose amounts do not follow from what they show, by line and in their sum; InvalidInput says where.

    A credit note takes back lines as they stood, or parts of them, so only an invoice has a sum to answer for.
    """
    check_lines(invoice.lines)
    if invoice.kind is not InvoiceKind.CREDIT_NOTE:
        check_rounding(invoice.lines)


def make_credit_lines(original: Invoice, wanted: Sequence[tuple[int, int]] | None) -> tuple[InvoiceLine, ...]:
    """Lines of a credit note: (position of the original, amount HT in minor units) or all of it; positive amounts.

    A whole line is taken back as it stood; a part of one is written as one unit at the amount (BT-146 = BT-131).
    Errors: InvalidInput for an unknown position, or an amount that is not inside the line.
    """
    by_position = {line.position: line for line in original.lines}
    parts = wanted if wanted is not None else [(p, line.net_minor) for p, line in by_position.items()]
    lines = []
    for position, (source, amount) in enumerate(parts, start=1):
        line = by_position.get(source)
        if line is None:
            raise InvalidInput(f"The invoice has no line {source}.")
        if wanted is not None and not 0 < amount <= line.net_minor:
            raise InvalidInput(f"Line {source} can give back more than 0 and at most {line.net_minor} cents.")
        lines.append(_credit_line(position, line, amount))
    return tuple(lines)


def make_reduction_lines(rated: Sequence[RatedLine], original: Preceding) -> tuple[InvoiceLine, ...]:
    """Lines of a credit note for a period that costs less now than was billed: what it costs less, positive."""
    lines = make_lines(rated, {line.charge_period.start: original for line in rated})
    return tuple(
        replace(
            line,
            quantity=-line.quantity,
            net_minor=-line.net_minor,
            calculation=(*line.calculation, f"CREDIT(of={line.net_minor}) = {-line.net_minor}"),
        )
        for line in lines
    )


def _credit_line(position: int, line: InvoiceLine, amount_minor: int) -> InvoiceLine:
    taken = replace(line, position=position, credited_position=line.position)
    if amount_minor == line.net_minor:
        return taken
    return replace(
        taken,
        name=f"{line.name} (remboursement partiel)",
        quantity=Decimal(1),
        unit_code="C62",
        price=Decimal(amount_minor).scaleb(-2),
        base_quantity=Decimal(1),
        net_minor=amount_minor,
        calculation=(*line.calculation, f"CREDIT(of={line.net_minor}) = {amount_minor}"),
    )


def complete_credit_note(
    draft: Invoice, original: Invoice, lines: tuple[InvoiceLine, ...], *, is_whole: bool, reason: str
) -> Invoice:
    """Fill a credit note from its original: same parties, same VAT row, the reference with number and date."""
    assert original.number is not None
    assert original.issued_on is not None
    assert original.vat is not None
    assert original.seller is not None
    # Allowances were granted on the whole invoice, so only a whole credit takes them back.
    allowances = original.allowances if is_whole else ()
    bare = replace(
        draft,
        seller=original.seller,
        buyer=original.buyer,
        vat=original.vat,
        billing_mode=original.billing_mode,
        preceding=Preceding(original.id, original.number, original.issued_on),
        purchase_order=original.purchase_order,
    )
    filled = _with_amounts(bare, lines, allowances, original.vat, original.seller)
    story = (
        f"Avoir sur la facture {original.number} du {original.issued_on:%d/%m/%Y} : réduction de "
        f"{_euros(filled.totals.net_minor)} HT et de {_euros(filled.totals.tax_minor)} de TVA. Motif : {reason}"
    )
    return check_draft(replace(filled, notes=make_notes(original.seller, original.vat, story)))


def _euros(minor: int) -> str:
    euros, cents = divmod(minor, 100)
    return f"{euros},{cents:02d} €"
