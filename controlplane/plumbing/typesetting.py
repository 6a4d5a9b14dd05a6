"""Typesetting as PDF/A-3b by typst, with fonts from wheels: the same bytes on every machine, no system font.

The fonts: Libertinus Serif (inside typst), then the Noto families of the wheels `manimgx-fonts` and
`manimgx-fonts-cjk`, for what the one before cannot show. `check_texts` asks the same engine with the same fonts, so
what passes the door is what prints: PDF/A forbids a character without a glyph, and typst refuses it.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

import typst

from controlplane.kernel.errors import FieldProblem
from controlplane.kernel.text_rules import find_text_fault

_FONT_PACKAGES: Final = ("manimgx_fonts", "manimgx_fonts_cjk")
FAMILIES: Final = (
    "Libertinus Serif", "Noto Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "Noto Sans Arabic",
    "Noto Sans Hebrew", "Noto Sans Devanagari", "Noto Sans Armenian", "Noto Sans Georgian", "Noto Sans Bengali",
    "Noto Sans Gujarati", "Noto Sans Gurmukhi", "Noto Sans Kannada", "Noto Sans Malayalam", "Noto Sans Oriya",
    "Noto Sans Sinhala", "Noto Sans Tamil", "Noto Sans Telugu", "Noto Sans Thai", "Noto Sans Lao", "Noto Sans Khmer",
    "Noto Sans Myanmar", "Noto Sans Ethiopic", "Noto Sans Symbols", "Noto Emoji",
)  # fmt: skip
# Each is one more page to set: enough to tell the cause, few enough for a public door.
_NAMED_MAX: Final = 40
_PROBE: Final = Path(__file__).with_name("probe.typ")


class NotTypeset(RuntimeError):
    """The page could not be made; the text says why."""


@cache
def _fonts() -> typst.Fonts:
    folders = []
    for name in _FONT_PACKAGES:
        found = importlib.util.find_spec(name)
        if found is None or found.origin is None:
            raise NotTypeset(f"The fonts of the package {name} are not installed.")
        folders.append(str(Path(found.origin).parent))
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=True, font_paths=folders)


def make_pdf(template: Path, data: Mapping[str, object]) -> bytes:
    """Typeset a template with its data (`sys.inputs.data`, `sys.inputs.fonts`). Errors: NotTypeset."""
    inputs = {
        "data": json.dumps(data, ensure_ascii=False, sort_keys=True),
        "fonts": json.dumps(FAMILIES),
    }
    try:
        page = typst.compile(
            str(template), format="pdf", pdf_standards="a-3b", sys_inputs=inputs, font_paths=_fonts()
        )
    except typst.TypstError as err:
        raise NotTypeset(f"The page cannot be typeset: {err}") from err
    assert isinstance(page, bytes)
    return page


def is_printable(*texts: str) -> bool:
    """Tell whether the fonts show every character, upright and bold."""
    try:
        make_pdf(_PROBE, {"texts": list(texts)})
    except NotTypeset:
        return False
    return True


def check_texts(fields: Mapping[str, str]) -> tuple[FieldProblem, ...]:
    """The fields whose text no document can carry, each with the reason: the one rule of doors and pages."""
    problems = [
        FieldProblem(field, fault)
        for field, text in fields.items()
        if (fault := find_text_fault(text)) is not None
    ]
    sound = {field: text for field, text in fields.items() if find_text_fault(text) is None}
    if not is_printable(*sound.values()):
        problems += [
            FieldProblem(field, _name_unprintable(text))
            for field, text in sound.items()
            if not is_printable(text)
        ]
    return tuple(problems)


def _name_unprintable(text: str) -> str:
    missing = [
        character for character in list(dict.fromkeys(text))[:_NAMED_MAX] if not is_printable(character)
    ]
    if not missing:
        return "These characters cannot be printed beside each other on an invoice: write them another way."
    named = ", ".join(f"U+{ord(character):04X}" for character in missing[:5])
    return f"An invoice cannot print {named}: no font has it. Write the name in another way."
