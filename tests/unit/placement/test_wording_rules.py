"""Sentences of explanations: numbers agree, amounts are amounts, each language has its own signs."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.placement import wording_rules as words
from controlplane.placement.decide_rules import decide
from tests.unit.placement.builders import SITES, demand, pool, snapshot

NB, NNB = "\u00a0", "\u202f"
UNKNOWN_UNITS = re.compile(r"minor|mineure|micro|mCPU|\(s\)")


@pytest.mark.case("W29")
@given(st.integers(min_value=0, max_value=2000))
def test_numbers_agree_with_their_nouns(number: int) -> None:
    assert words.count(number, "pool", "pools") == f"{number} pool" + ("" if number == 1 else "s")
    assert words.compte(number, "groupe", "groupes") == f"{number} groupe" + ("" if number < 2 else "s")


@pytest.mark.case("M50")
@pytest.mark.parametrize(
    ("micro", "english", "french"),
    [
        (0, "€0.00", f"0,00{NB}€"),
        (1, "less than €0.01", f"moins de 0,01{NB}€"),
        (999_999, "less than €0.01", f"moins de 0,01{NB}€"),
        (1_000_000, "€0.01", f"0,01{NB}€"),
        (2_500_000, "€0.03", f"0,03{NB}€"),
        (250_000_000, "€2.50", f"2,50{NB}€"),
        (123_456_000_000, "€1,234.56", f"1{NNB}234,56{NB}€"),
    ],
)
def test_an_hour_costs_an_amount_in_euros(micro: int, english: str, french: str) -> None:
    assert (words.euros_en(micro), words.euros_fr(micro)) == (english, french)


@pytest.mark.case("W29")
@pytest.mark.case("M50")
@pytest.mark.parametrize("replicas", [1, 2, 5])
@pytest.mark.parametrize("pools", [0, 1, 2, 3])
@pytest.mark.parametrize("has_room", [True, False])
def test_the_summary_is_a_sentence_in_both_languages(replicas: int, pools: int, has_room: bool) -> None:
    wish = replace(demand(), replicas=replicas)
    fleet = [pool(f"p{n}", sorted(SITES)[n]) for n in range(pools)]
    if not has_room:
        fleet = [replace(each, is_paused=True) for each in fleet]
    told = decide(wish, snapshot(*fleet)).explanation.summary
    for sentence in (told.en, told.fr):
        assert not UNKNOWN_UNITS.search(sentence), sentence
    assert not re.search(r"\b1 (replicas|pools|admissibles|GPUs)\b", told.en), told.en
    assert not re.search(r"\b[01] (répliques|groupes|admissibles)\b", told.fr), told.fr
    assert not re.search(r"\d\.\d", told.fr), told.fr
