"""A claim's complete status from its old one and a decision. Pure."""

from typing import Any

from operators.apis.v1alpha1 import NodeClaimPhase as Phase
from operators.lib.conditions import ConditionValue, set_conditions
from operators.nodepool.claim_rules import Decision
from operators.nodepool.domain import CLAIM_PHASES, Reason


def claim_status(
    old: dict[str, Any],
    decision: Decision,
    *,
    generation: int,
    now: str,
    provider_id: str,
    node_name: str,
    is_simulated: bool,
) -> dict[str, Any]:
    """The status to write; equal to `old` when nothing changed. Shapes: `now` in wire form.

    Errors: ForbiddenTransition when the decision takes a step that the table of phases does not have.
    """
    before = Phase(old.get("phase") or Phase.PENDING)
    phase = CLAIM_PHASES.check(before, decision.phase)
    is_same = phase is before and "phaseSince" in old
    status: dict[str, Any] = {
        "observedGeneration": generation,
        "phase": phase.value,
        "phaseSince": old["phaseSince"] if is_same else now,
        "simulated": is_simulated,
        "conditions": set_conditions(
            old.get("conditions") or [], decision.conditions, generation=generation, now=now
        ),
    }
    if provider_id or old.get("providerID"):
        status["providerID"] = provider_id or old["providerID"]
    if node_name or old.get("nodeName"):
        status["nodeName"] = node_name or old["nodeName"]
    acceptance = _acceptance(old, decision, now)
    if acceptance is not None:
        status["acceptance"] = acceptance
    return status


def _acceptance(old: dict[str, Any], decision: Decision, now: str) -> dict[str, Any] | None:
    if decision.checks is not None:
        record: dict[str, Any] = {
            "checks": [
                {"name": check.name, "result": check.result, "detail": check.detail}
                for check in decision.checks
            ]
        }
        return {"passedAt": now, **record} if decision.is_accepted else record
    # A record speaks of one life of one machine: it goes when the machine is checked or made again.
    keeps = decision.is_accepted or decision.phase in (Phase.FAILED, Phase.DRAINING, Phase.RELEASING)
    return old.get("acceptance") if keeps else None


def teardown_conditions(phase: Phase, remaining: int) -> tuple[ConditionValue, ...]:
    """Conditions of a claim whose machine is given back; `remaining` pods are still on it."""
    if phase is Phase.DRAINING:
        text = f"{remaining} pods still run on the node"
        return (
            ConditionValue("Drained", "False", Reason.DRAINING, text),
            ConditionValue("Ready", "False", Reason.DRAINING, text),
        )
    text = "the machine is being given back"
    return (
        ConditionValue("Drained", "True", Reason.DRAINED, "no pod is left on the node"),
        ConditionValue("Ready", "False", Reason.RELEASING, text),
    )
