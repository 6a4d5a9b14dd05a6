"""The conditions of a claim: always all of them, so that what people change by hand comes back. Pure."""

from operators.lib.conditions import ConditionValue, Status
from operators.nodepool.domain import (
    CHECK_FAILURES,
    JOIN_FAILURES,
    Proof,
    Reason,
)
from operators.nodepool.usable_rules import Trouble

Conditions = tuple[ConditionValue, ...]
NEVER_CHECKED = "no node of this claim has been checked"


def joined() -> Conditions:
    """The machine is made and its node is there."""
    return (
        ConditionValue("Launched", "True", Reason.LAUNCHED, "the provider made the machine"),
        ConditionValue("Registered", "True", Reason.NODE_JOINED, "the node joined the cell"),
    )


def waiting(reason: Reason, message: str) -> Conditions:
    """There is no machine."""
    return (
        ConditionValue("Launched", "False", reason, message),
        ConditionValue("Registered", "False", reason, message),
        ConditionValue("Accepted", "Unknown", Reason.ACCEPTANCE_PENDING, NEVER_CHECKED),
        ConditionValue("Ready", "False", reason, message),
    )


def not_joined(reason: Reason = Reason.WAITING_FOR_NODE, message: str = "") -> Conditions:
    """The machine is made and its node is not there, or not ready for the first time."""
    text = message or "the node has not joined yet"
    return (
        joined()[0],
        ConditionValue("Registered", "False", reason, text),
        ConditionValue("Accepted", "Unknown", Reason.ACCEPTANCE_PENDING, NEVER_CHECKED),
        ConditionValue("Ready", "False", reason, text),
    )


def not_checked(reason: Reason, message: str, accepted: Status = "Unknown") -> Conditions:
    """The node is there and its acceptance run has not passed."""
    text = message
    if reason is Reason.ACCEPTANCE_RUNNING:
        text = "the node takes no work before it is accepted"
    return (
        *joined(),
        ConditionValue("Accepted", accepted, reason, message),
        ConditionValue("Ready", "False", reason, text),
    )


def of_record(proof: Proof, trouble: Trouble | None) -> Conditions:
    """The node is accepted; whether it takes work is the scheduler's view of it."""
    is_simulated = any(check.result == "simulated" for check in proof.checks)
    accepted = ConditionValue(
        "Accepted",
        "True",
        Reason.ACCEPTANCE_SIMULATED if is_simulated else Reason.ACCEPTANCE_PASSED,
        "simulated: no hardware was exercised" if is_simulated else f"{len(proof.checks)} checks ran",
    )
    if trouble is not None:
        ready = ConditionValue("Ready", "False", trouble.reason, trouble.message)
    else:
        ready = ConditionValue("Ready", "True", Reason.NODE_READY, "the node takes work")
    return (*joined(), accepted, ready)


def failure(reason: Reason, message: str) -> Conditions:
    """The claim has failed of `reason`."""
    if reason in JOIN_FAILURES:
        return not_joined(reason, message)
    if reason in CHECK_FAILURES:
        return not_checked(
            reason, message, accepted="False" if reason is Reason.ACCEPTANCE_FAILED else "Unknown"
        )
    return waiting(reason, message)
