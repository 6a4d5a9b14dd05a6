"""All SQL of the audit room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from controlplane.audit.domain import GENESIS_HASH, AuditRecord, RecordOrigin
from controlplane.audit.models import AuditEventRow, AuditHeadRow, AuditOriginRow
from controlplane.kernel.ids import TenantId
from controlplane.plumbing.database import UnitOfWork


def lock_head(uow: UnitOfWork, chain: str, tenant_id: TenantId | None) -> AuditHeadRow:
    """Return the chain's end, locked until this transaction ends; a first record creates it."""
    locked = (
        select(AuditHeadRow)
        .where(AuditHeadRow.chain == chain)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    head = uow.session.scalars(locked).one_or_none()
    if head is None:
        uow.session.execute(
            insert(AuditHeadRow)
            .values(chain=chain, tenant_id=tenant_id, sequence=0, hash=GENESIS_HASH)
            .on_conflict_do_nothing()
        )
        head = uow.session.scalars(locked).one()
    return head


def list_records(uow: UnitOfWork, chain: str, *, after: int, limit: int) -> Sequence[AuditRecord]:
    rows = uow.session.scalars(
        select(AuditEventRow)
        .where(AuditEventRow.chain == chain, AuditEventRow.sequence > after)
        .order_by(AuditEventRow.sequence)
        .limit(limit)
    )
    return [to_record(row) for row in rows]


def list_newest(
    uow: UnitOfWork, chain: str, *, before: int | None, limit: int, wanted: Mapping[str, str | None]
) -> Sequence[AuditRecord]:
    """Return up to `limit` records, newest first; `wanted` gives columns the value that they must have."""
    query = select(AuditEventRow).where(AuditEventRow.chain == chain)
    if before is not None:
        query = query.where(AuditEventRow.sequence < before)
    for column, value in wanted.items():
        if value is not None:
            query = query.where(AuditEventRow.__table__.c[column] == value)
    rows = uow.session.scalars(query.order_by(AuditEventRow.sequence.desc()).limit(limit))
    return [to_record(row) for row in rows]


def find_head(uow: UnitOfWork, chain: str) -> AuditHeadRow | None:
    return uow.session.get(AuditHeadRow, chain)


def list_origins(
    uow: UnitOfWork, chain: str, tenant_id: TenantId | None, *, first: int, last: int
) -> Sequence[RecordOrigin]:
    """Return the origins of the records from `first` to `last` that `tenant_id` (None: the operator) may read."""
    rows = uow.session.scalars(
        select(AuditOriginRow)
        .where(
            AuditOriginRow.chain == chain,
            AuditOriginRow.sequence.between(first, last),
            AuditOriginRow.tenant_id.is_not_distinct_from(tenant_id),
        )
        .order_by(AuditOriginRow.sequence)
    )
    return [
        RecordOrigin(row.sequence, row.address, row.user_agent, row.request_id, row.key_id) for row in rows
    ]


def to_record(row: AuditEventRow) -> AuditRecord:
    return AuditRecord(
        chain=row.chain,
        sequence=row.sequence,
        occurred_at=row.occurred_at,
        actor=row.actor,
        action=row.action,
        target=row.target,
        detail=row.detail,
        previous_hash=row.previous_hash,
        hash=row.hash,
    )
