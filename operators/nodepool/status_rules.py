"""A claim's complete status from its old one and a decision. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from operators.apis.v1alpha1 import NodeClaimPhase as Phase
from operators.lib.clock import parse_time, wire_time
from operators.lib.conditions import ConditionValue, set_conditions
from operators.nodepool.claim_rules import Decision
from operators.nodepool.domain import Check, Proof, Reason


def claim_status(
    old: dict[str, Any],
    decision: Decision,
    *,
    generation: int,
    now: datetime,
    provider_id: str,
    node_name: str,
    is_simulated: bool,
) -> dict[str, Any]:
    """The status to write; equal to `old`, apart from the server's defaults, when nothing changed."""
    status: dict[str, Any] = {
        "observedGeneration": generation,
        "phase": decision.phase.value,
        "phaseSince": _phase_since(old, decision, now),
        "simulated": is_simulated,
        "providerID": provider_id or old.get("providerID") or "",
        "nodeName": node_name or old.get("nodeName") or "",
        "conditions": exact_conditions(old, decision.conditions, generation=generation, now=wire_time(now)),
    }
    acceptance = _acceptance(old, decision)
    if acceptance is not None:
        status["acceptance"] = acceptance
    return status


def exact_conditions(
    old: dict[str, Any], values: tuple[ConditionValue, ...], *, generation: int, now: str
) -> list[dict[str, Any]]:
    """Exactly `values` as conditions, with the times of the old ones that did not flip."""
    known = {value.type for value in values}
    kept = [condition for condition in old.get("conditions") or [] if condition["type"] in known]
    return set_conditions(kept, values, generation=generation, now=now)


def _phase_since(old: dict[str, Any], decision: Decision, now: datetime) -> str:
    since = old.get("phaseSince") or ""
    is_same = old.get("phase") == decision.phase.value and not decision.is_fresh
    # A beginning in the future was edited or restored: it would hold every limit off.
    return since if is_same and since and parse_time(since) <= now else wire_time(now)


def _acceptance(old: dict[str, Any], decision: Decision) -> dict[str, Any] | None:
    if decision.proof is not None:
        return acceptance_record(decision.proof)
    if decision.checks is not None:
        return {"checks": _wire_checks(decision.checks)}
    # A record speaks of one life of one machine: it goes when the machine is checked or made again.
    record: dict[str, Any] | None = old.get("acceptance")
    if decision.phase is Phase.FAILED and record is not None:
        return {"checks": record.get("checks") or []}
    return record if decision.phase in (Phase.DRAINING, Phase.RELEASING) else None


def acceptance_record(proof: Proof) -> dict[str, Any]:
    """A passed run as the status and the Node's annotation write it."""
    return {"nodeUID": proof.node_uid, "passedAt": proof.passed_at, "checks": _wire_checks(proof.checks)}


def _wire_checks(checks: Iterable[Check]) -> list[dict[str, str]]:
    return [{"name": check.name, "result": check.result, "detail": check.detail} for check in checks]


def draining(message: str) -> tuple[ConditionValue, ...]:
    """Conditions of a claim whose node still has pods; `message` says which and why."""
    return (
        ConditionValue("Drained", "False", Reason.DRAINING, message),
        ConditionValue("Ready", "False", Reason.DRAINING, message),
    )


def releasing(trouble: str = "", reason: Reason = Reason.RELEASE_FAILED) -> tuple[ConditionValue, ...]:
    """Conditions of a claim whose machine is given back; `trouble` is what the provider complained of."""
    return (
        ConditionValue("Drained", "True", Reason.DRAINED, "no pod is left on the node"),
        ConditionValue(
            "Ready",
            "False",
            reason if trouble else Reason.RELEASING,
            trouble or "the machine is being given back",
        ),
    )
