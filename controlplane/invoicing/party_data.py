"""Schemes of identifiers and electronic addresses by country.

Sources: BR-FR rules 1.4.0 (0002 SIREN, 0223 EU VAT number, 0227 business number outside the Union, 0225 French
electronic address); CEF electronic address scheme list (EAS), the VAT-number schemes 99xx.
"""

from __future__ import annotations

from typing import Final

SCHEME_SIREN: Final = "0002"
SCHEME_SIRET: Final = "0009"
SCHEME_EU_VAT: Final = "0223"
SCHEME_FOREIGN: Final = "0227"
SCHEME_FR_ADDRESS: Final = "0225"
# "O.F.T.P." and friends aside, the list has one scheme that needs no registry: an e-mail address.
SCHEME_EMAIL: Final = "EM"

EAS_BY_COUNTRY: Final = {
    "AD": "9922", "AT": "9914", "BE": "9925", "BG": "9926", "CH": "9927", "CY": "9928", "CZ": "9929",
    "DE": "9930", "EE": "9931", "ES": "9920", "FI": "0213", "GB": "9932", "GR": "9933", "HR": "9934",
    "HU": "9910", "IE": "9935", "IT": "0211", "LI": "9936", "LT": "9937", "LU": "9938", "LV": "9939",
    "MC": "9940", "ME": "9941", "MT": "9943", "NL": "9944", "PL": "9945", "PT": "9946", "RO": "9947",
    "SE": "9955", "SI": "9949", "SK": "9950", "SM": "9951", "TR": "9952", "US": "9959", "DK": "0184",
    "NO": "0192",
}  # fmt: skip
