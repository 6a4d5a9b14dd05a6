"""Which pods to create, drain, take back and delete so that the wanted replicas run. Pure.

A slot is a replica index. Order of a stop: the endpoint is unpublished, then the pod is marked as draining,
then it is deleted once its requests have ended or its drain time is over. Replacement is make-before-break
with a surge of one pod.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from operators.inference.views import PodView

# A gateway applies an endpoint change in well under this; a pod deleted sooner could still get a request.
UNPUBLISH_GRACE_SECONDS = 1

# First replacement of a failed pod after 1 s, doubled each time, at most every 5 min: a broken image must not
# fill the API server with pods, a repaired one must not wait long.
REPLACE_SECONDS_MIN = 1
REPLACE_SECONDS_MAX = 300

# A replica that was ready and has not answered for so long is replaced: stopped, deadlocked, half-open, or on a machine
# that nobody hears of. Its liveness probe, where its node still looks after it, is tried first.
UNREADY_SECONDS_MAX = 60
# One that runs and never became ready is replaced after so long: a large model loads for minutes, not for hours.
LOADING_SECONDS_MAX = 1_800

# A replica that served this long before it failed starts its back-off again from the beginning.
STABLE_SECONDS = 600


@dataclass(frozen=True, slots=True)
class PodToCreate:
    """A new pod for a slot. `attempt` tells it from the slot's other pods, `failures` paces replacement."""

    replica_index: int
    attempt: int
    failures: int


@dataclass(frozen=True, slots=True)
class ReplicaPlan:
    """What to do now. `draining` and `retaken` are pods to mark or unmark; `serving` get traffic.

    `reconsider_at`: when time alone changes the plan.
    """

    created: tuple[PodToCreate, ...]
    draining: tuple[PodView, ...]
    retaken: tuple[PodView, ...]
    deleted: tuple[PodView, ...]
    serving: tuple[PodView, ...]
    reconsider_at: datetime | None

    @property
    def is_settled(self) -> bool:
        """Nothing to write."""
        return not (self.created or self.draining or self.retaken or self.deleted)


def decide_pods(
    replicas_desired: int,
    template_hash: str,
    pods: Sequence[PodView],
    now: datetime,
    *,
    drain_seconds: int,
    is_quiet: bool,
    was_ready: frozenset[str] = frozenset(),
) -> ReplicaPlan:
    """Compare the wanted replicas with the pods that exist.

    Shapes: `pods` are all pods of one deployment, in any order. `is_quiet`: no request is known to be in
            flight at any of them, so a drain need not last its whole time. `was_ready` are uids of pods that were
            ready before.
    """
    slots = _kept_slots(replicas_desired, pods)
    moments: list[datetime] = []
    created: list[PodToCreate] = []
    retaken: list[PodView] = []
    kept: list[PodView] = []
    unready = [pod for pod in pods if pod.is_current and not pod.is_ready]
    is_surging = any(pod.template_hash == template_hash for pod in unready)
    for index in slots:
        slot = [pod for pod in pods if pod.replica_index == index]
        old, new = _split(slot, template_hash)
        returning = _find_returning(slot, template_hash)
        if new:
            kept.append(new[0])
            if not new[0].is_ready:
                kept.extend(pod for pod in old[:1] if pod.is_ready)
        elif returning is not None and not old:
            retaken.append(returning)
        elif old and old[0].is_ready and is_surging:
            kept.append(old[0])
        else:
            kept.extend(pod for pod in old[:1] if pod.is_ready)
            due_at = _replacement_due_at(slot)
            if due_at is not None and due_at > now:
                moments.append(due_at)
                continue
            created.append(_create(index, slot))
            is_surging = is_surging or bool(old)
    kept_names = {pod.name for pod in kept}
    draining = tuple(pod for pod in pods if pod.is_current and pod.name not in kept_names)
    deleted, drained_at = _finish_drains(pods, {pod.name for pod in retaken}, now, drain_seconds, is_quiet)
    deleted += _obsolete_failures(pods, slots, kept)
    moments.extend(drained_at)
    hung, hung_at = _find_hung(kept, was_ready, now)
    deleted += hung
    moments.extend(hung_at)
    serving = tuple(pod for pod in (*kept, *retaken) if pod.is_ready and pod.address and pod.port)
    return ReplicaPlan(
        created=tuple(created),
        draining=draining,
        retaken=tuple(retaken),
        deleted=deleted,
        serving=tuple(sorted(serving, key=lambda pod: (pod.replica_index, pod.name))),
        reconsider_at=min(moments, default=None),
    )


def hung_due_at(pod: PodView, *, was_ready: bool) -> datetime | None:
    """When a pod that does not answer is given up; None while it answers, or while its node has not begun with it."""
    if not pod.is_current or pod.is_ready:
        return None
    is_restarted = (
        pod.started_at is not None and pod.unready_since is not None and pod.started_at > pod.unready_since
    )
    if was_ready and not is_restarted:
        return (pod.unready_since or pod.created_at) + timedelta(seconds=UNREADY_SECONDS_MAX)
    return None if pod.started_at is None else pod.started_at + timedelta(seconds=LOADING_SECONDS_MAX)


