"""The VAT decision table for services supplied by electronic means, as dated rows with their legal source.

Shapes: rows of one case do not overlap in time; a date that no row covers has no treatment, and the invoice is held.
Source: docs/french-law.md (table "VAT"), which links each row to its test. From 2027-01-01 the CIBS replaces the VAT
articles of the CGI; references to the CGI stay lawful on invoices until 2028-06-30.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Final

from controlplane.invoicing.domain import VatCategory
from controlplane.tenancy.party_rules import TaxZone


class VatCase(StrEnum):
    """Where and what the customer is; the number is the row of the decision table."""

    FR_BUSINESS = "1-fr-business"
    FR_OVERSEAS_BUSINESS = "3-fr-overseas-business"
    FR_UNTAXED_OVERSEAS_BUSINESS = "5-fr-untaxed-overseas-business"
    FR_THIRD_TERRITORY_BUSINESS = "7-fr-third-territory-business"
    MONACO_BUSINESS = "8-monaco-business"
    EU_BUSINESS = "9-eu-business"
    NON_EU_BUSINESS = "14-non-eu-business"


class Flow(StrEnum):
    """How the State hears of the sale: an e-invoice, or the e-reporting of international invoices (flux 10.1)."""

    E_INVOICE = "e-invoice"
    E_REPORTING_10_1 = "10.1"


@dataclass(frozen=True, slots=True)
class VatRow:
    """One dated row: [valid_from, valid_to); `valid_to` None is open-ended. `rate` in percent."""

    case: VatCase
    valid_from: date
    valid_to: date | None
    category: VatCategory
    rate: Decimal | None
    vatex: str | None
    exemption_text: str | None
    flow: Flow
    source: str


# The reform's first step and the specifications that these rows were read against.
_START: Final = date(2025, 1, 1)
_CIBS: Final = date(2027, 1, 1)
_CGI_LAST_DAY_ON_INVOICES: Final = date(2028, 7, 1)

_S = VatCategory.STANDARD
_O = VatCategory.OUTSIDE_SCOPE
_AE = VatCategory.REVERSE_CHARGE

VAT_ROWS: Final[tuple[VatRow, ...]] = (
    VatRow(
        VatCase.FR_BUSINESS, _START, None, _S, Decimal("20"), None, None, Flow.E_INVOICE,
        "CGI art. 259-1° and 278",
    ),
    VatRow(
        VatCase.FR_OVERSEAS_BUSINESS, _START, None, _S, Decimal("8.5"), None, None, Flow.E_INVOICE,
        "CGI art. 296; BOI-TVA-GEO-20-40 (Guadeloupe, Martinique, La Réunion: one France, the customer's rate)",
    ),
    VatRow(
        VatCase.FR_UNTAXED_OVERSEAS_BUSINESS, _START, _CIBS, _O, None, "VATEX-EU-O",
        "TVA non applicable, art. 259-1° et 294-1 du CGI", Flow.E_REPORTING_10_1,
        "CGI art. 294-1 and 259-1° (Guyane, Mayotte)",
    ),
    VatRow(
        VatCase.FR_UNTAXED_OVERSEAS_BUSINESS, _CIBS, None, _O, None, "VATEX-EU-O",
        "TVA non applicable, art. L211-7 et L211-92 du CIBS (ex art. 294-1 et 259-1° du CGI)",
        Flow.E_REPORTING_10_1, "CIBS art. L211-7 and L211-92 (Guyane, Mayotte)",
    ),
    VatRow(
        VatCase.FR_THIRD_TERRITORY_BUSINESS, _START, _CIBS, _O, None, "VATEX-EU-O",
        "Prestation non soumise à la TVA française, art. 259-1° du CGI", Flow.E_REPORTING_10_1,
        "CGI art. 259-1° (collectivities and territories outside French VAT)",
    ),
    VatRow(
        VatCase.FR_THIRD_TERRITORY_BUSINESS, _CIBS, None, _O, None, "VATEX-EU-O",
        "Prestation non soumise à la TVA française, art. L211-92 du CIBS (ex art. 259-1° du CGI)",
        Flow.E_REPORTING_10_1, "CIBS art. L211-92",
    ),
    VatRow(
        VatCase.MONACO_BUSINESS, _START, None, _S, Decimal("20"), None, None, Flow.E_REPORTING_10_1,
        "Convention fiscale franco-monégasque du 18 mai 1963; CGI art. 278 (without a French SIREN: e-reporting)",
    ),
    VatRow(
        VatCase.EU_BUSINESS, _START, _CGI_LAST_DAY_ON_INVOICES, _AE, Decimal("0"), "VATEX-EU-AE",
        "Autoliquidation (art. 283-2 du CGI, art. 196 de la directive 2006/112/CE)", Flow.E_REPORTING_10_1,
        "CGI art. 259-1° and 283-2; directive 2006/112/CE art. 44 and 196",
    ),
    VatRow(
        VatCase.NON_EU_BUSINESS, _START, _CIBS, _O, None, "VATEX-EU-O",
        "Prestation non soumise à la TVA française, art. 259-1° du CGI", Flow.E_REPORTING_10_1,
        "CGI art. 259-1°",
    ),
    VatRow(
        VatCase.NON_EU_BUSINESS, _CIBS, None, _O, None, "VATEX-EU-O",
        "Prestation non soumise à la TVA française, art. L211-92 du CIBS (ex art. 259-1° du CGI)",
        Flow.E_REPORTING_10_1, "CIBS art. L211-92",
    ),
)  # fmt: skip

# The case of a business by the zone of its establishment.
CASES: Final = {
    TaxZone.FRANCE: VatCase.FR_BUSINESS,
    TaxZone.FRENCH_OVERSEAS: VatCase.FR_OVERSEAS_BUSINESS,
    TaxZone.FRENCH_UNTAXED: VatCase.FR_UNTAXED_OVERSEAS_BUSINESS,
    TaxZone.THIRD_TERRITORY: VatCase.FR_THIRD_TERRITORY_BUSINESS,
    TaxZone.MONACO: VatCase.MONACO_BUSINESS,
    TaxZone.UNION: VatCase.EU_BUSINESS,
    TaxZone.OUTSIDE: VatCase.NON_EU_BUSINESS,
}

# Places of Member States outside EU VAT (directive 2006/112 art. 6), by the start of their postal code: such a
# customer is neither an EU nor a third-country case of the table, so a person decides.
OUTSIDE_EU_VAT: Final = {
    "ES": ("35", "38", "51", "52"),
    "FI": ("22",),
    "DE": ("78266", "27498"),
    "IT": ("23041", "22061"),
    "GR": ("63086", "63087"),
}  # fmt: skip
