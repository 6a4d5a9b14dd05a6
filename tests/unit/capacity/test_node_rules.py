"""What may be asked for one machine, and how a machine is shown."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.capacity.domain import Node, NodeAction
from controlplane.capacity.node_rules import PoolAround, find_refusal, shown_phase
from operators.apis.v1alpha1 import NodeClaimPhase
from operators.nodepool.domain import Reason

NOW = datetime(2026, 11, 1, tzinfo=UTC)
ENOUGH = PoolAround(others_ready=3, needed=1)


def node(
    phase: str = "Ready",
    *,
    is_ready: bool = True,
    reason: str = "NodeReady",
    is_leaving: bool = False,
    order: NodeAction | None = None,
    uid: str = "u-1",
) -> Node:
    return Node(
        name="p-0", pool_name="p", node_name="p-0", phase=phase, is_simulated=True, accepted_at=None,
        acceptance=[], observed_at=NOW, is_ready=is_ready, reason=reason, is_leaving=is_leaving, order=order, uid=uid,
    )  # fmt: skip


@pytest.mark.case("F19")
def test_a_machine_is_shown_ready_only_while_it_takes_work() -> None:
    """Every phase of a claim, with every reason that one can have."""
    for phase, reason, is_ready, is_leaving in product(NodeClaimPhase, Reason, (True, False), (True, False)):
        seen = node(
            phase.value, is_ready=is_ready and not is_leaving, reason=reason.value, is_leaving=is_leaving
        )
        shown = shown_phase(seen)
        assert (shown == "Ready") == (phase is NodeClaimPhase.READY and is_ready and not is_leaving)
        assert shown


@pytest.mark.parametrize(
    ("reason", "shown"),
    [("Cordoned", "Cordoned"), ("Draining", "Draining"), ("Drained", "Drained"), ("NodeNotReady", "NotReady"),
     ("NodeTainted", "NotReady"), ("", "NotReady")],
)  # fmt: skip
@pytest.mark.case("F19")
def test_an_accepted_machine_without_work_says_why(reason: str, shown: str) -> None:
    assert shown_phase(node(is_ready=False, reason=reason)) == shown


REFUSED: dict[str, tuple[Node, PoolAround | None, frozenset[NodeAction], str]] = {
    "made in its cell": (node(), None, frozenset(NodeAction), "kubectl cordon"),
    "leaving": (node(is_leaving=True, phase="Draining"), ENOUGH, frozenset(NodeAction), "given back already"),
    "pool is going": (node(), PoolAround(3, 0, is_going=True), frozenset(NodeAction), "given back already"),
    "being replaced": (
        node(order=NodeAction.REPLACE), ENOUGH, frozenset(NodeAction) - {NodeAction.REPLACE}, "being replaced",
    ),
    "kept by hand": (node(), PoolAround(3, 0, held_reason="fire"), frozenset(NodeAction), "break-glass"),
    "not reported": (node(uid=""), ENOUGH, frozenset(NodeAction), "try again"),
    "paused": (node(), PoolAround(3, 0, is_paused=True), frozenset({NodeAction.REPLACE}), "resume it first"),
    "held": (node(), PoolAround(1, 2), frozenset({NodeAction.DRAIN, NodeAction.REPLACE}), "needs 2 machines"),
    "last": (node(), PoolAround(0, 0), frozenset({NodeAction.REPLACE}), "last machine"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.case("F19")
def test_an_order_is_refused_with_the_reason_and_what_to_do(name: str) -> None:
    seen, around, actions, words = REFUSED[name]
    for action in NodeAction:
        told = find_refusal(seen, action, around, is_forced=False)
        assert (told is not None) == (action in actions), action
        assert told is None or words in told
        # Force gives up the room of what is placed there, and nothing else.
        forced = find_refusal(seen, action, around, is_forced=True)
        assert forced == (None if name in ("held", "last") else told)


@given(st.integers(0, 5), st.integers(0, 5), st.sampled_from([NodeAction.DRAIN, NodeAction.REPLACE]))
@pytest.mark.case("F19")
def test_no_order_takes_machines_from_under_what_is_held(
    others: int, needed: int, action: NodeAction
) -> None:
    told = find_refusal(node(), action, PoolAround(others, needed), is_forced=False)
    is_harm = others < needed or (action is NodeAction.REPLACE and others == 0)
    assert (told is not None) == is_harm
    # A machine that takes no work anyway carries nothing that would be lost.
    idle = node(is_ready=False, reason="NodeNotReady")
    assert find_refusal(idle, action, PoolAround(others, needed), is_forced=False) is None
