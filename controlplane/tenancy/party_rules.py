"""Company numbers checked without asking anybody: SIREN by its check digit, VAT numbers by their form.

Sources: SIREN: Luhn (ISO/IEC 7812-1 annex B), as INSEE uses it; the sum-of-digits exception of La Poste concerns
its SIRET numbers only, its SIREN 356000000 passes Luhn. FR key: CGI ann. II art. 242 (12 + 3 × (SIREN mod 97))
mod 97. Other formats: European Commission, VIES, "What is the format of a VAT number?". Whether a number is
*registered* only VIES or INSEE can say.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from controlplane.kernel.errors import FieldProblem, InvalidInput
from controlplane.kernel.french_places import FRENCH_TERRITORIES, find_french_place, is_french_postcode
from controlplane.kernel.jurisdiction import MEMBER_STATES, Country
from controlplane.tenancy.domain import BillingParty

_SIREN = re.compile(r"[0-9]{9}")
# Outside the Union a business number keeps its national form, such as 12-3456789 (United States), CHE-123.456.788,
# 12.345.678/0001-95 (Brazil), 1234567/A/M/000 (Tunisia) or Ñ&A010101AB1 (Mexico).
_FOREIGN = re.compile(r"(?=.*[0-9A-Z])[0-9A-ZÑ&][0-9A-ZÑ&./()+-]{1,29}")
_FORMATS: Final = {
    "AT": r"U[0-9]{8}",
    "BE": r"[01][0-9]{9}",
    "BG": r"[0-9]{9,10}",
    "CY": r"[0-9]{8}[A-Z]",
    "CZ": r"[0-9]{8,10}",
    "DE": r"[0-9]{9}",
    "DK": r"[0-9]{8}",
    "EE": r"[0-9]{9}",
    "EL": r"[0-9]{9}",
    "ES": r"[A-Z][0-9]{7}[0-9A-Z]|[0-9]{8}[A-Z]",
    "FI": r"[0-9]{8}",
    "FR": r"[0-9A-HJ-NP-Z]{2}[0-9]{9}",
    "HR": r"[0-9]{11}",
    "HU": r"[0-9]{8}",
    "IE": r"[0-9]{7}[A-W][A-I]?|[0-9][0-9A-Z+*][0-9]{5}[A-W]",
    "IT": r"[0-9]{11}",
    "LT": r"[0-9]{9}|[0-9]{12}",
    "LU": r"[0-9]{8}",
    "LV": r"[0-9]{11}",
    "MT": r"[0-9]{8}",
    "NL": r"[0-9A-Z+*]{10}[0-9]{2}",
    "PL": r"[0-9]{10}",
    "PT": r"[0-9]{9}",
    "RO": r"[0-9]{2,10}",
    "SE": r"[0-9]{12}",
    "SI": r"[0-9]{8}",
    "SK": r"[0-9]{10}",
}
# Greece writes EL in VAT numbers; Monaco, Guadeloupe, Martinique and Réunion are inside French VAT (CGI art. 294).
_VAT_PREFIX: Final = {"GR": "EL", "MC": "FR", "GP": "FR", "MQ": "FR", "RE": "FR"}
# Where INSEE's register of businesses holds: every business there has a SIREN (code de commerce art. R123-220;
# Mayotte since 2011). New Caledonia, French Polynesia and Wallis-et-Futuna keep registers of their own.
_SIREN_REQUIRED: Final = frozenset({"FR", "GP", "MQ", "GF", "RE", "YT"})
# Collectivities whose businesses are in the same register, beside numbers of their own.
_SIREN_ALLOWED: Final = _SIREN_REQUIRED | {"BL", "MF", "PM"}


_NOT_A_SIREN: Final = "This is not a SIREN: 9 digits, of which the last checks the others."


def is_valid_siren(text: str) -> bool:
    """Nine digits whose Luhn sum is a multiple of ten, and not all zero."""
    if _SIREN.fullmatch(text) is None or text == "000000000":
        return False
    total = 0
    for position, character in enumerate(reversed(text)):
        digit = int(character) * (2 if position % 2 else 1)
        total += digit - 9 if digit > 9 else digit
    return total % 10 == 0


def french_vat_key(siren: str) -> str:
    """The two digits between `FR` and the SIREN."""
    return f"{(12 + 3 * (int(siren) % 97)) % 97:02d}"


def normalize_number(text: str, country: str) -> str:
    """A number as it is kept: upper case without spaces; inside the Union's VAT also without dots and hyphens."""
    bare = "".join(text.split()).upper()
    is_union = country in MEMBER_STATES or country in _VAT_PREFIX
    return bare.replace(".", "").replace("-", "") if is_union else bare


