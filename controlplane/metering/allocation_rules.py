"""What reports on GPUs come to: intervals that never overlap, and the slices of them that become usage. Pure.

An interval is folded from the set of its reports: the earliest opening, the latest sighting, the reported end.
So their order, their repetition and how they were batched make no difference. Only time that somebody reported
is ever billed: a slice ends at the last sighting at the latest.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from controlplane.kernel.ids import ProjectId, TenantId
from controlplane.metering.domain import (
    MICROSECONDS,
    Allocation,
    AllocationPhase,
    AllocationRecord,
    AllocationState,
)
from controlplane.metering.rollup_rules import hour_of

# Beats come every 30 s; a cell or a link that is silent for this long is taken for gone until it reports again.
VANISHED_AFTER = timedelta(minutes=15)
# One turn's slices of one interval: a cell that was away for the whole accept window, cut at hours.
SLICES_MAX = 35 * 24 + 2
_SLICES = uuid.UUID("b4a3f0de-51c5-5f4b-8a5e-2a9e3d0f6c21")
REASON_SUPERSEDED = "Superseded"
REASON_VANISHED = "Vanished"


@dataclass(frozen=True, slots=True)
class Slice:
    """[start, end) of one interval within one UTC hour; `microseconds` is negative where it is taken back."""

    id: uuid.UUID
    allocation_id: uuid.UUID
    start: datetime
    end: datetime
    microseconds: int


def fold_record(known: Allocation | None, tenant_id: TenantId, record: AllocationRecord) -> Allocation:
    """Add one report to what is known of its interval."""
    if known is None:
        known = _begin(tenant_id, record)
    is_close = record.phase is AllocationPhase.CLOSE
    closed_at = known.closed_at
    if is_close:
        # The earliest reported end: in doubt the tenant does not pay.
        closed_at = record.observed_at if closed_at is None else min(closed_at, record.observed_at)
    opened_at = min(known.opened_at, record.opened_at)
    return replace(
        known,
        opened_at=opened_at,
        # Nothing was billed yet where the opening itself moves back.
        billed_until=opened_at if known.billed_until == known.opened_at else known.billed_until,
        last_seen_at=max(known.last_seen_at, record.observed_at),
        closed_at=closed_at,
        reason=record.reason if is_close else known.reason,
    )


def _begin(tenant_id: TenantId, record: AllocationRecord) -> Allocation:
    return Allocation(
        id=record.allocation_id,
        tenant_id=tenant_id,
        project_id=ProjectId(record.project_id),
        service_id=record.service_id,
        regional_deployment_id=record.regional_deployment_id,
        instance=record.instance,
        source=record.source,
        pod_uid=record.pod_uid,
        node=record.node,
        gpu_id=record.gpu_id,
        sku=record.sku,
        datacenter=record.datacenter,
        country=record.country,
        is_simulated=record.is_simulated,
        state=AllocationState.OPEN,
        opened_at=record.opened_at,
        last_seen_at=record.opened_at,
        closed_at=None,
        ended_at=None,
        billed_until=record.opened_at,
        revision=0,
        reason="",
    )


def settle_gpu(allocations: Iterable[Allocation], silent_since: datetime) -> tuple[Allocation, ...]:
    """Decide the ends of one GPU's intervals, oldest first; afterwards at most one is open and none overlap.

    An interval ends where it was reported to end, else where it was last seen if the GPU has a later one or nobody
    reported since `silent_since`; and never after the next one began.
    """
    ordered = sorted(allocations, key=lambda each: (each.opened_at, each.id))
    settled = []
    for at, each in enumerate(ordered):
        following = ordered[at + 1].opened_at if at + 1 < len(ordered) else None
        settled.append(_settle(each, following, silent_since))
    return tuple(settled)


def _settle(each: Allocation, following: datetime | None, silent_since: datetime) -> Allocation:
    if each.closed_at is not None:
        state, end, reason = AllocationState.CLOSED, each.closed_at, each.reason
    elif following is not None:
        state, end, reason = AllocationState.ESTIMATED, each.last_seen_at, REASON_SUPERSEDED
    elif each.last_seen_at < silent_since:
        state, end, reason = AllocationState.ESTIMATED, each.last_seen_at, REASON_VANISHED
    else:
        return replace(each, state=AllocationState.OPEN, ended_at=None, reason="")
    if following is not None:
        end = min(end, following)
    return replace(each, state=state, ended_at=max(end, each.opened_at), reason=reason)


def decide_slices(allocation: Allocation) -> tuple[Allocation, tuple[Slice, ...]]:
    """Bill up to what is known; return the interval with its watermark moved, and the slices that move it.

    Later truth that lies before the watermark takes back what was billed too much, as slices below zero. More than
    SLICES_MAX slices take more than one call.
    """
    mark, known = allocation.billed_until, max(allocation.seen_until, allocation.opened_at)
    if mark == known:
        return allocation, ()
    reach = timedelta(hours=SLICES_MAX - 1)
    if mark < known:
        until = min(known, hour_of(mark) + reach)
        return replace(allocation, billed_until=until), _cut(allocation, mark, until, 1)
    until = max(known, hour_of(mark) - reach)
    corrected = replace(allocation, billed_until=until, revision=allocation.revision + 1)
    return corrected, _cut(corrected, until, mark, -1)


def _cut(allocation: Allocation, start: datetime, end: datetime, sign: int) -> tuple[Slice, ...]:
    pieces: list[Slice] = []
    while start < end:
        until = min(end, hour_of(start) + timedelta(hours=1))
        microseconds = sign * _microseconds(until - start)
        name = f"{allocation.id}|{_epoch_microseconds(start)}|{allocation.revision}|{sign}"
        pieces.append(Slice(uuid.uuid5(_SLICES, name), allocation.id, start, until, microseconds))
        start = until
    return tuple(pieces)


def _microseconds(span: timedelta) -> int:
    return span.days * 86_400 * MICROSECONDS + span.seconds * MICROSECONDS + span.microseconds


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def _epoch_microseconds(instant: datetime) -> int:
    return _microseconds(instant - _EPOCH)
