"""Append to a chain, read it, verify it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from controlplane.audit import repository
from controlplane.audit.chain_rules import ChainBreak, find_break, hash_record
from controlplane.audit.domain import GENESIS_HASH, PLATFORM_CHAIN, AuditRecord
from controlplane.audit.models import AuditEventRow
from controlplane.kernel.events import JsonValue
from controlplane.kernel.ids import TenantId
from controlplane.plumbing.database import UnitOfWork

EXPORT_BATCH = 500


def chain_of(tenant_id: TenantId | None) -> str:
    return PLATFORM_CHAIN if tenant_id is None else str(tenant_id)


def record(
    uow: UnitOfWork,
    *,
    tenant_id: TenantId | None,
    actor: str,
    action: str,
    target: str,
    detail: Mapping[str, JsonValue] | None = None,
) -> None:
    """Append one act to the tenant's chain (the platform's when `tenant_id` is None), in the caller's transaction.

    `action` is `noun.past` ("service.created"), `target` a wire id. `detail` holds no secret and no personal data.
    """
    chain = chain_of(tenant_id)
    head = repository.lock_head(uow, chain, tenant_id)
    content = dict(detail or {})
    sequence = head.sequence + 1
    digest = hash_record(chain, sequence, uow.now, actor, action, target, content, head.hash)
    uow.session.add(
        AuditEventRow(
            chain=chain,
            sequence=sequence,
            tenant_id=tenant_id,
            occurred_at=uow.now,
            actor=actor,
            action=action,
            target=target,
            detail=content,
            previous_hash=head.hash,
            hash=digest,
        )
    )
    head.sequence, head.hash = sequence, digest
    uow.session.flush()


def list_records(
    uow: UnitOfWork, tenant_id: TenantId | None, *, after: int = 0, limit: int = EXPORT_BATCH
) -> Sequence[AuditRecord]:
    """Return records in chain order, from the one after `after` on."""
    return repository.list_records(uow, chain_of(tenant_id), after=after, limit=limit)


def walk(uow: UnitOfWork, tenant_id: TenantId | None) -> Iterator[AuditRecord]:
    """Yield the whole chain, a batch at a time."""
    after = 0
    while batch := list_records(uow, tenant_id, after=after):
        yield from batch
        after = batch[-1].sequence


def verify(uow: UnitOfWork, tenant_id: TenantId | None) -> ChainBreak | None:
    """Check the stored chain against its head; None when it holds."""
    head = repository.find_head(uow, chain_of(tenant_id))
    return find_break(walk(uow, tenant_id), expected_head=None if head is None else head.hash)


def list_newest(
    uow: UnitOfWork,
    tenant_id: TenantId | None,
    *,
    before: int | None,
    limit: int,
    actor: str | None = None,
    action: str | None = None,
    target: str | None = None,
) -> Sequence[AuditRecord]:
    """Return records from the newest (or the one before `before`) backwards, narrowed by exact values."""
    wanted = {"actor": actor, "action": action, "target": target}
    return repository.list_newest(uow, chain_of(tenant_id), before=before, limit=limit, wanted=wanted)


def get_head(uow: UnitOfWork, tenant_id: TenantId | None) -> tuple[int, str]:
    """Return the last record's sequence and hash; (0, genesis) of a chain that has none."""
    head = repository.find_head(uow, chain_of(tenant_id))
    return (0, GENESIS_HASH) if head is None else (head.sequence, head.hash)
