"""The catalogues: English is what the source says, French is read from `locale/fr.po` once a process."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations

from controlplane.portal.format_rules import typeset

LOCALE = Path(__file__).parent / "locale"


def N_(text: str) -> str:  # noqa: N802 - gettext's own name for "translate this one later"
    """Mark a text for the catalogue where it stands; it is translated where it is shown."""
    return text


@cache
def translations(language: str) -> NullTranslations:
    """Return a language's texts."""
    path = LOCALE / f"{language}.po"
    if not path.exists():
        return NullTranslations()
    compiled = BytesIO()
    write_mo(compiled, _typeset(read_catalogue(path), language))
    compiled.seek(0)
    return Translations(compiled)


def read_catalogue(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale=path.stem, abort_invalid=True)


def _typeset(catalogue: Catalog, language: str) -> Catalog:
    """Set the spaces that a keyboard does not have, so that the catalogue can be written with one."""
    for message in catalogue:
        if not message.id:
            continue
        text = message.string
        if isinstance(text, str):
            message.string = typeset(text, language)
        elif text is not None:
            message.string = tuple(typeset(each, language) for each in text)
    return catalogue
