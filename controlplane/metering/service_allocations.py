"""Use cases of GPU intervals: take reports over, end what fell silent, and turn what was seen into usage."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from controlplane.kernel.ids import TenantId
from controlplane.metering import repository_allocations, repository_ingest, service_batch
from controlplane.metering.allocation_rules import (
    VANISHED_AFTER,
    decide_slices,
    fold_record,
    settle_gpu,
)
from controlplane.metering.domain import (
    Allocation,
    AllocationRecord,
    AllocationState,
    ReadEvent,
)
from controlplane.metering.stored_rules import slice_event
from controlplane.plumbing.database import UnitOfWork

# Intervals that one transaction slices: some tens of milliseconds of rows.
SLICED_AT_ONCE = 1_000


def apply_records(
    uow: UnitOfWork, records: Sequence[tuple[TenantId, AllocationRecord]], *, silent_since: datetime
) -> None:
    """Fold reports into their GPUs' intervals. The sources' locks are held."""
    if not records:
        return
    earliest = min(record.opened_at for _, record in records)
    gpus = sorted({(record.source, record.gpu_id) for _, record in records})
    before = {each.id: each for each in repository_allocations.list_by_gpus(uow, gpus, earliest)}
    folded = dict(before)
    for tenant_id, record in records:
        known = folded.get(record.allocation_id)
        folded[record.allocation_id] = fold_record(known, tenant_id, record)
    by_gpu: dict[tuple[str, str], list[Allocation]] = defaultdict(list)
    for each in folded.values():
        by_gpu[(each.source, each.gpu_id)].append(each)
    settled = [each for held in by_gpu.values() for each in settle_gpu(held, silent_since)]
    repository_allocations.save(uow, [each for each in settled if before.get(each.id) != each])


def list_sources(uow: UnitOfWork) -> list[str]:
    """Cells that have something to slice."""
    return repository_allocations.list_unbilled_sources(uow)


def slice_source(
    uow: UnitOfWork, source: str, *, after: uuid.UUID | None = None, tenant_id: TenantId | None = None
) -> uuid.UUID | None:
    """Turn what a cell's intervals were seen for into usage, up to SLICED_AT_ONCE of them (platform transaction).

    The slices and the watermarks commit together. Return where to go on, None at the end.
    """
    # The number is taken first: all ingests take their locks in this order.
    batch_id = repository_ingest.begin(uow, ())
    repository_allocations.lock_sources(uow, (source,))
    silent_since = uow.now - uow.ahead - VANISHED_AFTER
    found = repository_allocations.list_unbilled(
        uow, source, after=after, limit=SLICED_AT_ONCE, tenant_id=tenant_id
    )
    events: list[ReadEvent] = []
    changed = []
    for each in found:
        ended = settle_gpu((each,), silent_since)[0] if each.state is AllocationState.OPEN else each
        billed, slices = decide_slices(ended)
        events += [slice_event(billed, piece, len(events) + at) for at, piece in enumerate(slices)]
        if billed != each:
            changed.append(billed)
    for month in {event.occurred_at.strftime("%Y-%m-01") for event in events}:
        repository_ingest.ensure_month(uow, month)
    if events:
        known = repository_ingest.store(uow, batch_id, sorted(events, key=lambda event: event.key))
        assert not known, "a slice and its watermark commit together, so no slice is made twice"
    repository_allocations.save(uow, changed)
    service_batch.finish(uow, batch_id, events)
    return found[-1].id if len(found) == SLICED_AT_ONCE else None
