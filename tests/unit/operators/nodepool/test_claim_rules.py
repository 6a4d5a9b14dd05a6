"""The next step of a claim, over every state of the world around it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import operators.nodepool
from operators.apis.v1alpha1 import NodeClaimPhase as Phase
from operators.nodepool.claim_conditions import of_record
from operators.nodepool.claim_rules import (
    Action,
    Decision,
    contradiction,
    decide_claim,
    failed,
    held_back,
    refused,
    registering,
)
from operators.nodepool.domain import (
    ACCEPTANCE_TIMEOUT_S,
    FAILED_RETRY_S,
    FAILURES,
    FOLD_S,
    LAUNCH_FAILURES,
    LAUNCH_TIMEOUT_S,
    REGISTRATION_TIMEOUT_S,
    RETRYABLE,
    SIMULATED,
    SIMULATED_ACCEPTANCE_S,
    TEARDOWN,
    UNVALIDATED,
    AcceptanceFacts,
    Check,
    ClaimFacts,
    NodeFacts,
    Outcome,
    Proof,
    Reason,
)
from operators.nodepool.pool_rules import TROUBLED
from operators.nodepool.status_rules import claim_status
from operators.nodepool.usable_rules import why_unusable

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PASSED = (Check("memory", "passed", "1 GB/s"),)


def claim(
    phase: Phase = Phase.PENDING,
    *,
    age_s: float = 60.0,
    accepted: bool = False,
    ready_reason: str = "",
    launched_reason: str = "",
    gpus: int = 8,
    since: datetime | None = NOW,
) -> ClaimFacts:
    begun = NOW - timedelta(seconds=age_s)
    return ClaimFacts(
        "p-0", "uid", phase, begun if since is not None else None, begun, None, ready_reason, "why it was",
        launched_reason, Proof("node-1", "2026-11-21T11:00:00Z", PASSED) if accepted else None, gpus, (SIMULATED,),
    )  # fmt: skip


def node(
    *, ready: bool = True, unvalidated: bool = True, deleting: bool = False, uid: str = "node-1",
    proof: Proof | None = None, gpus: int = 8, cordoned: bool = False,
) -> NodeFacts:  # fmt: skip
    taints = (UNVALIDATED, SIMULATED) if unvalidated else (SIMULATED,)
    return NodeFacts(
        "p-0", uid, "kwok://p-0", ready, "gone silent", cordoned, deleting, {}, taints, gpus=gpus, proof=proof
    )


def acceptance(
    outcome: Outcome, *, deleting: bool = False, node_uid: str = "node-1", failure: str = ""
) -> AcceptanceFacts:
    checks = PASSED if outcome is Outcome.PASSED else ()
    return AcceptanceFacts(node_uid, outcome, deleting, checks, failure)


CLAIMS = st.builds(
    lambda phase, age_s, accepted, ready, launched, since: claim(
        phase, age_s=age_s, accepted=accepted, ready_reason=ready, launched_reason=launched, since=since
    ),
    # Every phase, also those of a teardown: a status may say anything.
    st.sampled_from(Phase),
    st.floats(-3000, 3000),
    st.booleans(),
    st.sampled_from(["", *Reason]),
    st.sampled_from(["", Reason.NO_CAPACITY, Reason.LAUNCHING]),
    st.sampled_from([None, NOW]),
)
RECORDS = st.sampled_from(
    [None, Proof("node-1", "2026-11-21T11:00:00Z", PASSED), Proof("node-0", "2026-11-21T10:00:00Z", PASSED)]
)
NODES = st.one_of(
    st.none(),
    st.builds(
        lambda ready, unvalidated, deleting, proof, gpus, cordoned: node(
            ready=ready, unvalidated=unvalidated, deleting=deleting, proof=proof, gpus=gpus, cordoned=cordoned
        ),
        st.booleans(), st.booleans(), st.booleans(), RECORDS, st.sampled_from([0, 8]), st.booleans(),
    ),
)  # fmt: skip
ACCEPTANCES = st.one_of(
    st.none(),
    st.builds(
        lambda outcome, deleting, uid, since: replace(
            acceptance(outcome, deleting=deleting, node_uid=uid),
            simulated_since=since if outcome is Outcome.RUNNING else None,
        ),
        st.sampled_from(list(Outcome)), st.booleans(), st.sampled_from(["node-1", "node-0"]),
        st.sampled_from([None, NOW - timedelta(seconds=3), NOW - timedelta(hours=1)]),
    ),
)  # fmt: skip
WORK = st.sampled_from([(), ("default/a",)])
MANY = settings(max_examples=1_000, deadline=None)


def every_world() -> Iterator[tuple[ClaimFacts, NodeFacts | None, AcceptanceFacts | None]]:
    """Every kind of claim in every kind of world: no seed decides what is looked at."""
    proofs = (None, Proof("node-1", "2026-11-21T11:00:00Z", PASSED), Proof("node-0", "t", PASSED))
    nodes = [None, *(
        node(ready=ready, unvalidated=unvalidated, deleting=deleting, proof=proof, gpus=gpus)
        for ready, unvalidated, deleting in product((True, False), repeat=3)
        for gpus in (0, 8) for proof in proofs
    )]  # fmt: skip
    runs = [None, *(
        acceptance(outcome, deleting=deleting, node_uid=uid)
        for outcome in Outcome for deleting in (True, False) for uid in ("node-1", "node-0")
    )]  # fmt: skip
    ages = (-60.0, 0.0, FOLD_S + 1, 10_000.0)
    reasons = ("", Reason.NODE_READY, *sorted(FAILURES))
    claims = [
        claim(phase, age_s=age_s, ready_reason=reason, accepted=accepted)
        for phase, age_s, reason, accepted in product(Phase, ages, reasons, (True, False))
    ]
    yield from product(claims, nodes, runs)


def written(old: dict[str, Any], decision: Decision, seen: NodeFacts | None, now: datetime) -> dict[str, Any]:
    return claim_status(
        old, decision, generation=1, now=now, is_simulated=True,
        provider_id=seen.provider_id if seen else "", node_name=seen.name if seen else "",
    )  # fmt: skip


def is_condition(decision: Decision, type_: str, status: str) -> bool:
    return any(value.type == type_ and value.status == status for value in decision.conditions)


@MANY
@given(CLAIMS, NODES, ACCEPTANCES, WORK)
def test_a_node_takes_work_only_after_its_own_acceptance_passed(
    facts: ClaimFacts, seen: NodeFacts | None, run: AcceptanceFacts | None, work: tuple[str, ...]
) -> None:
    decision = decide_claim(facts, seen, run, NOW, work)
    if decision.action is Action.ACCEPT:
        assert run is not None
        assert seen is not None
        assert run.outcome is Outcome.PASSED
        assert run.node_uid == seen.uid
        assert not run.is_deleting
    if decision.proof is not None:
        assert seen is not None
        assert decision.proof.node_uid == seen.uid
        assert decision.action is Action.ACCEPT or not seen.is_unvalidated
    if is_condition(decision, "Ready", "True"):
        assert decision.proof is not None
        assert decision.phase is Phase.READY
        assert why_unusable(seen, facts.tolerated, facts.gpus) is None  # type: ignore[arg-type]


@MANY
@given(CLAIMS, NODES, ACCEPTANCES, WORK)
def test_every_decision_says_everything_and_rests_until_something_changes(
    facts: ClaimFacts, seen: NodeFacts | None, run: AcceptanceFacts | None, work: tuple[str, ...]
) -> None:
    decision = decide_claim(facts, seen, run, NOW, work)
    assert decision.phase not in TEARDOWN or decision.action is Action.LAUNCH
    if not decision.is_folded and decision.action is not Action.LAUNCH:
        assert [value.type for value in decision.conditions] == [
            "Launched",
            "Registered",
            "Accepted",
            "Ready",
        ]
    if decision.action is Action.NONE and decision.phase in (Phase.REGISTERING, Phase.VALIDATING):
        assert decision.requeue_after_s is not None
        assert decision.requeue_after_s > 0


@pytest.mark.case("F51")
@MANY
@given(CLAIMS, NODES, ACCEPTANCES, WORK)
def test_deciding_again_on_the_status_it_wrote_writes_nothing_more(
    facts: ClaimFacts, seen: NodeFacts | None, run: AcceptanceFacts | None, work: tuple[str, ...]
) -> None:
    decision = decide_claim(facts, seen, run, NOW, work)
    assume(decision.action is not Action.LAUNCH and not decision.is_folded)
    first = written({"phase": facts.phase.value}, decision, seen, NOW)
    repeated = Decision(decision.action, decision.phase, decision.conditions, None, decision.proof)
    assert written(first, repeated, seen, NOW + timedelta(seconds=9)) == first


@pytest.mark.case("F51")
def test_in_every_world_a_second_look_at_what_was_written_writes_nothing() -> None:
    for facts, seen, run in every_world():
        decision = decide_claim(facts, seen, run, NOW)
        if decision.action is not Action.NONE or decision.is_folded or decision.phase is Phase.LAUNCHING:
            continue
        ready = decision.conditions[-1]
        read_back = replace(
            facts, phase=decision.phase, phase_since=NOW, ready_reason=ready.reason,
            ready_message=ready.message, proof=decision.proof,
        )  # fmt: skip
        again = decide_claim(read_back, seen, run, NOW)
        same = (again.action, again.phase, again.conditions, again.proof)
        assert same == (Action.NONE, decision.phase, decision.conditions, decision.proof), (facts, seen, run)
        assert not contradiction(read_back, again)


@pytest.mark.case("F20")
def test_whatever_the_status_said_an_accepted_node_and_an_ended_run_decide() -> None:
    for facts, seen, run in every_world():
        if seen is None or not seen.is_ready or seen.is_deleting:
            continue
        is_settled = seen.proof is not None and seen.proof.node_uid == seen.uid and not seen.is_unvalidated
        is_ended = (
            seen.is_unvalidated and run is not None and run.node_uid == seen.uid
            and not run.is_deleting and run.outcome is not Outcome.RUNNING
        )  # fmt: skip
        if is_settled or is_ended:
            honest = replace(claim(Phase.PENDING), proof=None)
            assert decide_claim(facts, seen, run, NOW) == decide_claim(honest, seen, run, NOW)


@pytest.mark.case("F20")
@pytest.mark.parametrize("said", list(Phase))
def test_a_healthy_claim_is_ready_whatever_its_status_says_and_the_lie_is_reported(said: Phase) -> None:
    proof = Proof("node-1", "2026-11-21T11:00:00Z", PASSED)
    for reason in ("", *Reason):
        wrong = claim(said, ready_reason=reason, since=None)
        decision = decide_claim(wrong, node(unvalidated=False, proof=proof), None, NOW)
        assert (decision.phase, decision.proof) == (Phase.READY, proof)
        assert is_condition(decision, "Ready", "True")
        assert contradiction(wrong, decision)
    honest = claim(Phase.READY, accepted=True, ready_reason=Reason.NODE_READY)
    assert not contradiction(honest, decide_claim(honest, node(unvalidated=False, proof=proof), None, NOW))


@pytest.mark.case("F51")
def test_the_page_shows_the_steps_that_the_rules_take() -> None:
    """Which phase follows which is derived from the rules, over every kind of world; the page repeats it."""
    followers = {phase: set[Phase]() for phase in Phase}
    for facts, seen, run in every_world():
        phase = facts.phase
        if phase in TEARDOWN:
            continue
        decision = decide_claim(facts, seen, run, NOW)
        after = [decision.phase]
        if decision.action is Action.LAUNCH:
            # What the provider may answer, and what the refusals of the API server become.
            answers = (held_back(Reason.NO_CAPACITY, "", 1), failed(Reason.LAUNCH_FAILED, ""), registering(1))
            after = [answer.phase for answer in answers]
        elif decision.action is not Action.NONE:
            after.append(refused(facts, decision, "no", NOW).phase)
        followers[phase] |= {each for each in after if each is not phase}
        followers[phase] |= TEARDOWN
    followers[Phase.DRAINING] = {Phase.RELEASING}
    followers[Phase.RELEASING] = {Phase.DRAINING}
    page = (Path(operators.nodepool.__file__).parent / "README.md").read_text(encoding="utf-8")
    for phase, after_it in followers.items():
        row = ", ".join(each.value for each in Phase if each in after_it)
        assert f"| {phase.value} | {row} |" in page, f"| {phase.value} | {row} |"


def test_the_way_up_has_one_action_a_step() -> None:
    assert decide_claim(claim(), None, None, NOW).action is Action.LAUNCH
    waiting = decide_claim(claim(), node(ready=False), None, NOW)
    assert (waiting.action, waiting.phase) == (Action.NONE, Phase.REGISTERING)
    starting = decide_claim(claim(Phase.REGISTERING), node(), None, NOW)
    assert (starting.action, starting.phase) == (Action.START_ACCEPTANCE, Phase.VALIDATING)
    running = decide_claim(claim(Phase.VALIDATING), node(), acceptance(Outcome.RUNNING), NOW)
    assert (running.action, running.phase) == (Action.NONE, Phase.VALIDATING)
    passed = decide_claim(claim(Phase.VALIDATING), node(), acceptance(Outcome.PASSED), NOW)
    assert (passed.action, passed.phase) == (Action.ACCEPT, Phase.READY)
    assert passed.proof == Proof("node-1", "2026-11-21T12:00:00Z", PASSED)
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
    for seen_run in (run, None):
        # Its pod may have been collected meanwhile.
        assert decide_claim(later, node(), seen_run, NOW).phase is Phase.FAILED


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
    assert again.phase is (
        Phase.LAUNCHING if seen is None else Phase.VALIDATING if seen.is_ready else Phase.REGISTERING
    )
    if seen is not None and seen.is_ready:
        assert again.action is Action.REMOVE_ACCEPTANCE


def test_waiting_for_capacity_never_runs_out_of_time() -> None:
    waiting = claim(Phase.LAUNCHING, age_s=1e6, launched_reason=Reason.NO_CAPACITY)
    assert decide_claim(waiting, None, None, NOW).action is Action.LAUNCH


def test_a_node_that_vanished_is_asked_for_again_and_checked_again() -> None:
    lost = decide_claim(claim(Phase.READY, accepted=True), None, None, NOW)
    assert (lost.phase, lost.proof) == (Phase.LAUNCHING, None)
    old_run = acceptance(Outcome.PASSED, node_uid="node-0")
    back = decide_claim(claim(Phase.LAUNCHING), node(), old_run, NOW)
    assert back.action is Action.REMOVE_ACCEPTANCE
    again = decide_claim(claim(Phase.READY, accepted=True), node(unvalidated=True), None, NOW)
    assert (again.action, again.phase) == (Action.START_ACCEPTANCE, Phase.VALIDATING)


def test_a_silent_node_keeps_its_record_but_not_its_readiness() -> None:
    decision = decide_claim(
        claim(Phase.READY, accepted=True), node(ready=False, unvalidated=False), None, NOW
    )
    assert decision.phase is Phase.READY
    assert decision.proof is not None
    assert is_condition(decision, "Ready", "False")


@pytest.mark.case("F30")
@MANY
@given(CLAIMS, NODES, ACCEPTANCES)
def test_a_node_at_work_is_never_tested_by_taking_its_gpus(
    facts: ClaimFacts, seen: NodeFacts | None, run: AcceptanceFacts | None
) -> None:
    decision = decide_claim(facts, seen, run, NOW, ("default/a",))
    assert decision.action is not Action.START_ACCEPTANCE


@pytest.mark.case("F30")
def test_a_node_whose_record_is_lost_waits_until_its_work_is_done() -> None:
    for age_s in (1.0, 1e6):
        waiting = decide_claim(claim(Phase.VALIDATING, age_s=age_s), node(), None, NOW, ("default/a",))
        assert (waiting.action, waiting.phase) == (Action.NONE, Phase.VALIDATING)
        assert any(
            value.reason == Reason.WORK_ON_NODE and "default/a" in value.message
            for value in waiting.conditions
        )
    after = decide_claim(claim(Phase.VALIDATING, age_s=1e6), node(), None, NOW)
    assert (after.action, after.is_fresh) == (Action.START_ACCEPTANCE, True)


@pytest.mark.case("F22")
@pytest.mark.parametrize("reason", sorted(RETRYABLE))
def test_what_heals_outside_is_tried_again_with_a_pause_each_time(reason: Reason) -> None:
    seen = None if reason in LAUNCH_FAILURES | {Reason.REGISTRATION_TIMED_OUT} else node()
    held = decide_claim(claim(Phase.FAILED, age_s=FAILED_RETRY_S - 1, ready_reason=reason), seen, None, NOW)
    assert held.phase is Phase.FAILED
    assert held.requeue_after_s == pytest.approx(1.0)
    due = claim(Phase.FAILED, age_s=FAILED_RETRY_S, ready_reason=reason)
    again = decide_claim(due, seen, None, NOW)
    assert again.phase is not Phase.FAILED
    # The next failure begins its own pause.
    assert failed(reason, "again").is_fresh


@pytest.mark.case("F14")
@pytest.mark.parametrize("action", [Action.LAUNCH, Action.START_ACCEPTANCE, Action.ACCEPT, Action.NONE])
def test_a_refused_effect_is_said_in_the_servers_words_and_tried_again_later_and_later(
    action: Action,
) -> None:
    sentence = "metadata.labels: Invalid value: bad key!"
    proof = Proof("node-1", "t", PASSED)
    wanted = Decision(action, Phase.READY, of_record(proof, None), proof=proof)
    pauses = []
    for age_s in (0.0, 60.0, 1e6):
        decision = refused(claim(Phase.LAUNCHING, age_s=age_s), wanted, sentence, NOW)
        ready = next(value for value in decision.conditions if value.type == "Ready")
        assert (ready.status, ready.message) == ("False", sentence)
        assert ready.reason in TROUBLED
        pauses.append(decision.requeue_after_s)
    assert pauses == [2.0, 30.0, FAILED_RETRY_S]
    # Asking again never runs out of time and never loses the sentence.
    if action is Action.LAUNCH:
        old = claim(Phase.LAUNCHING, age_s=1e6, launched_reason=Reason.LAUNCH_REFUSED)
        assert decide_claim(old, None, None, NOW).action is Action.LAUNCH


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