def find_vat_number(text: str | None, country: str) -> str | None:
    """The VAT number with its country's prefix (BT-48) in a party's number; None where that is another number.

    BR-CO-09 wants the prefix; a national business number that has none is BT-47 only.
    """
    if text is None:
        return None
    prefix = _VAT_PREFIX.get(country, country)
    bare = re.sub(r"[^0-9A-Z+*]", "", text)
    return bare if bare.startswith(prefix) and len(bare) > len(prefix) + 1 else None


def is_valid_vat_id(text: str, country: str) -> bool:
    """Check a VAT number of a country, written with its prefix and no spaces; a French one by its key too."""
    prefix = _VAT_PREFIX.get(country, country)
    if country not in MEMBER_STATES and country not in _VAT_PREFIX:
        return _FOREIGN.fullmatch(text) is not None
    number = text.removeprefix(prefix)
    if number == text or re.fullmatch(_FORMATS[prefix], number) is None:
        return False
    if prefix != "FR":
        return True
    key, siren = number[:2], number[2:]
    if country in _SIREN_REQUIRED and not is_valid_siren(siren):
        return False
    # A key with a letter follows another, unpublished rule: its form is all that can be checked.
    return not key.isdigit() or key == french_vat_key(siren)


def check_billing_party(party: BillingParty) -> None:
    """Refuse a party that could not be invoiced; InvalidInput names every field that is wrong.

    Only businesses are served (selling to consumers needs a certified cash register system, CGI art. 286 I 3° bis):
    a French one shows its SIREN, any other its VAT number (inside the Union) or its business number (outside).
    """
    problems = [
        *_country_problems(party), *_siren_problems(party), *_vat_problems(party), *_postcode_problems(party),
    ]  # fmt: skip
    if problems:
        raise InvalidInput("The billing party is not complete or not right.", fields=tuple(problems))


class TaxZone(StrEnum):
    """Where French VAT law places a customer; UNCLEAR where its facts do not agree."""

    FRANCE = "FR"
    FRENCH_OVERSEAS = "FR-OVERSEAS"
    FRENCH_UNTAXED = "FR-UNTAXED"
    THIRD_TERRITORY = "FR-THIRD"
    MONACO = "MC"
    UNION = "EU"
    OUTSIDE = "NON-EU"
    UNCLEAR = "UNCLEAR"


_ZONES: Final = {
    "FR": TaxZone.FRANCE,
    **dict.fromkeys(("GP", "MQ", "RE"), TaxZone.FRENCH_OVERSEAS),
    **dict.fromkeys(("GF", "YT"), TaxZone.FRENCH_UNTAXED),
    **dict.fromkeys(("PM", "BL", "MF", "TF", "WF", "PF", "NC"), TaxZone.THIRD_TERRITORY),
    "MC": TaxZone.MONACO,
}


def find_tax_zone(party: BillingParty) -> TaxZone:
    """The zone of a party's establishment, by its country and the real postal code of its address.

    UNCLEAR: an address in another zone than the company's country, a French SIREN with an address in Monaco, or a
    postal code whose place is not known.
    """
    at_home = _zone_of(party.country, party)
    if party.address.country != party.country and _zone_of(party.address.country, party) is not at_home:
        return TaxZone.UNCLEAR
    return at_home


