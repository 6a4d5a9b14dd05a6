"""The VAT decision table for services supplied by electronic means: dated rows with their legal source, read from data.

Shapes: rows of one case follow one another in time; a date that no row covers has no treatment: invoices are held.
The rows stand in vat_table.toml beside this module, or in the operator's own file (`REMPART_VAT_TABLE`).
Source: docs/french-law.md (table "VAT"), which links each row to its test. From 2027-01-01 the CIBS replaces the VAT
articles of the CGI; references to the CGI stay lawful on invoices until 2028-06-30.
"""

from __future__ import annotations

import itertools
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

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


# Where an operator's own table lies; unset, it is the one of this version.
TABLE_VARIABLE: Final = "REMPART_VAT_TABLE"
_FIELDS: Final = frozenset(
    {"case", "from", "until", "category", "rate", "vatex", "mention", "flow", "source"}
)


class VatTableError(Exception):
    """A VAT table that cannot be used: the sentence names the file, the row and the field."""


def load_table(path: Path) -> tuple[VatRow, ...]:
    """Read a table (TOML, `[[row]]`; the fields are told in vat_table.toml) and check it.

    Errors: VatTableError for a file that cannot be read, an unknown, missing or impossible field, rows of one case that
    overlap, or a case without a row.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as err:
        raise VatTableError(f"The VAT table {path} cannot be read: {err}") from err
    written = content.get("row")
    if set(content) != {"row"} or not isinstance(written, list):
        raise VatTableError(f"The VAT table {path} holds rows only, each under [[row]].")
    rows = []
    for number, fields in enumerate(written, start=1):
        try:
            rows.append(_read_row(fields))
        except (ValueError, ArithmeticError) as err:
            raise VatTableError(f"Row {number} of the VAT table {path}: {err}") from err
    problem = _find_gap_or_overlap(rows)
    if problem:
        raise VatTableError(f"The VAT table {path}: {problem}")
    return tuple(rows)


def _read_row(fields: object) -> VatRow:
    if not isinstance(fields, dict):
        raise ValueError("a row is a table of fields.")
    unknown = sorted(set(fields) - _FIELDS)
    if unknown:
        raise ValueError(f"there is no field '{unknown[0]}'; the fields are {', '.join(sorted(_FIELDS))}.")
    category = _choose(fields, "category", VatCategory)
    valid_from, valid_to = _day(fields, "from"), _day(fields, "until") if "until" in fields else None
    if valid_to is not None and valid_to <= valid_from:
        raise ValueError("'until' is the first day after the row and lies after 'from'.")
    vatex, mention, rate = _text(fields, "vatex"), _text(fields, "mention"), _rate(fields, category)
    if (category is VatCategory.STANDARD) != (vatex is None) or (vatex is None) != (mention is None):
        raise ValueError("'vatex' and 'mention' say why no tax is charged: both for AE and O, neither for S.")
    source = _text(fields, "source")
    if source is None:
        raise ValueError("'source' names the article of law.")
    return VatRow(
        case=_choose(fields, "case", VatCase), valid_from=valid_from, valid_to=valid_to, category=category, rate=rate,
        vatex=vatex, exemption_text=mention, flow=_choose(fields, "flow", Flow), source=source,
    )  # fmt: skip


_Word = TypeVar("_Word", bound=StrEnum)


def _choose(fields: Mapping[str, object], name: str, kind: type[_Word]) -> _Word:
    value = fields.get(name)
    if value not in [member.value for member in kind]:
        raise ValueError(f"'{name}' is one of {', '.join(kind)}, not {value!r}.")
    return kind(str(value))


def _day(fields: Mapping[str, object], name: str) -> date:
    value = fields.get(name)
    if not isinstance(value, date) or isinstance(value, datetime):
        raise ValueError(f"'{name}' is a day such as 2027-01-01, without quotation marks.")
    return value


def _text(fields: Mapping[str, object], name: str) -> str | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"'{name}' is a text that is not empty.")
    return value


def _rate(fields: Mapping[str, object], category: VatCategory) -> Decimal | None:
    """Percent with at most two decimals (BR-FR-DEC): above 0 for S, 0 for AE, none for O (BR-O-05)."""
    value = fields.get("rate")
    if category is VatCategory.OUTSIDE_SCOPE:
        if value is not None:
            raise ValueError("category O has no 'rate' (BR-O-05): leave it out.")
        return None
    if not isinstance(value, str) or re.fullmatch(r"[0-9]{1,2}(\.[0-9]{1,2})?", value) is None:
        raise ValueError("'rate' is percent as a text with at most two decimals, such as \"8.5\".")
    rate = Decimal(value)
    if (rate > 0) != (category is VatCategory.STANDARD):
        raise ValueError("'rate' is above 0 for S and 0 for AE.")
    return rate


def _find_gap_or_overlap(rows: Sequence[VatRow]) -> str:
    """A sentence, or nothing. A case may end (that is warned of long before), but not pause."""
    for case in VatCase:
        ordered = sorted((row for row in rows if row.case is case), key=lambda row: row.valid_from)
        if not ordered:
            return f"the case {case} has no row."
        for earlier, later in itertools.pairwise(ordered):
            if earlier.valid_to is None or earlier.valid_to > later.valid_from:
                return f"two rows of {case} overlap on {later.valid_from.isoformat()}."
            if earlier.valid_to < later.valid_from:
                return f"no row of {case} covers {earlier.valid_to.isoformat()}."
    return ""


def find_table(environment: Mapping[str, str]) -> Path:
    """The table that this installation follows."""
    return Path(environment.get(TABLE_VARIABLE) or Path(__file__).with_name("vat_table.toml"))


# Read when a program starts: with a table that cannot be used none does, and the sentence says why.
VAT_ROWS: Final[tuple[VatRow, ...]] = load_table(find_table(os.environ))

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
