"""What to do next for one claim that shall live. Pure: the world in, one decision out.

The order is fixed: launch, register, validate, ready. Each step reads what is, not what was done, so
that a crash between any two writes is finished by the next reconcile.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from operators.apis.v1alpha1 import NodeClaimPhase as Phase
from operators.lib.conditions import ConditionValue
from operators.nodepool.domain import (
    ACCEPTANCE_TIMEOUT_S,
    CLAIM_PHASES,
    FAILED_RETRY_S,
    FOLD_S,
    LAUNCH_TIMEOUT_S,
    REGISTRATION_TIMEOUT_S,
    RETRYABLE,
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

    `is_accepted`: the acceptance record stands (an old one is kept, `checks` make a new one).
    `is_folded`: the status stays as it is, because a better one comes within FOLD_S.
    """

    action: Action
    phase: Phase
    conditions: tuple[ConditionValue, ...] = ()
    checks: tuple[Check, ...] | None = None
    is_accepted: bool = False
    requeue_after_s: float | None = None
    is_folded: bool = False


def decide_claim(
    claim: ClaimFacts, node: NodeFacts | None, acceptance: AcceptanceFacts | None, now: datetime
) -> Decision:
    """The next step of a claim that is not being deleted."""
    assert claim.deleting_since is None
    if claim.phase is Phase.FAILED:
        return _decide_failed(claim, acceptance, now)
    left_s = CLAIM_PHASES.remaining_s(claim.phase, claim.phase_since, now)
    if node is None or node.is_deleting:
        return _decide_launch(claim, left_s)
    if not node.is_ready:
        return _decide_unready(claim, node, left_s, now)
    if claim.is_accepted and not node.is_unvalidated:
        return _settled(acceptance)
    return _decide_validation(claim, node, acceptance, left_s, now)


def _decide_failed(claim: ClaimFacts, acceptance: AcceptanceFacts | None, now: datetime) -> Decision:
    if claim.ready_reason not in RETRYABLE:
        return Decision(Action.NONE, Phase.FAILED)
    left_s = FAILED_RETRY_S - (now - claim.phase_since).total_seconds()
    if left_s > 0:
        return Decision(Action.NONE, Phase.FAILED, requeue_after_s=left_s)
    action = Action.REMOVE_ACCEPTANCE if acceptance is not None else Action.NONE
    return Decision(action, Phase.LAUNCHING, waiting(Reason.LAUNCHING, "trying again"), requeue_after_s=0.0)


def _decide_launch(claim: ClaimFacts, left_s: float | None) -> Decision:
    if claim.phase in (Phase.VALIDATING, Phase.READY):
        # Somebody removed the Node, or the machine left: the same claim gets its machine again.
        conditions = waiting(Reason.NODE_VANISHED, "the node is gone: the machine is asked for again")
        return Decision(Action.NONE, Phase.LAUNCHING, conditions, requeue_after_s=0.0)
    if left_s is not None and left_s <= 0:
        if claim.phase is Phase.REGISTERING:
            return _failed(Reason.REGISTRATION_TIMED_OUT, "the machine did not join", REGISTRATION_TIMEOUT_S)
        # A claim that waits for capacity waits as long as it takes, and says so.
        if claim.launched_reason != Reason.NO_CAPACITY:
            return _failed(Reason.LAUNCH_TIMED_OUT, "the provider did not deliver", LAUNCH_TIMEOUT_S)
    return Decision(Action.LAUNCH, claim.phase)


def _decide_unready(claim: ClaimFacts, node: NodeFacts, left_s: float | None, now: datetime) -> Decision:
    if claim.phase is Phase.READY:
        conditions = (*_joined(), _ready("False", Reason.NODE_NOT_READY, node.not_ready_message))
        return Decision(Action.NONE, Phase.READY, conditions, is_accepted=True)
    if left_s is not None and left_s <= 0:
        if claim.phase is Phase.VALIDATING:
            return _failed(Reason.ACCEPTANCE_TIMED_OUT, "the node is not ready", ACCEPTANCE_TIMEOUT_S)
        return _failed(Reason.REGISTRATION_TIMED_OUT, "the node is not ready", REGISTRATION_TIMEOUT_S)
    if claim.phase is Phase.VALIDATING:
        return Decision(Action.NONE, Phase.VALIDATING, requeue_after_s=left_s)
    age_s = (now - claim.created_at).total_seconds()
    if claim.phase is Phase.PENDING and age_s < FOLD_S:
        return Decision(Action.NONE, Phase.PENDING, requeue_after_s=FOLD_S - age_s, is_folded=True)
    wait_s = left_s if claim.phase is Phase.REGISTERING else REGISTRATION_TIMEOUT_S
    return registering(wait_s)


