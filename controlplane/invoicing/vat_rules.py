"""Which VAT treatment a customer gets on a date: read from the dated table, or refused with the reason.

An answer is a VatTreatment or a Hold. Whatever is not known for certain is a Hold: an invoice is never issued on a
guess. While the VIES register is down the invoice waits; it is never charged at 0 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final

from controlplane.invoicing.domain import Hold, VatIdAnswer, VatIdStatus, VatTreatment
from controlplane.invoicing.vat_data import CASES, OUTSIDE_EU_VAT, VAT_ROWS, VatCase, VatRow
from controlplane.kernel.period import PARIS, Period
from controlplane.tenancy.domain import BillingParty
from controlplane.tenancy.party_rules import PROVED_ZONES, TaxZone, find_tax_zone, is_valid_siren

# "Re-check each invoice run": an answer older than this says nothing about the run that is under way.
VAT_ANSWER_AGE_MAX: Final = timedelta(days=7)

# Long enough to change the table, have it read by an accountant, and release it.
WARNED_BEFORE: Final = timedelta(days=365)

CONSUMER = Hold(
    "consumer_refused",
    "Only businesses are invoiced: the customer shows neither a SIREN nor a business number. Selling to consumers "
    "would need a certified cash register system (CGI art. 286 I 3° bis).",
)


def decide_vat(
    party: BillingParty,
    answer: VatIdAnswer | None,
    on: date,
    now: datetime,
    rows: Sequence[VatRow] = VAT_ROWS,
) -> VatTreatment | Hold:
    """Decide the treatment of services supplied to `party` on the day `on`.

    `answer` is the newest VIES answer about the party's VAT number; it is asked for in the EU case only.
    """
    if not _is_business(party):
        return CONSUMER
    case = find_case(party)
    if isinstance(case, Hold):
        return case
    if case is VatCase.EU_BUSINESS:
        refusal = check_answer(party, answer, now)
        if refusal is not None:
            return refusal
    row = find_row(case, on, rows)
    if row is None:
        return Hold(
            "no_vat_row", f"The VAT table has no row for {case} on {on.isoformat()}: renew the table."
        )
    return VatTreatment(
        case=row.case,
        category=row.category,
        rate=row.rate,
        vatex=row.vatex,
        exemption_text=row.exemption_text,
        flow=row.flow,
        source=row.source,
    )


def supply_day(period: Period) -> date:
    """The day whose VAT row applies to a month of usage: its last."""
    return period.end.astimezone(PARIS).date() - timedelta(days=1)


def needs_vies(party: BillingParty) -> bool:
    """Tell whether the treatment depends on an answer of VIES."""
    return _is_business(party) and find_case(party) is VatCase.EU_BUSINESS


def find_case(party: BillingParty) -> VatCase | Hold:
    """Find the row's case from the zone of establishment; a Hold where a person must decide."""
    zone = find_tax_zone(party)
    if zone is TaxZone.UNCLEAR:
        return Hold(
            "place_unclear",
            f"Country {party.country}, billing address {party.address.postal_code} in {party.address.country} and "
            "SIREN do not agree: where the service is taxed cannot be told.",
        )
    if zone is TaxZone.UNION and party.address.postal_code.replace(" ", "").startswith(
        OUTSIDE_EU_VAT.get(party.country, ("none",))
    ):
        return Hold(
            "outside_eu_vat",
            f"The place {party.address.postal_code} lies in {party.country} but outside the Union's VAT territory: "
            "decide by hand.",
        )
    return CASES[zone]


def find_unapproved_move(party: BillingParty, approved_zone: str | None) -> Hold | None:
    """No field that a customer may write changes its VAT without proof: another zone than the approved one holds, and
    where nothing is approved yet, so does each that bears less than the full French rate."""
    zone = find_tax_zone(party)
    if approved_zone is None or zone == approved_zone or zone is TaxZone.UNCLEAR:
        return None
    if approved_zone == TaxZone.UNCLEAR:
        if zone in PROVED_ZONES:
            return None
        claim = (
            f"The customer itself says that it is established in tax zone {zone}, which bears less French VAT"
        )
    else:
        claim = f"The customer moved from tax zone {approved_zone} to {zone} by changing its own address"
    return Hold(
        "vat_place_unapproved",
        f"{claim}: its invoices wait until an operator has seen a proof of the establishment and approves it.",
    )


def check_answer(party: BillingParty, answer: VatIdAnswer | None, now: datetime) -> Hold | None:
    """Accept a VIES answer as proof of a taxable customer, or say why it is none."""
    if party.vat_id is None:
        return Hold("vat_id_missing", "A business of another Member State needs its VAT number.")
    if answer is None or answer.vat_id != party.vat_id:
        return Hold("vat_id_unchecked", f"VIES has not been asked about {party.vat_id} yet.")
    if answer.status is VatIdStatus.UNREACHABLE:
        return Hold("vies_unreachable", f"VIES did not answer about {party.vat_id}; it is asked again.")
    if answer.status is VatIdStatus.INVALID:
        return Hold("vat_id_invalid", f"VIES says that {party.vat_id} is not a valid VAT number.")
    if now - answer.checked_at > VAT_ANSWER_AGE_MAX:
        return Hold(
            "vat_id_answer_old", f"The answer of VIES about {party.vat_id} is too old; it is asked again."
        )
    if not answer.consultation_number:
        return Hold("vat_id_unproved", f"The answer about {party.vat_id} carries no consultation number.")
    return None


def find_row(case: VatCase, on: date, rows: Sequence[VatRow] = VAT_ROWS) -> VatRow | None:
    """Return the row in force on a day; AssertionError when two rows of one case overlap."""
    found = [
        row
        for row in rows
        if row.case is case and row.valid_from <= on and (row.valid_to is None or on < row.valid_to)
    ]
    assert len(found) <= 1, f"two VAT rows for {case} on {on}"
    return found[0] if found else None


def list_ending_cases(on: date, rows: Sequence[VatRow] = VAT_ROWS) -> dict[VatCase, date]:
    """Cases that no row covers any more within a year of a day, each with its first day without one."""
    found = {}
    for case in sorted({row.case for row in rows}):
        ends = [row.valid_to for row in rows if row.case is case]
        last = None if None in ends else max(end for end in ends if end is not None)
        if last is not None and last - on <= WARNED_BEFORE:
            found[case] = last
    return found


def _is_business(party: BillingParty) -> bool:
    if party.siren is not None:
        return is_valid_siren(party.siren)
    return party.country != "FR" and bool(party.vat_id)
