"""Every text of the portal has its French, and French looks like French."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
from babel.messages.catalog import Message
from babel.messages.extract import extract_from_dir

import controlplane.portal
from controlplane.portal.i18n import LOCALE, read_catalogue, translations

ROOM = Path(controlplane.portal.__file__).parent
_PLACE = re.compile(r"%\((\w+)\)")
# What is the same word in both languages, or a name.
SAME = frozenset(
    {
        "Admissible", "Audit", "Verdict", "Instances", "Services", "Service", "Code", "Capital", "Version",
        "Validating", "Budgets", "Quotas", "Phase", "Node", "Catalogue", "Secret", "Secrets",
    }
)  # fmt: skip


@cache
def written() -> frozenset[str]:
    """Every text that the source marks for translation."""
    found = extract_from_dir(
        ROOM,
        method_map=[("**.py", "python"), ("templates/**.html", "jinja2")],
        options_map={"templates/**.html": {"trim_blocks": "true", "lstrip_blocks": "true"}},
        keywords={"_": None, "N_": None, "gettext": None},
    )
    return frozenset(str(text) for _, _, text, _, _ in found)


@cache
def translated() -> tuple[Message, ...]:
    return tuple(message for message in read_catalogue(LOCALE / "fr.po") if message.id)


def test_no_text_is_without_its_french() -> None:
    assert len(written()) > 300
    done = {str(message.id) for message in translated() if message.string and not message.fuzzy}
    assert sorted(written() - done) == []


def test_no_french_is_left_of_a_text_that_is_gone() -> None:
    assert sorted({str(message.id) for message in translated()} - written()) == []


def test_no_translation_is_fuzzy() -> None:
    assert [message.id for message in translated() if message.fuzzy] == []


def test_translations_name_the_same_values() -> None:
    for message in translated():
        assert sorted(_PLACE.findall(str(message.id))) == sorted(_PLACE.findall(str(message.string))), (
            message.id
        )


def test_french_is_not_english() -> None:
    same = {str(message.id) for message in translated() if message.id == message.string}
    assert sorted(same - SAME) == []


@pytest.mark.parametrize("mark", [";", "!", "?", ":", "»"])
def test_no_ordinary_space_stands_before_french_punctuation(mark: str) -> None:
    french = translations("fr")
    for text in written():
        shown = french.gettext(text)
        assert f" {mark}" not in shown, shown
        assert "« " not in shown, shown


def test_english_needs_no_catalogue() -> None:
    assert translations("en").gettext("Sign in") == "Sign in"
    assert translations("fr").gettext("Sign in") == "Se connecter"
