"""A verdict's page part: its proof and what is announced to end it, in the reader's language."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.portal.render import Renderer

STEP = {
    "fact_id": "hld_1",
    "text": {
        "en": "Fondateurs holds the whole of Centre SAS.",
        "fr": "Fondateurs détient la totalité de Centre SAS.",
    },
    "evidence": "share register",
    "evidence_sha256": None,
}
REASON = {
    "code": "non_eu_control",
    "required": "none",
    "observed": "US",
    "text": {"en": "Control goes to the United States.", "fr": "Le contrôle passe aux États-Unis."},
    "why_path": [STEP],
}
VERDICT: dict[str, Any] = {
    "site_code": "essonne-1", "is_admissible": True, "reasons": [], "facts_read": ["hld_1"],
    "decided_at": "2026-11-28T10:00:00Z", "expires_at": None, "policy_hash": "0123456789abcdef" * 4,
    "owners": ["ent_1"], "proof": [STEP], "foreseen": None,
}  # fmt: skip


def page(language: str, **changes: Any) -> str:
    html = Renderer().render("_verdicts.html", language, {"verdicts": [{**VERDICT, **changes}]})
    return html.replace("\u202f", " ").replace("\xa0", " ").replace("\u2060", "").replace("&#39;", "’")


@pytest.mark.case("F10")
@pytest.mark.parametrize(
    ("language", "step", "words"),
    [
        ("en", STEP["text"]["en"], "What the verdict rests on"),
        ("fr", STEP["text"]["fr"], "Ce qui fonde le verdict"),
    ],  # type: ignore[index]
)
def test_an_admission_shows_its_owners_and_its_proof(language: str, step: str, words: str) -> None:
    shown = page(language)
    for each in (words, step, "share register", "hld_1", "ent_1", "essonne-1"):
        assert each in shown
    assert "foreseen" not in shown


@pytest.mark.case("F10")
@pytest.mark.parametrize(
    ("language", "words"), [("en", "Admissible only until"), ("fr", "Admissible seulement jusqu’au")]
)
def test_what_is_announced_to_end_it_is_told(language: str, words: str) -> None:
    told = {"at": "2027-02-26T10:00:00Z", "reasons": [REASON]}
    shown = page(language, foreseen=told)
    assert words in shown
    assert "2027-02-26T10:00:00Z" in shown
    assert REASON["text"][language] in shown  # type: ignore[index]
    assert words not in page(language)


@pytest.mark.case("F10")
@pytest.mark.parametrize("language", ["en", "fr"])
def test_an_admission_that_no_fact_bears_says_so(language: str) -> None:
    shown = page(language, owners=[], proof=[])
    assert ("neither owners nor certificates" if language == "en" else "ni sur les propriétaires") in shown


@pytest.mark.case("F10")
@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_refusal_shows_its_reasons(language: str) -> None:
    shown = page(language, is_admissible=False, reasons=[REASON], proof=[], owners=[])
    assert REASON["text"][language] in shown  # type: ignore[index]
    assert ("Not admissible" if language == "en" else "Non admissible") in shown
