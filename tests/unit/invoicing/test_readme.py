"""The room's README draws the table that the code obeys."""

from __future__ import annotations

from pathlib import Path

import pytest

from controlplane.invoicing.domain import TRANSITIONS, InvoiceState, InvoiceTrigger
from controlplane.kernel.errors import IllegalTransition

README = Path(__file__).resolve().parents[3] / "controlplane" / "invoicing" / "README.md"


def test_states_are_drawn_as_they_are() -> None:
    assert TRANSITIONS.as_mermaid() in README.read_text(encoding="utf-8")


def test_every_failed_state_can_be_tried_again() -> None:
    for state in (InvoiceState.DRAFT_FAILED, InvoiceState.ISSUE_FAILED, InvoiceState.HELD):
        assert TRANSITIONS.allows(state, InvoiceTrigger.RETRY)


@pytest.mark.parametrize("trigger", list(InvoiceTrigger))
def test_nothing_leaves_the_issued_state(trigger: InvoiceTrigger) -> None:
    with pytest.raises(IllegalTransition):
        TRANSITIONS.next(InvoiceState.ISSUED, trigger)
