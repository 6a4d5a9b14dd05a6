"""Which corrections of earlier months stand on a month's invoice, and which need a document of their own. Pure.

A correction keeps the VAT of the supply that it corrects (CGI art. 269-1: the tax event is the supply; a later change
of the customer's place changes nothing of it). An invoice has one VAT treatment and one buyer, so a correction of a
supply with another one cannot be a line of it: up, it becomes a supplementary invoice, down, a credit note.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from controlplane.invoicing.domain import Hold, Invoice, VatCategory
from controlplane.invoicing.draft_rules import make_buyer
from controlplane.invoicing.vat_data import VAT_ROWS, VatRow
from controlplane.invoicing.vat_rules import find_case, find_row
from controlplane.rating.domain import RatedPeriod
from controlplane.tenancy.domain import BillingParty


@dataclass(frozen=True, slots=True)
class Footing:
    """By what VAT a supply is billed and to whom: what all lines of one invoice share.

    `legal_id` is the buyer's number (BT-47): another company is another taxable person, even in the same case.
    """

    case: str
    category: VatCategory
    rate: Decimal | None
    legal_id: str | None


def footing_of(billed: Invoice) -> Footing:
    """How a supply was billed; its issued invoice keeps it for good."""
    assert billed.vat is not None
    assert billed.buyer is not None
    return Footing(billed.vat.case, billed.vat.category, billed.vat.rate, billed.buyer.legal_id)


def foresee_footing(party: BillingParty, on: date, rows: Sequence[VatRow] = VAT_ROWS) -> Footing | None:
    """How a supply of a day would be billed to a party; None where a person has to decide.

    The proof that the treatment needs (VIES) is not asked for: it says whether an invoice may go out, not by what VAT.
    """
    case = find_case(party)
    row = None if isinstance(case, Hold) else find_row(case, on, rows)
    if row is None:
        return None
    return Footing(row.case, row.category, row.rate, make_buyer(party).legal_id)


def split_corrections(
    corrections: Sequence[RatedPeriod], billed: Mapping[datetime, Footing | None], own: Footing | None
) -> tuple[tuple[RatedPeriod, ...], tuple[RatedPeriod, ...], tuple[RatedPeriod, ...]]:
    """(lines of the month's invoice, supplementary invoices, credit notes), each in the order of the months.

    `billed` is the footing of each corrected month by its start, `own` that of the month's invoice. A correction that
    comes to nothing changes no taxable amount: it stays a line.
    """
    lines, supplements, reductions = [], [], []
    for part in corrections:
        if part.net_minor < 0:
            reductions.append(part)
        elif part.net_minor > 0 and billed[part.period.start] != own:
            supplements.append(part)
        else:
            lines.append(part)
    return tuple(lines), tuple(supplements), tuple(reductions)
