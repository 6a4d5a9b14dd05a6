"""Write the FEC: 18 columns of LPF A47 A-1 VII. Pure.

Source: LPF art. A47 A-1 VII and BOI-CF-IOR-60-40-20: TAB between fields, CR LF after lines, ISO 8859-15, dates
AAAAMMJJ, decimal comma.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Final

from controlplane.ledger.domain import JOURNAL_LABELS, EntryLine, JournalEntry

COLUMNS: Final = (
    "JournalCode", "JournalLib", "EcritureNum", "EcritureDate", "CompteNum", "CompteLib", "CompAuxNum", "CompAuxLib",
    "PieceRef", "PieceDate", "EcritureLib", "Debit", "Credit", "EcritureLet", "DateLet", "ValidDate",
    "Montantdevise", "Idevise",
)  # fmt: skip
ENCODING: Final = "iso8859-15"
SEPARATOR: Final = "\t"
LINE_END: Final = "\r\n"


def file_name(siren: str, year_ends_on: date) -> str:
    """<SIREN>FEC<AAAAMMJJ>.txt, dated at the end of the fiscal year."""
    return f"{siren}FEC{year_ends_on:%Y%m%d}.txt"


def write_fec(entries: Iterable[JournalEntry]) -> Iterator[bytes]:
    """Yield the header and one line for each entry line, in the order given."""
    yield _encode(COLUMNS)
    for entry in entries:
        for line in entry.lines:
            yield _encode(_fields(entry, line))


def _fields(entry: JournalEntry, line: EntryLine) -> tuple[str, ...]:
    return (
        entry.journal.value,
        JOURNAL_LABELS[entry.journal],
        entry.ecriture_num,
        _day(entry.occurred_on),
        line.account,
        line.account_label,
        "" if line.tenant_id is None else str(line.tenant_id),
        line.tenant_label,
        entry.piece_ref,
        _day(entry.piece_on),
        entry.label,
        amount_text(line.debit_minor),
        amount_text(line.credit_minor),
        line.letter or "",
        "" if line.lettered_on is None else _day(line.lettered_on),
        _day(entry.validated_on),
        "",
        "",
    )


def amount_text(minor: int) -> str:
    """Cents as euros with a decimal comma and no thousand separator."""
    assert minor >= 0, "a side of an entry is not negative"
    whole, cents = divmod(minor, 100)
    return f"{whole},{cents:02d}"


def _day(day: date) -> str:
    return f"{day:%Y%m%d}"


def _encode(fields: tuple[str, ...]) -> bytes:
    return (SEPARATOR.join(_plain(field) for field in fields) + LINE_END).encode(ENCODING)


def _plain(text: str) -> str:
    """One line, no separator inside; what ISO 8859-15 lacks becomes its base letter, or a question mark."""
    kept = []
    for character in " ".join(text.replace("|", " ").split()):
        try:
            character.encode(ENCODING)
            kept.append(character)
        except UnicodeEncodeError:
            base = unicodedata.normalize("NFKD", character)[0]
            kept.append(base if base.isascii() else "?")
    return "".join(kept)
