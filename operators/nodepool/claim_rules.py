"""What to do next for one claim that shall live. Pure: the world in, one decision out.

The phase is worked out from what is: the Node, the acceptance record on it, the acceptance run. The old
status tells two things only, since when a phase lasts and what a claim failed of, and neither is believed
where the world contradicts it. Which phase follows which therefore stands nowhere else: the table on the
room's page is derived from these rules by a test.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from operators.apis.v1alpha1 import NodeClaimPhase as Phase
from operators.lib.clock import wire_time
from operators.lib.conditions import ConditionValue
from operators.lib.phases import elapsed_s
from operators.nodepool.claim_conditions import (
    failure,
    not_checked,
    not_joined,
    of_record,
    waiting,
)
from operators.nodepool.domain import (
    ACCEPTANCE_TIMEOUT_S,
    CHECK_FAILURES,
    CLAIM_LIMITS,
    FAILED_RETRY_S,
    FAILURES,
    FOLD_S,
    JOIN_FAILURES,
    LAUNCH_FAILURES,
    LAUNCH_TIMEOUT_S,
    PATIENT,
    REGISTRATION_TIMEOUT_S,
    RETRYABLE,
    SIMULATED_ACCEPTANCE_S,
    TEARDOWN,
    AcceptanceFacts,
    Check,
    ClaimFacts,
    NodeFacts,
    Outcome,
    Proof,
    Reason,
)
from operators.nodepool.usable_rules import why_unusable

# A node whose pods hold what the checks need is looked at again this often; their end wakes it sooner.
WORK_POLL_S = 60.0
# What was refused is asked for again after half the time it has been refused for, within these bounds.
REFUSED_RETRY_FIRST_S = 2.0
NAMES_SHOWN_MAX = 3


class Action(StrEnum):
    """The one effect of a decision, besides the status."""

    NONE = "none"
    LAUNCH = "launch"
    START_ACCEPTANCE = "start-acceptance"
    REMOVE_ACCEPTANCE = "remove-acceptance"
    ACCEPT = "accept"


@dataclass(frozen=True, slots=True)
class Decision:
    """The effect, then the status.

    `proof`: the acceptance record that stands. `checks`: those of a run that failed.
    `is_folded`: the status stays as it is, because a better one comes within FOLD_S.
    `is_fresh`: the phase begins anew although its name stays.
    """

    action: Action
    phase: Phase
    conditions: tuple[ConditionValue, ...] = ()
    checks: tuple[Check, ...] | None = None
    proof: Proof | None = None
    requeue_after_s: float | None = None
    is_folded: bool = False
    is_fresh: bool = False


def decide_claim(
    claim: ClaimFacts,
    node: NodeFacts | None,
    acceptance: AcceptanceFacts | None,
    now: datetime,
    work: tuple[str, ...] = (),
) -> Decision:
    """The next step of a claim that is not being deleted.

    Shapes: `work` names pods on the node that hold what the acceptance run needs.
    """
    assert claim.deleting_since is None
    if node is None or node.is_deleting:
        return _decide_launch(claim, now)
    proof = standing_proof(claim, node)
    if proof is not None:
        return _settled(claim, node, proof, acceptance)
    if not node.is_ready:
        return _decide_unready(claim, node, now)
    return _decide_validation(claim, node, acceptance, now, work)


def standing_proof(claim: ClaimFacts, node: NodeFacts) -> Proof | None:
    """The acceptance record of this very node, unless it carries the taint of an unchecked machine.

    The record on the Node comes first; the one in the status counts for nodes from before there was one,
    and where somebody removed the annotation.
    """
    if node.is_unvalidated:
        return None
    if node.proof is not None and node.proof.node_uid == node.uid:
        return node.proof
    if claim.proof is not None and claim.proof.node_uid in ("", node.uid):
        return Proof(node.uid, claim.proof.passed_at, claim.proof.checks)
    return None


def contradiction(claim: ClaimFacts, decision: Decision) -> str:
    """What the status said against what is, as a sentence; empty when it said nothing wrong."""
    said = f"the status said {claim.phase.value}"
    if claim.phase in TEARDOWN:
        return f"{said}, and nobody asked for deletion"
    is_settled = decision.phase is Phase.READY and decision.action is not Action.ACCEPT
    if is_settled and claim.phase is not Phase.READY:
        return f"{said}, and the node is accepted"
    if is_settled and claim.proof is None:
        return f"{said} without the acceptance record that the node carries"
    if claim.phase is Phase.READY and decision.phase is Phase.VALIDATING:
        return f"{said}, and the node has no acceptance record"
    if claim.phase is Phase.FAILED and claim.ready_reason not in FAILURES:
        return f"{said} without a failure"
    return ""


def _left_s(claim: ClaimFacts, now: datetime) -> float | None:
    return CLAIM_LIMITS.remaining_s(claim.phase, claim.phase_since, now)


def _held(claim: ClaimFacts, reasons: frozenset[Reason], now: datetime) -> Decision | None:
    """The failed claim as it is, while it failed of one of `reasons` and is not due to be tried again."""
    if claim.phase is not Phase.FAILED or claim.ready_reason not in reasons:
        return None
    reason = Reason(claim.ready_reason)
    left_s = FAILED_RETRY_S - elapsed_s(claim.phase_since, now) if reason in RETRYABLE else None
    if left_s is not None and left_s <= 0:
        return None
    conditions = failure(reason, claim.ready_message)
    return Decision(Action.NONE, Phase.FAILED, conditions, requeue_after_s=left_s)


def _decide_launch(claim: ClaimFacts, now: datetime) -> Decision:
    held = _held(claim, LAUNCH_FAILURES | JOIN_FAILURES, now)
    if held is not None:
        return held
    if claim.phase in (Phase.PENDING, Phase.LAUNCHING, Phase.REGISTERING):
        left_s = _left_s(claim, now)
        if left_s is not None and left_s <= 0:
            if claim.phase is Phase.REGISTERING:
                return failed(
                    Reason.REGISTRATION_TIMED_OUT, _within("the machine did not join", REGISTRATION_TIMEOUT_S)
                )
            if claim.launched_reason not in PATIENT:
                return failed(
                    Reason.LAUNCH_TIMED_OUT, _within("the provider did not deliver", LAUNCH_TIMEOUT_S)
                )
        return Decision(Action.LAUNCH, claim.phase)
    if claim.phase is Phase.FAILED and claim.ready_reason in LAUNCH_FAILURES | JOIN_FAILURES:
        conditions = waiting(Reason.LAUNCHING, "trying again")
    else:
        # Somebody removed the Node, or the machine left: the same claim gets its machine again.
        conditions = waiting(Reason.NODE_VANISHED, "the node is gone: the machine is asked for again")
    return Decision(Action.NONE, Phase.LAUNCHING, conditions, requeue_after_s=0.0)


def _decide_unready(claim: ClaimFacts, node: NodeFacts, now: datetime) -> Decision:
    held = _held(claim, JOIN_FAILURES | CHECK_FAILURES, now)
    if held is not None:
        return held
    left_s = _left_s(claim, now)
    is_over = left_s is not None and left_s <= 0
    if claim.phase in (Phase.VALIDATING, Phase.READY):
        if claim.phase is Phase.VALIDATING and is_over:
            return failed(Reason.ACCEPTANCE_TIMED_OUT, _within("the node is not ready", ACCEPTANCE_TIMEOUT_S))
        conditions = not_checked(Reason.NODE_NOT_READY, node.not_ready_message or "the node is not ready")
        wait_s = left_s if claim.phase is Phase.VALIDATING else ACCEPTANCE_TIMEOUT_S
        return Decision(Action.NONE, Phase.VALIDATING, conditions, requeue_after_s=wait_s)
    if claim.phase is Phase.REGISTERING and is_over:
        return failed(Reason.REGISTRATION_TIMED_OUT, _within("the node is not ready", REGISTRATION_TIMEOUT_S))
    age_s = elapsed_s(claim.created_at, now)
    if claim.phase is Phase.PENDING and age_s < FOLD_S:
        return Decision(Action.NONE, Phase.PENDING, requeue_after_s=FOLD_S - age_s, is_folded=True)
    return registering(left_s if claim.phase is Phase.REGISTERING else REGISTRATION_TIMEOUT_S)


def _decide_validation(
    claim: ClaimFacts,
    node: NodeFacts,
    acceptance: AcceptanceFacts | None,
    now: datetime,
    work: tuple[str, ...],
) -> Decision:
    if acceptance is not None and acceptance.node_uid == node.uid and not acceptance.is_deleting:
        if acceptance.outcome is Outcome.PASSED:
            return _accepted(claim, node, acceptance.checks, now)
        if acceptance.outcome is Outcome.FAILED:
            refused = failure(Reason.ACCEPTANCE_FAILED, acceptance.failure)
            return Decision(Action.NONE, Phase.FAILED, refused, acceptance.checks)
    is_due = claim.phase is Phase.FAILED and claim.ready_reason == Reason.ACCEPTANCE_TIMED_OUT
    if acceptance is None or is_due:
        held = _held(claim, CHECK_FAILURES, now)
        if held is not None:
            return held
    left_s = _left_s(claim, now) if claim.phase is Phase.VALIDATING else ACCEPTANCE_TIMEOUT_S
    assert left_s is not None
    conditions = not_checked(Reason.ACCEPTANCE_RUNNING, "the acceptance run has not ended")
    if acceptance is None:
        return _decide_start(claim, node, left_s, work)
    if acceptance.is_deleting:
        # Its deletion is an event on the pod, which wakes this claim.
        return Decision(Action.NONE, Phase.VALIDATING, conditions, requeue_after_s=max(left_s, 1.0))
    if acceptance.node_uid != node.uid or is_due:
        return Decision(
            Action.REMOVE_ACCEPTANCE, Phase.VALIDATING, conditions, requeue_after_s=max(left_s, 1.0)
        )
    if acceptance.simulated_since is not None:
        patience_s = SIMULATED_ACCEPTANCE_S - elapsed_s(acceptance.simulated_since, now)
        action = Action.NONE if patience_s > 0 else Action.REMOVE_ACCEPTANCE
        return Decision(action, Phase.VALIDATING, conditions, requeue_after_s=max(patience_s, 1.0))
    if left_s <= 0:
        return failed(
            Reason.ACCEPTANCE_TIMED_OUT, _within("the acceptance run did not end", ACCEPTANCE_TIMEOUT_S)
        )
    return Decision(Action.NONE, Phase.VALIDATING, conditions, requeue_after_s=left_s)


def _decide_start(claim: ClaimFacts, node: NodeFacts, left_s: float, work: tuple[str, ...]) -> Decision:
    """Start the run, once nothing holds what it needs: it takes all GPUs, so it never displaces work."""
    if work:
        shown = ", ".join(sorted(work)[:NAMES_SHOWN_MAX])
        text = f"{len(work)} pods are at work on the node ({shown}): it is checked once they are gone"
        conditions = not_checked(Reason.WORK_ON_NODE, text)
        # No time runs out here: the work may last.
        return Decision(Action.NONE, Phase.VALIDATING, conditions, requeue_after_s=WORK_POLL_S)
    if node.gpus < claim.gpus:
        text = f"the node offers {node.gpus} of {claim.gpus} GPUs"
        if left_s <= 0:
            return failed(Reason.ACCEPTANCE_TIMED_OUT, _within(text, ACCEPTANCE_TIMEOUT_S))
        conditions = not_checked(Reason.GPUS_MISSING, f"{text}: it is checked once all are there")
        return Decision(Action.NONE, Phase.VALIDATING, conditions, requeue_after_s=left_s)
    conditions = not_checked(Reason.ACCEPTANCE_RUNNING, "the acceptance run has not ended")
    # The run's time counts from its start, however long the node was waited for.
    return Decision(
        Action.START_ACCEPTANCE,
        Phase.VALIDATING,
        conditions,
        requeue_after_s=max(left_s, WORK_POLL_S),
        is_fresh=left_s <= 0,
    )


def _accepted(claim: ClaimFacts, node: NodeFacts, checks: tuple[Check, ...], now: datetime) -> Decision:
    proof = Proof(node.uid, wire_time(now), checks)
    conditions = of_record(proof, why_unusable(node, claim.tolerated, claim.gpus))
    return Decision(Action.ACCEPT, Phase.READY, conditions, proof=proof)


def _settled(
    claim: ClaimFacts, node: NodeFacts, proof: Proof, acceptance: AcceptanceFacts | None
) -> Decision:
    is_left_over = acceptance is not None and not acceptance.is_deleting
    action = Action.REMOVE_ACCEPTANCE if is_left_over else Action.NONE
    conditions = of_record(proof, why_unusable(node, claim.tolerated, claim.gpus))
    return Decision(action, Phase.READY, conditions, proof=proof)


def _within(message: str, limit_s: float) -> str:
    return f"{message} within {limit_s:.0f} s"


def failed(reason: Reason, message: str) -> Decision:
    """The claim has failed, from now on."""
    retry_s = FAILED_RETRY_S if reason in RETRYABLE else None
    return Decision(
        Action.NONE, Phase.FAILED, failure(reason, message), requeue_after_s=retry_s, is_fresh=True
    )


def held_back(reason: Reason, message: str, retry_after_s: float) -> Decision:
    """The provider has not delivered yet and said when to ask again."""
    return Decision(Action.NONE, Phase.LAUNCHING, waiting(reason, message), requeue_after_s=retry_after_s)


def outside_pool(claim: ClaimFacts, message: str) -> Decision:
    """The claim is no part of its pool: it gets no machine."""
    phase = claim.phase if claim.phase is Phase.PENDING else Phase.LAUNCHING
    return Decision(Action.NONE, phase, waiting(Reason.NOT_IN_POOL, message), requeue_after_s=WORK_POLL_S)


def refused(claim: ClaimFacts, decision: Decision, message: str, now: datetime) -> Decision:
    """The API server, or something behind it, refused the effect of `decision`: say so and try again."""
    retry_s = refused_retry_s(claim, now)
    if decision.action is Action.LAUNCH:
        return held_back(Reason.LAUNCH_REFUSED, message, retry_s)
    if decision.action is Action.START_ACCEPTANCE:
        conditions = not_checked(Reason.ACCEPTANCE_REFUSED, message)
        return Decision(Action.NONE, Phase.VALIDATING, conditions, requeue_after_s=retry_s)
    if decision.action is Action.ACCEPT:
        conditions = not_checked(Reason.NODE_CHANGE_REFUSED, message)
        return Decision(Action.NONE, Phase.VALIDATING, conditions, requeue_after_s=retry_s)
    ready = ConditionValue("Ready", "False", Reason.NODE_CHANGE_REFUSED, message)
    kept = tuple(value for value in decision.conditions if value.type != "Ready")
    return replace(decision, action=Action.NONE, conditions=(*kept, ready), requeue_after_s=retry_s)


def refused_retry_s(claim: ClaimFacts, now: datetime) -> float:
    """When to ask again for what was refused: the longer it is refused, the later."""
    return min(max(elapsed_s(claim.phase_since, now) / 2, REFUSED_RETRY_FIRST_S), FAILED_RETRY_S)


def registering(wait_s: float | None) -> Decision:
    """The machine exists and its node has not joined."""
    return Decision(Action.NONE, Phase.REGISTERING, not_joined(), requeue_after_s=wait_s)
