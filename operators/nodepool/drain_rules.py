"""How a node is emptied before its machine is given back. Pure.

Evictions go through the API that honours disruption budgets; each pod is asked by itself, so that one
refusal holds nobody else up, and a pod that was refused is asked again later and later. Past the pool's
drain time a budget no longer holds the machine, and past a pod's own grace period a pod that will not go
is removed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from operators.lib.objects import Obj, ObjectKey
from operators.nodepool.domain import PodFacts

# Pods asked to leave per round: a node runs at most 110.
DRAIN_BATCH_MAX = 32
# The next batch of a long round.
NEXT_BATCH_S = 1.0
# A refused pod is asked again after 2 s, 4 s, … 60 s; a budget that allows more wakes it sooner.
REFUSED_FIRST_S = 2.0
REFUSED_MAX_S = 60.0
REFUSALS_COUNTED_MAX = 16
# Every change of a pod wakes its drain; this only covers an event that was missed.
LOOK_AGAIN_S = 60.0
# A node agent that has not removed a pod this long after its grace period is not going to.
STUCK_POD_S = 60.0
PODS_SHOWN_MAX = 3


@dataclass(frozen=True, slots=True)
class Refusal:
    """An eviction that was refused: how often, why, and when to ask again (monotonic seconds)."""

    pod: PodFacts
    count: int
    message: str
    next_at: float


@dataclass(frozen=True, slots=True)
class BudgetFacts:
    """A PodDisruptionBudget: what it selects and how many pods may leave now."""

    key: ObjectKey
    selector: Obj | None
    allowed: int


@dataclass(frozen=True, slots=True)
class PodRemoval:
    """One pod to delete without asking its budget. Units: seconds of grace."""

    pod: PodFacts
    grace_s: int


@dataclass(frozen=True, slots=True)
class DrainPlan:
    """What to do now. The node is drained when nothing remains."""

    evict: tuple[PodFacts, ...]
    delete: tuple[PodRemoval, ...]
    remaining: tuple[PodFacts, ...]
    look_again_s: float


def decide_drain(
    pods: Iterable[PodFacts],
    deleting_since: datetime,
    timeout_s: float,
    now: datetime,
    refusals: Mapping[str, Refusal],
    monotonic: float,
) -> DrainPlan:
    """The next round of a drain. Pods that belong to the node itself, or have ended, do not count.

    Shapes: `refusals` by the pod's uid; `monotonic` on the clock of `Refusal.next_at`.
    """
    blocking = [pod for pod in pods if not (pod.is_mirror or pod.is_daemon or pod.is_finished)]
    left_s = timeout_s - (now - deleting_since).total_seconds()
    evict: list[PodFacts] = []
    again: list[PodFacts] = []
    delete: list[PodRemoval] = []
    waits_s = [LOOK_AGAIN_S]
    if left_s > 0:
        waits_s.append(left_s)
    for pod in blocking:
        refusal = refusals.get(pod.uid)
        if pod.deleting_since is not None:
            # Kubernetes sets deletionTimestamp to the end of the grace period.
            stuck_in_s = STUCK_POD_S - (now - pod.deleting_since).total_seconds()
            if stuck_in_s <= 0 and left_s <= 0:
                delete.append(PodRemoval(pod, 0))
            elif stuck_in_s > 0:
                waits_s.append(max(stuck_in_s, left_s))
        elif pod.is_acceptance:
            delete.append(PodRemoval(pod, 0))
        elif left_s <= 0:
            delete.append(PodRemoval(pod, pod.grace_s))
        elif refusal is None:
            evict.append(pod)
        elif refusal.next_at <= monotonic:
            again.append(pod)
        else:
            waits_s.append(refusal.next_at - monotonic)
    # Whoever was never asked goes first.
    asked = [*evict, *again]
    if len(asked) > DRAIN_BATCH_MAX or len(delete) > DRAIN_BATCH_MAX:
        waits_s.append(NEXT_BATCH_S)
    return DrainPlan(
        tuple(asked[:DRAIN_BATCH_MAX]), tuple(delete[:DRAIN_BATCH_MAX]), tuple(blocking), min(waits_s)
    )


def refused_again(pod: PodFacts, old: Refusal | None, message: str, monotonic: float) -> Refusal:
    """The memory of one more refusal."""
    count = 1 if old is None else min(old.count + 1, REFUSALS_COUNTED_MAX)
    wait_s = min(REFUSED_FIRST_S * 2.0 ** (count - 1), REFUSED_MAX_S)
    return Refusal(pod, count, message, monotonic + wait_s)


def budgets_of(pod: PodFacts, budgets: Iterable[BudgetFacts]) -> tuple[str, ...]:
    """Names of the budgets that select the pod, in order."""
    labels = dict(pod.labels)
    return tuple(
        sorted(
            budget.key.name
            for budget in budgets
            if budget.key.namespace == pod.key.namespace and selects(budget.selector, labels)
        )
    )


def selects(selector: Obj | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector of policy/v1 matches; none matches nothing, an empty one everything.

    Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/label-selector/
    """
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_matches(expression, labels) for expression in selector.get("matchExpressions") or [])


def _matches(expression: Obj, labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or []
    match expression["operator"]:
        case "In":
            return key in labels and labels[key] in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def released_by(
    budget: BudgetFacts | None, old: BudgetFacts | None, refusals: Iterable[Refusal]
) -> tuple[Refusal, ...]:
    """Refused pods that a changed budget may let go: as many as it allows now, all if it is gone.

    Waking every pod of a budget for each place that it gives would cost the square of their number.
    """
    facts = budget or old
    if facts is None or (budget is not None and budget.allowed < 1):
        return ()
    mine = [refusal for refusal in refusals if budgets_of(refusal.pod, (facts,))]
    ordered = sorted(mine, key=lambda refusal: (refusal.count, str(refusal.pod.key)))
    return tuple(ordered if budget is None else ordered[: budget.allowed])


def describe(
    remaining: tuple[PodFacts, ...], refusals: Mapping[str, Refusal], budgets: Iterable[BudgetFacts]
) -> str:
    """What a drain waits for: how many pods, and of the first of them which budget and which answer."""
    known = tuple(budgets)
    # Those that are held up come first: the others go by themselves.
    ordered = sorted(remaining, key=lambda pod: (pod.uid not in refusals, str(pod.key)))
    parts = []
    for pod in ordered[:PODS_SHOWN_MAX]:
        refusal = refusals.get(pod.uid)
        if pod.deleting_since is not None:
            parts.append(f"{pod.key} is stopping")
        elif refusal is not None:
            names = budgets_of(pod, known)
            held = f"held by disruption budget {', '.join(names)}: " if names else "not evicted: "
            parts.append(f"{pod.key} {held}{refusal.message}")
        else:
            parts.append(f"{pod.key} is asked to leave")
    more = len(remaining) - len(parts)
    count = f"{len(remaining)} pods are" if len(remaining) != 1 else "1 pod is"
    tail = f"; and {more} more" if more > 0 else ""
    return f"{count} left on the node: {'; '.join(parts)}{tail}"
