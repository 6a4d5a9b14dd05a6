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


def test_every_test_that_the_law_page_names_exists() -> None:
    import re

    root = Path(__file__).resolve().parents[3]
    named = set(re.findall(r"`(test_\w+)", (root / "docs" / "french-law.md").read_text(encoding="utf-8")))
    written = "\n".join(path.read_text(encoding="utf-8") for path in (root / "tests").rglob("test_*.py"))
    assert len(named) > 20
    assert sorted(name for name in named if f"def {name}(" not in written) == []
