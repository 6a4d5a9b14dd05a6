"""What an InferenceDeployment's status says, from its pods and the decisions. Pure.

Idle is healthy: `Ready` speaks of whether requests will be answered, `Active` of whether a replica runs now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from operators.apis.v1alpha1 import InferencePhase
from operators.inference.milestone_rules import Milestones, steps_of
from operators.inference.scaling_rules import ScalingDecision
from operators.inference.views import PodView, format_time, parse_time
from operators.lib.conditions import ConditionValue

JsonObject = dict[str, Any]

# Bounds of the custom resource's fields.
REASON_LENGTH_MAX = 128
MESSAGE_LENGTH_MAX = 1024

_SENTENCES = {
    "Unschedulable": "no node fits",
    "SchedulingGated": "scheduling is held back",
    "ErrImagePull": "the engine's image cannot be pulled",
    "ImagePullBackOff": "the engine's image cannot be pulled",
    "ErrImageNeverPull": "the engine's image is not on the node",
    "InvalidImageName": "the engine's image name is invalid",
    "CrashLoopBackOff": "the engine keeps ending after its start",
    "CreateContainerConfigError": "the engine's container cannot be configured (is a secret missing?)",
    "CreateContainerError": "the engine's container cannot be created",
    "RunContainerError": "the engine's container cannot be run",
    "PodRefused": "the cluster refused the replica",
    "NotReady": "the engine stopped answering its health check",
    "NodeLost": "the machine it ran on was lost; it is replaced",
}


@dataclass(frozen=True, slots=True)
class Situation:
    """All that the status is computed from.

    `serving` are names of pods with a published endpoint; `refusal` is the API server's sentence when it
    refused the last pod; `is_settled`: the plan has nothing to write.
    """

    generation: int
    is_paused: bool
    is_deleting: bool
    replicas_min: int
    selector: str
    pods: tuple[PodView, ...]
    serving: frozenset[str]
    milestones: Mapping[str, Milestones]
    decision: ScalingDecision
    is_settled: bool
    refusal: str
    proven_at: datetime | None = None
    lost_nodes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a replica does not come up, as one word and as a sentence."""

    reason: str
    message: str


def build_status(situation: Situation, last_cold_start: JsonObject | None) -> JsonObject:
    """The status without its conditions, in wire form.

    `last_cold_start` is the one already recorded; it stays until a newer start from zero exists.
    """
    current = [pod for pod in situation.pods if pod.is_current]
    status: JsonObject = {
        "observedGeneration": situation.generation,
        "phase": decide_phase(situation).value,
        "desiredReplicas": situation.decision.replicas_desired,
        "replicas": len(current),
        "readyReplicas": len(situation.serving),
        "selector": situation.selector,
        "instances": [_instance(pod, situation) for pod in _in_order(situation.pods)],
    }
    if situation.proven_at is not None:
        status["firstReadyAt"] = format_time(situation.proven_at)
    cold_start = _cold_start(situation) or last_cold_start
    if cold_start is not None:
        status["lastColdStart"] = cold_start
    return status


def find_proof(
    raw: Mapping[str, Any], pods: Sequence[PodView], template_hash: str, now: datetime
) -> datetime | None:
    """When a replica was ready for the first time: as recorded, or now if one is."""
    recorded = parse_time((raw.get("status") or {}).get("firstReadyAt"))
    if recorded is not None:
        return recorded
    is_ready = any(pod.is_ready and not pod.is_failed and pod.template_hash == template_hash for pod in pods)
    return now if is_ready else None


def decide_phase(situation: Situation) -> InferencePhase:
    """Where the deployment stands, in Koyeb's words."""
    desired, serving = situation.decision.replicas_desired, len(situation.serving)
    if situation.is_deleting:
        return InferencePhase.STOPPING
    if situation.is_paused:
        return InferencePhase.STOPPING if situation.pods else InferencePhase.STOPPED
    if desired == 0:
        return InferencePhase.SLEEPING
    if serving >= desired:
        return InferencePhase.HEALTHY
    problem = find_problem(situation)
    if serving > 0:
        return InferencePhase.DEGRADED if problem else InferencePhase.HEALTHY
    if problem is not None and problem.reason not in ("Unschedulable", "SchedulingGated", "PodRefused"):
        return InferencePhase.UNHEALTHY
    is_placed = any(pod.is_current and pod.node for pod in situation.pods)
    return InferencePhase.STARTING if is_placed and problem is None else InferencePhase.PENDING


def decide_conditions(situation: Situation) -> tuple[ConditionValue, ...]:
    """Ready, Active and Progressing."""
    return (_ready(situation), _active(situation), _progressing(situation))


def find_problem(situation: Situation) -> Problem | None:
    """The first thing that keeps a wanted replica from serving; None when all is on its way.

    A replica that runs but cannot start comes before one that finds no node: it is the tenant's to mend.
    """
    if situation.refusal:
        return _problem("PodRefused", situation.refusal)
    live = [pod for pod in _in_order(situation.pods) if not pod.is_draining and not pod.is_terminating]
    found = [problem for pod in live if (problem := _problem_of(pod, situation)) is not None]
    placed = [problem for problem in found if problem.reason != "Unschedulable"]
    return next(iter(placed or found), None)