def _decide_validation(
    claim: ClaimFacts,
    node: NodeFacts,
    acceptance: AcceptanceFacts | None,
    left_s: float | None,
    now: datetime,
) -> Decision:
    conditions = (
        *_joined(),
        ConditionValue("Accepted", "Unknown", Reason.ACCEPTANCE_RUNNING, "the acceptance run has not ended"),
        _ready("False", Reason.ACCEPTANCE_RUNNING, "the node takes no work before it is accepted"),
    )
    running = Decision(Action.NONE, Phase.VALIDATING, conditions, requeue_after_s=ACCEPTANCE_TIMEOUT_S)
    if acceptance is None:
        return Decision(
            Action.START_ACCEPTANCE, Phase.VALIDATING, conditions, None, False, ACCEPTANCE_TIMEOUT_S
        )
    if acceptance.is_deleting:
        # Its deletion is an event on the pod, which wakes this claim.
        return running
    if acceptance.node_uid != node.uid:
        return Decision(
            Action.REMOVE_ACCEPTANCE, Phase.VALIDATING, conditions, None, False, ACCEPTANCE_TIMEOUT_S
        )
    if acceptance.simulated_since is not None:
        patience_s = SIMULATED_ACCEPTANCE_S - (now - acceptance.simulated_since).total_seconds()
        action = Action.NONE if patience_s > 0 else Action.REMOVE_ACCEPTANCE
        return Decision(action, Phase.VALIDATING, conditions, None, False, max(patience_s, 1.0))
    if acceptance.outcome is Outcome.PASSED:
        return _accepted(acceptance.checks)
    if acceptance.outcome is Outcome.FAILED:
        failed = _failed(Reason.ACCEPTANCE_FAILED, acceptance.failure, None)
        refused = ConditionValue("Accepted", "False", Reason.ACCEPTANCE_FAILED, acceptance.failure)
        return Decision(
            Action.NONE, Phase.FAILED, (*_joined(), refused, *failed.conditions), acceptance.checks
        )
    if claim.phase is not Phase.VALIDATING:
        return running
    if left_s is not None and left_s <= 0:
        return _failed(Reason.ACCEPTANCE_TIMED_OUT, "the acceptance run did not end", ACCEPTANCE_TIMEOUT_S)
    return Decision(Action.NONE, Phase.VALIDATING, conditions, requeue_after_s=left_s)


def _accepted(checks: tuple[Check, ...]) -> Decision:
    is_simulated = any(check.result == "simulated" for check in checks)
    accepted = ConditionValue(
        "Accepted",
        "True",
        Reason.ACCEPTANCE_SIMULATED if is_simulated else Reason.ACCEPTANCE_PASSED,
        "simulated: no hardware was exercised" if is_simulated else f"{len(checks)} checks ran",
    )
    ready = _ready("True", Reason.NODE_READY, "the node takes work")
    return Decision(Action.ACCEPT, Phase.READY, (*_joined(), accepted, ready), checks, True)


def _settled(acceptance: AcceptanceFacts | None) -> Decision:
    is_left_over = acceptance is not None and not acceptance.is_deleting
    action = Action.REMOVE_ACCEPTANCE if is_left_over else Action.NONE
    ready = _ready("True", Reason.NODE_READY, "the node takes work")
    return Decision(action, Phase.READY, (*_joined(), ready), is_accepted=True)


def _joined() -> tuple[ConditionValue, ...]:
    return (
        ConditionValue("Launched", "True", Reason.LAUNCHED, "the provider made the machine"),
        ConditionValue("Registered", "True", Reason.NODE_JOINED, "the node joined the cell"),
    )


def _ready(status: str, reason: Reason, message: str) -> ConditionValue:
    return ConditionValue("Ready", "True" if status == "True" else "False", reason, message)


def _failed(reason: Reason, message: str, limit_s: float | None) -> Decision:
    text = f"{message} within {limit_s:.0f} s" if limit_s is not None else message
    retry_s = FAILED_RETRY_S if reason in RETRYABLE else None
    return Decision(Action.NONE, Phase.FAILED, (_ready("False", reason, text),), requeue_after_s=retry_s)


def failed_launch(reason: Reason, message: str) -> Decision:
    """The provider said that asking again is of no use."""
    launched = ConditionValue("Launched", "False", reason, message)
    return Decision(Action.NONE, Phase.FAILED, (launched, _ready("False", reason, message)))


def waiting(reason: Reason, message: str) -> tuple[ConditionValue, ...]:
    """Conditions of a claim whose machine is not there."""
    return (
        ConditionValue("Launched", "False", reason, message),
        ConditionValue("Registered", "False", reason, message),
        _ready("False", reason, message),
    )


def held(reason: Reason, message: str, retry_after_s: float) -> Decision:
    """The provider has not delivered yet and said when to ask again."""
    return Decision(Action.NONE, Phase.LAUNCHING, waiting(reason, message), requeue_after_s=retry_after_s)


def registering(wait_s: float | None) -> Decision:
    """The machine exists and its node has not joined."""
    conditions = (
        ConditionValue("Launched", "True", Reason.LAUNCHED, "the provider made the machine"),
        ConditionValue("Registered", "False", Reason.WAITING_FOR_NODE, "the node has not joined yet"),
        _ready("False", Reason.WAITING_FOR_NODE, "the node has not joined yet"),
    )
    return Decision(Action.NONE, Phase.REGISTERING, conditions, requeue_after_s=wait_s)


def wanted_taints(order: MachineOrder, node: NodeFacts, *, is_accepted: bool) -> tuple[Taint, ...]:
    """The taints the node shall carry: those that are not ours stay as they are.

    A node that was not accepted carries `unvalidated`, whoever removed it.
    """
    ours = {(taint.key, taint.effect): taint for taint in order.taints if taint != UNVALIDATED}
    kept = [
        taint
        for taint in node.taints
        if taint.key not in (UNVALIDATED.key, SIMULATED.key) and (taint.key, taint.effect) not in ours
    ]
    wanted = [*kept, *ours.values()]
    return tuple(wanted if is_accepted else [UNVALIDATED, *wanted])


def missing_labels(order: MachineOrder, node: NodeFacts) -> dict[str, str]:
    """Labels that the node lacks or that somebody changed."""
    return {key: value for key, value in order.labels if node.labels.get(key) != value}
