"""What is asked for single machines, over the claim's own decision."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.apis.v1alpha1 import NodeAction
from operators.apis.v1alpha1 import NodeClaimPhase as Phase
from operators.nodepool.claim_conditions import failure, not_checked, of_record
from operators.nodepool.claim_rules import Action, Decision
from operators.nodepool.domain import Check, Order, Proof, Reason
from operators.nodepool.order_rules import NodeStep, next_step, order_of, with_order
from operators.nodepool.usable_rules import Trouble

SINCE = "2026-11-01T10:00:00.000001Z"
PROOF = Proof("n", "2026-11-01T09:00:00Z", (Check("a", "passed"),))


def order(action: NodeAction) -> Order:
    return Order(action.value, SINCE, datetime(2026, 11, 1, 10, tzinfo=UTC))


@pytest.mark.case("F19")
@given(
    st.sampled_from([NodeAction.CORDON, NodeAction.DRAIN]),
    st.booleans(),
    st.sampled_from(["", "older", SINCE]),
)
def test_a_cordon_lasts_and_whoever_undid_it_is_told(
    action: NodeAction, is_cordoned: bool, done: str
) -> None:
    step = next_step(order(action), is_cordoned=is_cordoned, done=done)
    if is_cordoned and done == SINCE:
        assert step is None
    else:
        assert step == NodeStep(True, done == SINCE)


@pytest.mark.case("F19")
@pytest.mark.parametrize("is_cordoned", [True, False])
def test_an_uncordon_opens_once(is_cordoned: bool) -> None:
    asked = order(NodeAction.UNCORDON)
    assert next_step(asked, is_cordoned=is_cordoned, done="older") == NodeStep(False, False)
    assert next_step(asked, is_cordoned=is_cordoned, done=SINCE) is None


@pytest.mark.case("F19")
def test_an_order_is_for_one_machine_and_not_for_the_next_of_its_name() -> None:
    asked = {"claim": "p-0", "uid": "first", "action": "cordon", "since": SINCE}
    pool = {"spec": {"nodeOrders": [asked]}}
    assert order_of({"metadata": {"name": "p-0", "uid": "first"}}, pool) is not None
    assert order_of({"metadata": {"name": "p-0", "uid": "second"}}, pool) is None
    assert order_of({"metadata": {"name": "p-1", "uid": "first"}}, pool) is None
    assert order_of({"metadata": {"name": "p-0", "uid": "first"}}, {"spec": {}}) is None


def ready_of(decision: Decision) -> tuple[str, str]:
    return next((value.status, value.reason) for value in decision.conditions if value.type == "Ready")


@pytest.mark.case("F19")
@pytest.mark.parametrize(
    ("trouble", "left", "action", "ready"),
    [
        (None, None, NodeAction.CORDON, ("False", "Cordoned")),
        (Trouble(Reason.CORDONED, "x"), None, NodeAction.CORDON, ("False", "Cordoned")),
        (Trouble(Reason.NODE_NOT_READY, "x"), None, NodeAction.CORDON, ("False", "NodeNotReady")),
        (None, "1 pod", NodeAction.DRAIN, ("False", "Draining")),
        (Trouble(Reason.CORDONED, "x"), "", NodeAction.DRAIN, ("False", "Drained")),
        (Trouble(Reason.NODE_NOT_READY, "x"), "1 pod", NodeAction.DRAIN, ("False", "NodeNotReady")),
        (None, None, NodeAction.UNCORDON, ("True", "NodeReady")),
        (None, None, NodeAction.REPLACE, ("True", "NodeReady")),
    ],
)
def test_what_is_asked_shows_and_other_troubles_come_first(
    trouble: Trouble | None, left: str | None, action: NodeAction, ready: tuple[str, str]
) -> None:
    decision = Decision(Action.NONE, Phase.READY, of_record(PROOF, trouble), proof=PROOF)
    told = with_order(decision, order(action), left)
    assert ready_of(told) == ready
    drained = [value for value in told.conditions if value.type == "Drained"]
    assert [value.status for value in drained] == ([] if left is None else ["False" if left else "True"])
    assert len({value.type for value in told.conditions}) == len(told.conditions)


@pytest.mark.case("F19")
def test_a_machine_that_is_not_accepted_never_seems_so() -> None:
    for conditions, phase in (
        (not_checked(Reason.ACCEPTANCE_RUNNING, "x"), Phase.VALIDATING),
        (failure(Reason.ACCEPTANCE_FAILED, "x"), Phase.FAILED),
    ):
        decision = Decision(Action.NONE, phase, conditions)
        for action, left in ((NodeAction.CORDON, None), (NodeAction.DRAIN, ""), (NodeAction.DRAIN, "1 pod")):
            told = with_order(decision, order(action), left)
            assert ready_of(told) == ready_of(decision)
            assert told.phase is phase
