"""The room's README draws the table that the code obeys."""

from __future__ import annotations

from pathlib import Path

from controlplane.einvoicing.domain import LABELS, TRANSITIONS, LifeCycle
from controlplane.einvoicing.platform import Flow, NullPlatform

README = Path(__file__).resolve().parents[3] / "controlplane" / "einvoicing" / "README.md"


def test_states_are_drawn_as_they_are() -> None:
    assert TRANSITIONS.as_mermaid() in README.read_text(encoding="utf-8")


def test_every_status_has_its_french_name() -> None:
    assert set(LABELS) == set(LifeCycle)


def test_the_null_platform_says_that_it_is_one() -> None:
    answer = NullPlatform().submit(Flow("x.pdf", b"", "", "Factur-X", "CIUS", "B2B", "CustomerInvoice"))
    assert not answer.is_transmitted
    assert answer.is_simulated
    assert "null platform" in answer.message
    assert answer.flow_id is None