def _problem_of(pod: PodView, situation: Situation) -> Problem | None:
    is_unready = pod.is_current and not pod.is_ready
    if is_unready and pod.node is not None and pod.node in situation.lost_nodes:
        # The cause is known: what the pod says of itself is only its echo.
        return _problem("NodeLost", f"replica {pod.name}")
    if pod.problem_reason:
        return _problem(pod.problem_reason, pod.problem_message)
    milestones = situation.milestones.get(pod.uid)
    if pod.is_current and not pod.is_ready and milestones is not None and milestones.ready is not None:
        return _problem("NotReady", f"replica {pod.name}")
    return None


def _problem(reason: str, detail: str) -> Problem:
    sentence = _SENTENCES.get(reason, "the replica ended")
    message = f"{sentence}: {detail}" if detail else sentence
    return Problem(_word(reason), message[:MESSAGE_LENGTH_MAX])


def _word(reason: str) -> str:
    """A kubelet's reason as a condition's reason: letters and digits, starting with a letter."""
    kept = "".join(character for character in reason if character.isalnum() and character.isascii())
    return kept[:REASON_LENGTH_MAX] if kept[:1].isalpha() else "Failed"


def _ready(situation: Situation) -> ConditionValue:
    phase, problem = decide_phase(situation), find_problem(situation)
    if phase is InferencePhase.SLEEPING:
        return ConditionValue("Ready", "True", "Idle", "asleep; the first request wakes it")
    if phase is InferencePhase.HEALTHY:
        return ConditionValue("Ready", "True", "Serving", _count(situation))
    if phase is InferencePhase.DEGRADED:
        assert problem is not None
        return ConditionValue("Ready", "True", "Degraded", f"{_count(situation)}; {problem.message}")
    if phase in (InferencePhase.STOPPING, InferencePhase.STOPPED):
        return ConditionValue("Ready", "False", "Paused" if situation.is_paused else "Deleting")
    if problem is not None:
        return ConditionValue("Ready", "False", problem.reason, problem.message)
    if situation.replicas_min == 0:
        # Waking is the normal life of a service that sleeps: its requests are held, not refused.
        return ConditionValue("Ready", "True", "Waking", "requests are held until the first replica serves")
    return ConditionValue("Ready", "False", "Starting", _count(situation))


def _active(situation: Situation) -> ConditionValue:
    if situation.serving:
        return ConditionValue("Active", "True", situation.decision.reason.value, _count(situation))
    reason = situation.decision.reason
    is_wanted = situation.decision.replicas_desired > 0
    return ConditionValue("Active", "False", "NoReplicaServes" if is_wanted else reason.value)


def _progressing(situation: Situation) -> ConditionValue:
    if len(situation.serving) < situation.decision.replicas_desired:
        problem = find_problem(situation)
        if problem is not None:
            return ConditionValue("Progressing", "False", "Blocked", problem.message)
        return ConditionValue("Progressing", "True", "Starting", _count(situation))
    if not situation.is_settled or any(not pod.is_current for pod in situation.pods):
        return ConditionValue("Progressing", "True", "Stopping", "replicas are being stopped")
    return ConditionValue("Progressing", "False", "Settled")


def _count(situation: Situation) -> str:
    return f"{len(situation.serving)} of {situation.decision.replicas_desired} replicas serve"


def _instance(pod: PodView, situation: Situation) -> JsonObject:
    steps = steps_of(situation.milestones.get(pod.uid) or Milestones(), pod.created_at)
    problem = _problem_of(pod, situation)
    instance: JsonObject = {
        "name": pod.name,
        "uid": pod.uid,
        "replicaIndex": pod.replica_index,
        "phase": _instance_phase(pod, problem),
        "node": pod.node or "",
        "address": pod.address or "",
        "port": pod.port or 0,
        "gpus": [str(index) for index in pod.gpus],
        "createdAt": format_time(pod.created_at),
        "reason": problem.reason if problem else "",
        "message": problem.message if problem else "",
    }
    instance.update(_times(steps.scheduled_at, steps.started_at, steps.ready_at))
    return instance


def _instance_phase(pod: PodView, problem: Problem | None) -> str:
    if pod.is_draining or pod.is_terminating:
        return "STOPPING"
    if pod.is_failed:
        return "ERROR"
    if pod.is_ready:
        return "HEALTHY"
    if pod.node is None:
        return "ALLOCATING"
    return "UNHEALTHY" if problem else "STARTING"


def _cold_start(situation: Situation) -> JsonObject | None:
    woken = [pod for pod in situation.pods if pod.wanted_at is not None and not pod.is_failed]
    if not woken:
        return None
    pod = max(woken, key=lambda each: (each.created_at, each.name))
    assert pod.wanted_at is not None
    steps = steps_of(situation.milestones.get(pod.uid) or Milestones(), pod.created_at)
    return {
        "wantedAt": format_time(pod.wanted_at),
        "podCreatedAt": format_time(pod.created_at),
        **_times(steps.scheduled_at, steps.started_at, steps.ready_at),
        "instance": pod.name,
    }


def _times(
    scheduled_at: datetime | None, started_at: datetime | None, ready_at: datetime | None
) -> dict[str, str]:
    named = {"scheduledAt": scheduled_at, "startedAt": started_at, "readyAt": ready_at}
    return {name: format_time(at) for name, at in named.items() if at is not None}


def _in_order(pods: Sequence[PodView]) -> list[PodView]:
    return sorted(pods, key=lambda pod: (pod.replica_index, pod.created_at, pod.name))