# The full French rate, which nobody claims for profit, and the Union, where VIES's answer is the proof of each invoice.
PROVED_ZONES: Final = frozenset({TaxZone.FRANCE, TaxZone.MONACO, TaxZone.UNION})


def zone_at_sign_up(party: BillingParty) -> TaxZone:
    """The zone that a sign-up is trusted with; UNCLEAR for one where less or no French VAT is due: an operator approves
    it by a proof of the establishment."""
    zone = find_tax_zone(party)
    return zone if zone in PROVED_ZONES else TaxZone.UNCLEAR


def _zone_of(country: str, party: BillingParty) -> TaxZone:
    if country not in FRENCH_TERRITORIES:
        return TaxZone.UNION if country in MEMBER_STATES else TaxZone.OUTSIDE
    if country != "FR":
        return _ZONES[country]
    place = find_french_place(party.address.postal_code)
    if place is None or (place == "MC" and party.siren is not None):
        return TaxZone.UNCLEAR
    return _ZONES[place]


def _postcode_problems(party: BillingParty) -> list[FieldProblem]:
    """In an address in FR the postal code tells the territory; elsewhere the country's own code does."""
    if party.address.country != "FR" or is_french_postcode(party.address.postal_code):
        return []
    return [
        FieldProblem("address.postal_code", "A French postal code has five digits, such as 91120 or 97300.")
    ]


def printed_texts(party: BillingParty) -> dict[str, str]:
    """What an invoice prints of a party, by the name of its field on the wire."""
    address = party.address
    return {
        "legal_name": party.legal_name,
        "vat_id": party.vat_id or "",
        "address.line1": address.line1,
        "address.line2": address.line2,
        "address.postal_code": address.postal_code,
        "address.city": address.city,
    }


def _country_problems(party: BillingParty) -> list[FieldProblem]:
    problems = []
    for field, code in (("country", party.country), ("address.country", party.address.country)):
        try:
            Country(code)
        except ValueError:
            problems.append(
                FieldProblem(field, f"'{code}' is not a country code of ISO 3166-1 alpha-2 (as FR or DE).")
            )
    return problems


def _siren_problems(party: BillingParty) -> list[FieldProblem]:
    if party.country in _SIREN_REQUIRED:
        if party.siren is None:
            return [
                FieldProblem(
                    "siren",
                    "Only businesses are served, no consumers: a French one shows its SIREN (9 digits).",
                )
            ]
        if not is_valid_siren(party.siren):
            return [FieldProblem("siren", _NOT_A_SIREN)]
    elif party.siren is not None:
        if party.country not in _SIREN_ALLOWED:
            return [FieldProblem("siren", "Only a company in France has a SIREN; leave it out.")]
        if not is_valid_siren(party.siren):
            return [FieldProblem("siren", _NOT_A_SIREN)]
    return []


def _vat_problems(party: BillingParty) -> list[FieldProblem]:
    if party.vat_id is None:
        if party.siren is not None and party.country in _SIREN_ALLOWED:
            return []
        if party.country in _SIREN_REQUIRED:
            return []  # the missing SIREN is named already
        return [
            FieldProblem(
                "vat_id",
                "Only businesses are served, no consumers: one outside France shows its VAT or business number.",
            )
        ]
    if not is_valid_vat_id(party.vat_id, party.country):
        is_union = party.country in MEMBER_STATES or party.country in _VAT_PREFIX
        return [
            FieldProblem(
                "vat_id",
                f"This is not a VAT number of {party.country}."
                if is_union
                else "A business number has 2 to 30 letters, digits and signs (. - / & ( ) +).",
            )
        ]
    if party.vat_id.startswith("FR") and party.siren is not None and not party.vat_id.endswith(party.siren):
        return [FieldProblem("vat_id", "The VAT number belongs to another SIREN.")]
    return []
