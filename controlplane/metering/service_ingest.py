"""Use case of taking events in: each is accepted once, and everything an acceptance means commits with it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from controlplane.kernel.errors import InvalidInput
from controlplane.kernel.ids import ProjectId, TenantId, uuid7
from controlplane.metering import (
    repository_allocations,
    repository_ingest,
    service_allocations,
    service_batch,
)
from controlplane.metering.allocation_rules import VANISHED_AFTER
from controlplane.metering.domain import (
    AllocationPhase,
    AllocationRecord,
    BatchId,
    IngestOutcome,
    IngestResult,
    ItemOutcome,
    ReadEvent,
)
from controlplane.metering.event_rules import AcceptWindow, Refused, check_reporter, read_event
from controlplane.plumbing.database import UnitOfWork
from controlplane.tenancy import service as tenancy

EVENTS_MAX = 10_000


def ingest(uow: UnitOfWork, raw_events: Sequence[Any], reporter: str | None = None) -> IngestOutcome:
    """Take a request's events in (platform transaction); the outcomes stand in their order.

    `reporter` is the one source that the caller's key may report for; None: any.

    The outcome holds once the transaction has committed, not before. Errors: InvalidInput for none or too many.
    """
    if not 1 <= len(raw_events) <= EVENTS_MAX:
        raise InvalidInput(f"A request carries 1 to {EVENTS_MAX} events.")
    ahead = uow.ahead
    window = AcceptWindow.at(uow.now, ahead)
    refused: dict[int, ItemOutcome] = {}
    events = []
    for index, raw in enumerate(raw_events):
        try:
            event = read_event(raw, index, window)
            check_reporter(event, reporter)
            events.append(event)
        except Refused as err:
            refused[index] = _refuse_raw(raw, str(err))
    events = _keep_known_tenants(uow, events, refused)
    events = _keep_own_projects(uow, events, refused)
    batch_id = None
    results: dict[int, ItemOutcome] = {}
    if events:
        batch_id = repository_ingest.begin(uow, (event.occurred_at for event in events))
        events = _keep_current_writers(uow, events, window, refused)
        results, accepted = _take(uow, batch_id, events)
        records = [(TenantId(e.tenant_id), e.allocation) for e in accepted if e.allocation is not None]
        service_allocations.apply_records(uow, records, silent_since=uow.now - ahead - VANISHED_AFTER)
        service_batch.finish(uow, batch_id, accepted)
        batch_id = batch_id if accepted else None
    every = {**refused, **results}
    return IngestOutcome(batch_id, tuple(every[index] for index in range(len(raw_events))))


def _take(
    uow: UnitOfWork, batch_id: BatchId, events: Sequence[ReadEvent]
) -> tuple[dict[int, ItemOutcome], list[ReadEvent]]:
    """Store what is new and tell what the rest is. Two events of one request may have one key too."""
    first_of: dict[bytes, ReadEvent] = {}
    for event in events:
        first_of.setdefault(event.key, event)
    # Sorted, so that two requests wait for each other's keys in one order.
    known = repository_ingest.store(uow, batch_id, [first_of[key] for key in sorted(first_of)])
    if not known and len(first_of) == len(events):
        return {e.index: ItemOutcome(e.id, e.source, IngestResult.ACCEPTED) for e in events}, list(events)
    return _tell_apart(uow, events, first_of, known)


def _tell_apart(
    uow: UnitOfWork, events: Sequence[ReadEvent], first_of: dict[bytes, ReadEvent], known: dict[bytes, bytes]
) -> tuple[dict[int, ItemOutcome], list[ReadEvent]]:
    """Which events are new, which known, and which contradict a known one: those are kept aside."""
    results, accepted, conflicts = {}, [], []
    for event in events:
        first = first_of[event.key]
        if event is first and event.key not in known:
            accepted.append(event)
            results[event.index] = ItemOutcome(event.id, event.source, IngestResult.ACCEPTED)
        elif event.payload_hash == known.get(event.key, first.payload_hash):
            results[event.index] = ItemOutcome(event.id, event.source, IngestResult.DUPLICATE)
        else:
            conflicts.append((uuid7(), event))
            results[event.index] = ItemOutcome(
                event.id, event.source, IngestResult.CONFLICT,
                "An event with this source and id is known and says something else; this one was kept aside.",
            )  # fmt: skip
    if conflicts:
        repository_ingest.add_conflicts(uow, conflicts)
    return results, accepted


def _keep_known_tenants(
    uow: UnitOfWork, events: list[ReadEvent], refused: dict[int, ItemOutcome]
) -> list[ReadEvent]:
    wanted = {TenantId(tenant_id) for tenant_id in {event.tenant_id for event in events}}
    known = {tenant.value for tenant in tenancy.list_existing(uow, wanted)} if wanted else set()
    if len(known) == len(wanted):
        return events
    for event in events:
        if event.tenant_id not in known:
            refused[event.index] = _refuse(event, "There is no such organization.")
    return [event for event in events if event.tenant_id in known]


def _keep_own_projects(
    uow: UnitOfWork, events: list[ReadEvent], refused: dict[int, ItemOutcome]
) -> list[ReadEvent]:
    """Refuse what names another organization's project.

    A project that is not there any more is let pass: its usage may come weeks after its end.
    """
    named = {ProjectId(project_id) for event in events if (project_id := event.project_id) is not None}
    owners = {p.value: t.value for p, t in tenancy.list_project_owners(uow, named).items()} if named else {}
    kept = []
    for event in events:
        if event.project_id is not None and owners.get(event.project_id, event.tenant_id) != event.tenant_id:
            refused[event.index] = _refuse(event, "The project belongs to another organization.")
        else:
            kept.append(event)
    return kept


def _keep_current_writers(
    uow: UnitOfWork, events: list[ReadEvent], window: AcceptWindow, refused: dict[int, ItemOutcome]
) -> list[ReadEvent]:
    """Refuse reports of a writer that a newer one has replaced, and unknown intervals from before the window.

    The writer of a cell says its `producerepoch`, which grows with each takeover. What an old writer saw before the
    takeover still counts; what it claims to have seen since does not.
    """
    records = [event.allocation for event in events if event.allocation is not None]
    if not records:
        return events
    repository_allocations.lock_sources(uow, (record.source for record in records))
    writers = _advance_writers(uow, records)
    known = repository_allocations.list_known_ids(uow, sorted({record.allocation_id for record in records}))
    kept = []
    for event in events:
        record = event.allocation
        if record is not None:
            epoch, since = writers[record.source]
            if record.epoch < epoch and record.observed_at >= since:
                refused[event.index] = _refuse(
                    event, "A newer writer reports for this cell since before that."
                )
                continue
            if record.opened_at < window.earliest and record.allocation_id not in known:
                refused[event.index] = _refuse(
                    event, "The interval is not known and opened over 35 days ago."
                )
                continue
        kept.append(event)
    return kept


def _advance_writers(uow: UnitOfWork, records: Sequence[AllocationRecord]) -> dict[str, tuple[int, datetime]]:
    known = repository_allocations.list_producers(uow, {record.source for record in records})
    writers = dict(known)
    for record in records:
        epoch, since = writers.get(record.source, (-1, record.observed_at))
        # A close may be dated back to when a pod was last seen: it does not say when its writer began.
        at = record.observed_at if record.phase is not AllocationPhase.CLOSE else None
        if record.epoch > epoch:
            writers[record.source] = (record.epoch, at or uow.now)
        elif record.epoch == epoch and at is not None and at < since:
            writers[record.source] = (epoch, at)
    for source, (epoch, since) in sorted(writers.items()):
        if known.get(source) != (epoch, since):
            repository_allocations.save_producer(uow, source, epoch, since)
    return writers


def _refuse(event: ReadEvent, reason: str) -> ItemOutcome:
    return ItemOutcome(event.id, event.source, IngestResult.REJECTED, reason)


def _refuse_raw(raw: Any, reason: str) -> ItemOutcome:
    holder = raw if isinstance(raw, dict) else {}
    event_id, source = holder.get("id"), holder.get("source")
    return ItemOutcome(
        event_id[:256] if isinstance(event_id, str) else "",
        source[:256] if isinstance(source, str) else "",
        IngestResult.REJECTED,
        reason,
    )
