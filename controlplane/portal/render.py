"""Templates, one environment a language, and the files that pages load: all from this site, named by their content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from controlplane.portal import format_rules as formats
from controlplane.portal import labels
from controlplane.portal.i18n import translations
from controlplane.portal.request_rules import LANGUAGES
from controlplane.portal.sentence_rules import tell

HERE = Path(__file__).parent
STATIC = HERE / "static"
HTMX_FILE = "htmx-2.min.js"
_TAG_LENGTH = 12


def htmx_path() -> Path | None:
    """Return htmx inside its package; None where the package is absent, and pages then work without it."""
    found = find_spec("django_htmx")
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).parent / "static" / "django_htmx" / HTMX_FILE
    return path if path.is_file() else None


def static_files() -> dict[str, Path]:
    """The files a page may load, by name."""
    files = {path.name: path for path in sorted(STATIC.iterdir()) if path.is_file()}
    htmx = htmx_path()
    return files if htmx is None else {**files, "htmx.js": htmx}


class Renderer:
    """Turns a template's name and values into a page."""

    def __init__(self) -> None:
        self.files = static_files()
        tags = {
            name: hashlib.sha256(path.read_bytes()).hexdigest()[:_TAG_LENGTH]
            for name, path in self.files.items()
        }
        self._environments = {language: _environment(language, tags) for language in LANGUAGES}

    def render(self, template: str, language: str, context: Mapping[str, Any]) -> str:
        return self._environments[language].get_template(template).render(context)

    def translate(self, text: str, language: str) -> str:
        return str(translations(language).gettext(text)) if text else ""


def _environment(language: str, tags: Mapping[str, str]) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    # What the extension adds is not in jinja2's types.
    environment.install_gettext_translations(translations(language), newstyle=True)  # type: ignore[attr-defined]
    for name in ("amount", "number", "milli", "percent", "instant", "day", "month", "country"):
        environment.filters[name] = partial(getattr(formats, name), language=language)
    environment.filters["ago"] = partial(formats.ago, language=language)
    environment.filters["typeset"] = partial(formats.typeset, language=language)
    environment.filters["label"] = partial(_label, language)
    environment.filters["act"] = partial(_act, language)
    environment.filters["step"] = partial(_step, language)
    environment.filters["text"] = lambda both: formats.typeset(both[language], language)
    environment.globals |= {
        "language": language,
        "labels": labels,
        "static": lambda name: f"/static/{name}?v={tags[name]}",
        "has_htmx": "htmx.js" in tags,
        "foreign": partial(_foreign, language),
        "title_of": lambda thing: thing[f"title_{language}"],
    }
    return environment


def _translate(language: str, text: str) -> str:
    return str(translations(language).gettext(text)) if text else ""


def _label(language: str, code: object, kind: str) -> str:
    """The reader's words for a constant."""
    return formats.typeset(_translate(language, labels.words_of(kind, str(code))), language)


def _act(language: str, action: str) -> str:
    """An act of the audit chain, `noun.past`, in words."""
    noun, _, verb = action.partition(".")
    return formats.typeset(
        f"{_label(language, noun, 'audit_noun')}: {_label(language, verb, 'audit_verb').lower()}", language
    )


def _step(language: str, step: str) -> str:
    """A step of a calculation, such as `AMOUNT(quantity=2, unit_price=0.5) = 1`: what it does and what comes out."""
    kind, _, rest = step.partition("(")
    inputs, _, result = rest.rpartition(") = ")
    values = [value.partition("=")[2] for value in inputs.split(", ") if "=" in value]
    shown = " · ".join(formats.number(value, language) for value in values if value)
    name = _label(language, kind, "step")
    return (
        f"{name}: {shown} → {formats.number(result, language)}"
        if shown
        else f"{name}: {formats.number(result, language)}"
    )


def _foreign(language: str, text: str, known: Mapping[str, str] | None = None) -> Markup | str:
    """A sentence of the API in the reader's language; one that nobody has translated is marked as English."""
    if not text:
        return ""
    told, is_own = tell(text, partial(_translate, language), known)
    if is_own or language == "en":
        return formats.typeset(told, language)
    return Markup('<span lang="en">{}</span>').format(escape(told))
