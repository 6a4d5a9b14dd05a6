"""The next step of a claim, over every state of the world around it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.apis.v1alpha1 import NodeClaimPhase as Phase
from operators.nodepool.claim_rules import Action, Decision, decide_claim, missing_labels, wanted_taints
from operators.nodepool.domain import (
    ACCEPTANCE_TIMEOUT_S,
    CLAIM_PHASES,
    FAILED_RETRY_S,
    FOLD_S,
    LAUNCH_TIMEOUT_S,
    REGISTRATION_TIMEOUT_S,
    SIMULATED,
    SIMULATED_ACCEPTANCE_S,
    UNVALIDATED,
    AcceptanceFacts,
    Check,
    ClaimFacts,
    MachineOrder,
    NodeFacts,
    Outcome,
    Reason,
    Taint,
)
from operators.nodepool.status_rules import claim_status

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PASSED = (Check("memory", "passed", "1 GB/s"),)
KUBERNETES_TAINT = Taint("node.kubernetes.io/not-ready")


def claim(
    phase: Phase = Phase.PENDING,
    *,
    age_s: float = 60.0,
    accepted: bool = False,
    ready_reason: str = "",
    launched_reason: str = "",
) -> ClaimFacts:
    since = NOW - timedelta(seconds=age_s)
    return ClaimFacts("p-0", "uid", phase, since, since, None, ready_reason, launched_reason, accepted)


def node(
    *, ready: bool = True, unvalidated: bool = True, deleting: bool = False, uid: str = "node-1"
) -> NodeFacts:
    taints = (UNVALIDATED, SIMULATED) if unvalidated else (SIMULATED,)
    return NodeFacts("p-0", uid, "kwok://p-0", ready, "gone silent", False, deleting, {}, taints)


def acceptance(
    outcome: Outcome, *, deleting: bool = False, node_uid: str = "node-1", failure: str = ""
) -> AcceptanceFacts:
    checks = PASSED if outcome is Outcome.PASSED else ()
    return AcceptanceFacts(node_uid, outcome, deleting, checks, failure)


LIVE_PHASES = [phase for phase in Phase if phase not in (Phase.DRAINING, Phase.RELEASING)]
CLAIMS = st.builds(
    lambda phase, age_s, accepted, ready, launched: claim(
        phase, age_s=age_s, accepted=accepted, ready_reason=ready, launched_reason=launched
    ),
    st.sampled_from(LIVE_PHASES),
    st.floats(0, 2000),
    st.booleans(),
    st.sampled_from(["", *Reason]),
    st.sampled_from(["", Reason.NO_CAPACITY, Reason.LAUNCHING]),
)
NODES = st.one_of(
    st.none(),
    st.builds(
        lambda ready, unvalidated, deleting: node(ready=ready, unvalidated=unvalidated, deleting=deleting),
        st.booleans(), st.booleans(), st.booleans(),
    ),
)  # fmt: skip
ACCEPTANCES = st.one_of(
    st.none(),
    st.builds(
        lambda outcome, deleting, uid: acceptance(outcome, deleting=deleting, node_uid=uid),
        st.sampled_from(list(Outcome)), st.booleans(), st.sampled_from(["node-1", "node-0"]),
    ),
)  # fmt: skip


def is_condition(decision: Decision, type_: str, status: str) -> bool:
    return any(value.type == type_ and value.status == status for value in decision.conditions)


@given(CLAIMS, NODES, ACCEPTANCES)
def test_a_node_takes_work_only_after_its_own_acceptance_passed(
    facts: ClaimFacts, seen: NodeFacts | None, run: AcceptanceFacts | None
) -> None:
    decision = decide_claim(facts, seen, run, NOW)
    if decision.action is Action.ACCEPT:
        assert run is not None
        assert seen is not None
        assert run.outcome is Outcome.PASSED
        assert run.node_uid == seen.uid
        assert not run.is_deleting
    if is_condition(decision, "Ready", "True"):
        assert seen is not None
        assert seen.is_ready
        assert decision.action is Action.ACCEPT or (facts.is_accepted and not seen.is_unvalidated)


@given(CLAIMS, NODES, ACCEPTANCES)
def test_every_decision_is_a_step_of_the_table_or_rests_until_something_changes(
    facts: ClaimFacts, seen: NodeFacts | None, run: AcceptanceFacts | None
) -> None:
    decision = decide_claim(facts, seen, run, NOW)
    CLAIM_PHASES.check(facts.phase, decision.phase)
    if decision.action is Action.NONE and decision.phase in (Phase.REGISTERING, Phase.VALIDATING):
        assert decision.requeue_after_s is not None


@given(CLAIMS, NODES, ACCEPTANCES)
def test_deciding_again_on_the_status_it_wrote_writes_nothing_more(
    facts: ClaimFacts, seen: NodeFacts | None, run: AcceptanceFacts | None
) -> None:
    decision = decide_claim(facts, seen, run, NOW)
    common = {"generation": 1, "provider_id": "", "node_name": "", "is_simulated": True}
    first = claim_status({"phase": facts.phase.value}, decision, now="t1", **common)  # type: ignore[arg-type]
    repeated = Decision(decision.action, decision.phase, decision.conditions, None, decision.is_accepted)
    assert claim_status(first, repeated, now="t2", **common) == first  # type: ignore[arg-type]


def test_the_way_up_has_one_action_a_step() -> None:
    assert decide_claim(claim(), None, None, NOW).action is Action.LAUNCH
    waiting = decide_claim(claim(), node(ready=False), None, NOW)
    assert (waiting.action, waiting.phase) == (Action.NONE, Phase.REGISTERING)
    starting = decide_claim(claim(Phase.REGISTERING), node(), None, NOW)
    assert (starting.action, starting.phase) == (Action.START_ACCEPTANCE, Phase.VALIDATING)
    running = decide_claim(claim(Phase.VALIDATING), node(), acceptance(Outcome.RUNNING), NOW)
    assert (running.action, running.phase) == (Action.NONE, Phase.VALIDATING)
    passed = decide_claim(claim(Phase.VALIDATING), node(), acceptance(Outcome.PASSED), NOW)
    assert (passed.action, passed.phase, passed.checks) == (Action.ACCEPT, Phase.READY, PASSED)
    settled = decide_claim(claim(Phase.READY, accepted=True), node(unvalidated=False), None, NOW)
    assert (settled.action, settled.phase) == (Action.NONE, Phase.READY)


def test_a_young_claim_whose_node_joins_quickly_folds_its_status() -> None:
    decision = decide_claim(claim(age_s=0.5), node(ready=False), None, NOW)
    assert decision.is_folded
    assert decision.requeue_after_s == pytest.approx(FOLD_S - 0.5)


def test_a_failed_run_fails_the_claim_with_its_words_and_stays_failed() -> None:
    run = acceptance(Outcome.FAILED, failure="memory: 3 bits flipped")
    decision = decide_claim(claim(Phase.VALIDATING), node(), run, NOW)
    assert decision.phase is Phase.FAILED
    assert is_condition(decision, "Accepted", "False")
    assert any("3 bits flipped" in value.message for value in decision.conditions)
    later = claim(Phase.FAILED, age_s=1e6, ready_reason=Reason.ACCEPTANCE_FAILED)
    assert decide_claim(later, node(), run, NOW) == Decision(Action.NONE, Phase.FAILED)


@pytest.mark.parametrize(
    ("phase", "limit_s", "seen", "reason"),
    [
        (Phase.LAUNCHING, LAUNCH_TIMEOUT_S, None, Reason.LAUNCH_TIMED_OUT),
        (Phase.REGISTERING, REGISTRATION_TIMEOUT_S, None, Reason.REGISTRATION_TIMED_OUT),
        (Phase.REGISTERING, REGISTRATION_TIMEOUT_S, node(ready=False), Reason.REGISTRATION_TIMED_OUT),
        (Phase.VALIDATING, ACCEPTANCE_TIMEOUT_S, node(ready=False), Reason.ACCEPTANCE_TIMED_OUT),
        (Phase.VALIDATING, ACCEPTANCE_TIMEOUT_S, node(), Reason.ACCEPTANCE_TIMED_OUT),
    ],
)
def test_each_phase_runs_out_of_time_and_is_tried_again(
    phase: Phase, limit_s: float, seen: NodeFacts | None, reason: Reason
) -> None:
    run = acceptance(Outcome.RUNNING)
    decision = decide_claim(claim(phase, age_s=limit_s + 1), seen, run, NOW)
    assert (decision.phase, decision.conditions[-1].reason) == (Phase.FAILED, reason)
    early = claim(Phase.FAILED, age_s=FAILED_RETRY_S - 1, ready_reason=reason)
    assert decide_claim(early, seen, run, NOW).phase is Phase.FAILED
    late = claim(Phase.FAILED, age_s=FAILED_RETRY_S + 1, ready_reason=reason)
    again = decide_claim(late, seen, run, NOW)
    assert (again.phase, again.action) == (Phase.LAUNCHING, Action.REMOVE_ACCEPTANCE)


def test_waiting_for_capacity_never_runs_out_of_time() -> None:
    waiting = claim(Phase.LAUNCHING, age_s=1e6, launched_reason=Reason.NO_CAPACITY)
    assert decide_claim(waiting, None, None, NOW).action is Action.LAUNCH


def test_a_node_that_vanished_is_asked_for_again_and_checked_again() -> None:
    lost = decide_claim(claim(Phase.READY, accepted=True), None, None, NOW)
    assert (lost.phase, lost.is_accepted) == (Phase.LAUNCHING, False)
    old_run = acceptance(Outcome.PASSED, node_uid="node-0")
    back = decide_claim(claim(Phase.LAUNCHING), node(), old_run, NOW)
    assert back.action is Action.REMOVE_ACCEPTANCE
    again = decide_claim(claim(Phase.READY, accepted=True), node(unvalidated=True), None, NOW)
    assert (again.action, again.phase) == (Action.START_ACCEPTANCE, Phase.VALIDATING)


def test_a_silent_node_keeps_its_record_but_not_its_readiness() -> None:
    decision = decide_claim(
        claim(Phase.READY, accepted=True), node(ready=False, unvalidated=False), None, NOW
    )
    assert (decision.phase, decision.is_accepted) == (Phase.READY, True)
    assert is_condition(decision, "Ready", "False")


ORDER = MachineOrder(
    "uid", "p-0", "p-0", "p", 1000, 1024, 8, (("rempart.eu/node-pool", "p"),),
    (UNVALIDATED, SIMULATED, Taint("example.org/x", "1")), NOW,
)  # fmt: skip


def test_taints_that_are_ours_are_put_back_and_others_are_left_alone() -> None:
    bare = NodeFacts("p-0", "u", "", True, "", False, False, {}, (KUBERNETES_TAINT,))
    unaccepted = wanted_taints(ORDER, bare, is_accepted=False)
    assert set(unaccepted) == {UNVALIDATED, SIMULATED, Taint("example.org/x", "1"), KUBERNETES_TAINT}
    assert set(wanted_taints(ORDER, bare, is_accepted=True)) == set(unaccepted) - {UNVALIDATED}
    assert missing_labels(ORDER, bare) == {"rempart.eu/node-pool": "p"}


class TestSimulatedRun:
    def test_a_simulated_run_that_its_simulator_lost_is_started_again(self) -> None:
        lost = AcceptanceFacts(
            "node-1",
            Outcome.RUNNING,
            False,
            simulated_since=NOW - timedelta(seconds=SIMULATED_ACCEPTANCE_S),
        )
        decision = decide_claim(claim(Phase.VALIDATING), node(), lost, NOW)
        assert decision.action is Action.REMOVE_ACCEPTANCE
        assert decision.phase is Phase.VALIDATING

    def test_a_young_simulated_run_is_waited_for_and_looked_at_again(self) -> None:
        young = AcceptanceFacts("node-1", Outcome.RUNNING, False, simulated_since=NOW - timedelta(seconds=4))
        decision = decide_claim(claim(Phase.VALIDATING), node(), young, NOW)
        assert decision.action is Action.NONE
        assert decision.requeue_after_s == SIMULATED_ACCEPTANCE_S - 4

    def test_a_real_run_is_never_cut_short(self) -> None:
        real = acceptance(Outcome.RUNNING)
        decision = decide_claim(claim(Phase.VALIDATING, age_s=60), node(), real, NOW)
        assert decision.action is Action.NONE
