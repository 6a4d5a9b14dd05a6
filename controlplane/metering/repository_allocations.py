"""Rows of GPU intervals and of the writers that report them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import datetime

from sqlalchemy import ColumnElement, or_, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert

from controlplane.kernel.ids import ProjectId, TenantId
from controlplane.kernel.period import Period
from controlplane.metering.domain import Allocation, AllocationState
from controlplane.metering.models import AllocationRow, ProducerRow
from controlplane.plumbing.database import UnitOfWork

# A statement carries at most 65,535 parameters; a row has 22.
ROWS_MAX = 1_000
_FIELDS = tuple(field.name for field in fields(Allocation))
# What later reports change; the rest of a row stands from its first one.
_CHANGING = (
    "state", "opened_at", "last_seen_at", "closed_at", "ended_at", "billed_until", "revision", "reason",
)  # fmt: skip


def lock_sources(uow: UnitOfWork, sources: Iterable[str]) -> None:
    """One writer at a time for each cell: reports and slices of one GPU are worked on in turn."""
    for source in sorted(set(sources)):
        uow.session.execute(text("SELECT pg_advisory_xact_lock(7007, hashtext(:s))"), {"s": source})


def list_by_gpus(uow: UnitOfWork, gpus: Sequence[tuple[str, str]], since: datetime) -> list[Allocation]:
    """Intervals of GPUs, named (source, gpu id), that are open or ended at or after an instant."""
    rows = uow.session.scalars(
        select(AllocationRow).where(
            tuple_(AllocationRow.source, AllocationRow.gpu_id).in_(gpus),
            or_(AllocationRow.ended_at.is_(None), AllocationRow.ended_at >= since),
        )
    )
    return [_to_domain(row) for row in rows]


def list_known_ids(uow: UnitOfWork, ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    return set(uow.session.scalars(select(AllocationRow.id).where(AllocationRow.id.in_(ids))))


def save(uow: UnitOfWork, allocations: Sequence[Allocation]) -> None:
    """Write intervals, ended ones first: only then may another one of the same GPU be open."""
    if not allocations:
        return
    ordered = sorted(allocations, key=lambda each: (each.state is AllocationState.OPEN, each.id))
    for is_open in (False, True):
        rows = [_to_values(each) for each in ordered if (each.state is AllocationState.OPEN) is is_open]
        for start in range(0, len(rows), ROWS_MAX):
            statement = insert(AllocationRow).values(rows[start : start + ROWS_MAX])
            changes = {name: getattr(statement.excluded, name) for name in _CHANGING}
            uow.session.execute(statement.on_conflict_do_update(index_elements=["id"], set_=changes))


def list_unbilled_sources(uow: UnitOfWork) -> list[str]:
    """Cells with an interval that is open, or was not billed to its end."""
    rows = uow.session.scalars(select(AllocationRow.source).where(_is_unbilled()).distinct())
    return sorted(rows)


def list_unbilled(
    uow: UnitOfWork,
    source: str,
    *,
    after: uuid.UUID | None,
    limit: int,
    tenant_id: TenantId | None = None,
) -> list[Allocation]:
    """A source's intervals that are open or not billed to their end, by id."""
    query = select(AllocationRow).where(AllocationRow.source == source, _is_unbilled())
    if after is not None:
        query = query.where(AllocationRow.id > after)
    if tenant_id is not None:
        query = query.where(AllocationRow.tenant_id == tenant_id)
    rows = uow.session.scalars(query.order_by(AllocationRow.id).limit(limit))
    return [_to_domain(row) for row in rows]


def list_of_tenant(
    uow: UnitOfWork,
    tenant_id: TenantId,
    period: Period,
    *,
    service_id: str | None,
    project_id: ProjectId | None,
    offset: int,
    limit: int,
) -> list[Allocation]:
    """A tenant's intervals that touch a period, newest first."""
    query = select(AllocationRow).where(
        AllocationRow.tenant_id == tenant_id,
        AllocationRow.opened_at < period.end,
        or_(AllocationRow.ended_at.is_(None), AllocationRow.ended_at > period.start),
    )
    if service_id is not None:
        query = query.where(AllocationRow.service_id == service_id)
    if project_id is not None:
        query = query.where(AllocationRow.project_id == project_id)
    ordered = query.order_by(AllocationRow.opened_at.desc(), AllocationRow.id).offset(offset).limit(limit)
    return [_to_domain(row) for row in uow.session.scalars(ordered)]


def list_producers(uow: UnitOfWork, sources: Iterable[str]) -> dict[str, tuple[int, datetime]]:
    rows = uow.session.scalars(select(ProducerRow).where(ProducerRow.source.in_(sorted(set(sources)))))
    return {row.source: (row.epoch, row.since) for row in rows}


def save_producer(uow: UnitOfWork, source: str, epoch: int, since: datetime) -> None:
    statement = insert(ProducerRow).values(source=source, epoch=epoch, since=since)
    uow.session.execute(
        statement.on_conflict_do_update(
            index_elements=["source"],
            set_={"epoch": statement.excluded.epoch, "since": statement.excluded.since},
        )
    )


def _is_unbilled() -> ColumnElement[bool]:
    return or_(AllocationRow.ended_at.is_(None), AllocationRow.billed_until != AllocationRow.ended_at)


def _to_domain(row: AllocationRow) -> Allocation:
    values = {name: getattr(row, name) for name in _FIELDS}
    return Allocation(**{**values, "state": AllocationState(row.state)})


def _to_values(each: Allocation) -> dict[str, object]:
    return {**{name: getattr(each, name) for name in _FIELDS}, "state": each.state.value}
