"""Append to a chain, read it, verify it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from controlplane.audit import repository
from controlplane.audit.chain_rules import ChainBreak, find_break, hash_record
from controlplane.audit.domain import GENESIS_HASH, PLATFORM_CHAIN, AuditRecord, RecordOrigin
from controlplane.audit.models import AuditEventRow, AuditOriginRow
from controlplane.kernel.events import JsonValue
from controlplane.kernel.ids import TenantId
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.request_log import Origin, current_origin

EXPORT_BATCH = 500
ADDRESS_LENGTH_MAX = 64


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
    Where the request came from is kept beside the record, and no part of its hash.
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
    origin = current_origin()
    if origin is not None:
        uow.session.add(_origin_row(origin, chain, sequence, tenant_id, uow.now))
    uow.session.flush()


def _origin_row(
    origin: Origin, chain: str, sequence: int, tenant_id: TenantId | None, now: datetime
) -> AuditOriginRow:
    """Who may read where an act was asked for: the organization whose key it was, or that somebody signed up.

    What the operator's people do to an organization stands in its chain; where they sat is not its business.
    """
    asker = origin.asker
    is_own = asker.key_id is None or asker.tenant_id == str(tenant_id)
    return AuditOriginRow(
        chain=chain,
        sequence=sequence,
        tenant_id=tenant_id if is_own else None,
        occurred_at=now,
        address=origin.client_address[:ADDRESS_LENGTH_MAX],
        user_agent=printable(origin.user_agent),
        request_id=origin.request_id,
        key_id=asker.key_id,
    )


def printable(text: str) -> str:
    """What a caller sent, without what a database or a screen chokes on."""
    return "".join(character for character in text if character.isprintable())


def list_origins(
    uow: UnitOfWork, tenant_id: TenantId | None, records: Sequence[AuditRecord]
) -> dict[int, RecordOrigin]:
    """Return where these records of the tenant's (for None, the platform's) chain were asked for, by number.

    None is there for acts of no request, of the operator's people in a tenant's chain, and where it was forgotten.
    """
    if not records:
        return {}
    numbers = [record.sequence for record in records]
    found = repository.list_origins(
        uow, chain_of(tenant_id), tenant_id, first=min(numbers), last=max(numbers)
    )
    return {origin.sequence: origin for origin in found}


def list_records(
    uow: UnitOfWork, tenant_id: TenantId | None, *, after: int = 0, limit: int = EXPORT_BATCH
) -> Sequence[AuditRecord]:
    """Return records in chain order, from the one after `after` on."""
    return repository.list_records(uow, chain_of(tenant_id), after=after, limit=limit)


def walk(uow: UnitOfWork, tenant_id: TenantId | None) -> Iterator[AuditRecord]:
    """Yield the whole chain, a batch at a time."""
    for batch in _batches(uow, tenant_id):
        yield from batch


def walk_with_origins(
    uow: UnitOfWork, tenant_id: TenantId | None
) -> Iterator[tuple[AuditRecord, RecordOrigin | None]]:
    """Yield the whole chain, each record with where it was asked for, as far as that is known."""
    for batch in _batches(uow, tenant_id):
        origins = list_origins(uow, tenant_id, batch)
        yield from ((record, origins.get(record.sequence)) for record in batch)


def _batches(uow: UnitOfWork, tenant_id: TenantId | None) -> Iterator[Sequence[AuditRecord]]:
    after = 0
    while batch := list_records(uow, tenant_id, after=after):
        yield batch
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
