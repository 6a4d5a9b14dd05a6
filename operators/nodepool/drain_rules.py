"""How a node is emptied before its machine is given back. Pure.

Evictions go through the API that honours disruption budgets; past DRAIN_TIMEOUT_S a budget no longer
holds the machine, and past a pod's own grace period a pod that will not go is removed.
"""

from dataclasses import dataclass
from datetime import datetime

from operators.nodepool.domain import DRAIN_TIMEOUT_S, PodFacts

# Pods asked to leave per round: a node runs at most 110, and a round comes every DRAIN_POLL_S.
DRAIN_BATCH_MAX = 32
DRAIN_POLL_S = 2.0
# A node agent that has not removed a pod this long after its grace period is not going to.
STUCK_POD_S = 60.0


@dataclass(frozen=True, slots=True)
class PodRemoval:
    """One pod to delete without asking its budget. Units: seconds of grace."""

    pod: PodFacts
    grace_s: int


@dataclass(frozen=True, slots=True)
class DrainPlan:
    """What to do now. The node is drained when `remaining` is 0."""

    evict: tuple[PodFacts, ...]
    delete: tuple[PodRemoval, ...]
    remaining: int


def decide_drain(pods: tuple[PodFacts, ...], deleting_since: datetime, now: datetime) -> DrainPlan:
    """The next round of a drain. Pods that belong to the node itself, or have ended, do not count."""
    blocking = [pod for pod in pods if not (pod.is_mirror or pod.is_daemon or pod.is_finished)]
    is_over_time = (now - deleting_since).total_seconds() >= DRAIN_TIMEOUT_S
    evict: list[PodFacts] = []
    delete: list[PodRemoval] = []
    for pod in blocking:
        if pod.deleting_since is not None:
            # Kubernetes sets deletionTimestamp to the end of the grace period.
            if (now - pod.deleting_since).total_seconds() >= STUCK_POD_S and is_over_time:
                delete.append(PodRemoval(pod, 0))
        elif pod.is_acceptance:
            delete.append(PodRemoval(pod, 0))
        elif is_over_time:
            delete.append(PodRemoval(pod, pod.grace_s))
        else:
            evict.append(pod)
    return DrainPlan(tuple(evict[:DRAIN_BATCH_MAX]), tuple(delete[:DRAIN_BATCH_MAX]), len(blocking))