def _find_hung(
    kept: Iterable[PodView], was_ready: frozenset[str], now: datetime
) -> tuple[tuple[PodView, ...], list[datetime]]:
    """Pods that are there and do not answer, to be deleted now, and when others are due. Slots are filled anew."""
    hung: list[PodView] = []
    due: list[datetime] = []
    for pod in kept:
        due_at = hung_due_at(pod, was_ready=pod.uid in was_ready)
        if due_at is not None and now >= due_at:
            hung.append(pod)
        elif due_at is not None:
            due.append(due_at)
    return tuple(hung), due


def replacement_delay(failures: int) -> timedelta:
    """How long after its `failures`-th consecutive failure a replica is replaced."""
    assert failures >= 1
    doublings = min(failures - 1, 16)
    return timedelta(seconds=min(REPLACE_SECONDS_MIN * 2**doublings, REPLACE_SECONDS_MAX))


def _kept_slots(replicas_desired: int, pods: Sequence[PodView]) -> tuple[int, ...]:
    """The slots to fill: those that serve first, then those on their way, then failed ones, then new ones."""
    ranks: dict[int, int] = {}
    for pod in pods:
        if pod.is_current:
            rank = 0 if pod.is_ready else 1
        elif pod.is_draining and not pod.is_terminating and not pod.is_failed and pod.is_ready:
            rank = 2
        elif pod.is_failed and not pod.is_terminating and not pod.is_draining:
            rank = 3
        else:
            continue
        ranks[pod.replica_index] = min(rank, ranks.get(pod.replica_index, rank))
    slots = sorted(ranks, key=lambda index: (ranks[index], index))[:replicas_desired]
    free = 0
    while len(slots) < replicas_desired:
        if free not in slots:
            slots.append(free)
        free += 1
    return tuple(sorted(slots))


def _split(slot: Iterable[PodView], template_hash: str) -> tuple[list[PodView], list[PodView]]:
    """Current pods of a slot by template, the one to keep first: ready before not, then the oldest."""
    current = sorted(
        (pod for pod in slot if pod.is_current), key=lambda pod: (not pod.is_ready, pod.created_at, pod.name)
    )
    old = [pod for pod in current if pod.template_hash != template_hash]
    return old, [pod for pod in current if pod.template_hash == template_hash]


def _find_returning(slot: Iterable[PodView], template_hash: str) -> PodView | None:
    """A draining replica that still serves can be taken back: a wake without a cold start."""
    for pod in slot:
        is_usable = pod.is_ready and not pod.is_terminating and not pod.is_failed
        if pod.is_draining and is_usable and pod.template_hash == template_hash:
            return pod
    return None


def _create(index: int, slot: Sequence[PodView]) -> PodToCreate:
    attempt = 1 + max((pod.attempt for pod in slot), default=-1)
    failures = max((_failures_after(pod) for pod in slot if pod.is_failed), default=0)
    return PodToCreate(index, attempt, failures)


def _failures_after(pod: PodView) -> int:
    """Consecutive failures counting this failed pod's own."""
    lived_from = pod.started_at or pod.created_at
    is_stable = pod.failed_at is not None and pod.failed_at - lived_from >= timedelta(seconds=STABLE_SECONDS)
    return 1 if is_stable else pod.failures + 1


def _replacement_due_at(slot: Iterable[PodView]) -> datetime | None:
    """When the slot's last failed pod may be replaced; None if there is none."""
    due = [
        (pod.failed_at or pod.created_at) + replacement_delay(_failures_after(pod))
        for pod in slot
        if pod.is_failed and not pod.is_terminating and not pod.is_draining
    ]
    return max(due, default=None)


def _finish_drains(
    pods: Sequence[PodView], retaken: set[str], now: datetime, drain_seconds: int, is_quiet: bool
) -> tuple[tuple[PodView, ...], list[datetime]]:
    """Draining pods to delete now, and when the others are due."""
    deleted: list[PodView] = []
    due: list[datetime] = []
    for pod in pods:
        if pod.draining_since is None or pod.is_terminating or pod.name in retaken:
            continue
        grace = UNPUBLISH_GRACE_SECONDS if is_quiet else max(UNPUBLISH_GRACE_SECONDS, drain_seconds)
        due_at = pod.draining_since + timedelta(seconds=grace)
        if now >= due_at or not pod.is_ready:
            deleted.append(pod)
        else:
            due.append(due_at)
    return tuple(deleted), due


def _obsolete_failures(
    pods: Sequence[PodView], slots: Sequence[int], kept: Sequence[PodView]
) -> tuple[PodView, ...]:
    """Failed pods that nobody needs for their count any more: replaced, or their slot is gone."""
    filled = {pod.replica_index for pod in kept}
    return tuple(
        pod
        for pod in pods
        if pod.is_failed
        and not pod.is_terminating
        and not pod.is_draining
        and (pod.replica_index in filled or pod.replica_index not in slots)
    )
