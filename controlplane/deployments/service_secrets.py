"""Use cases of secrets: a value goes in, is sealed at once, and leaves only towards the cell that needs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import select

from controlplane.audit import service as audit
from controlplane.deployments import repository
from controlplane.deployments.domain import EnvEntry, SealedSecret, Secret
from controlplane.deployments.models import DeploymentRow, SecretRow, SecretVersionRow, ServiceRow
from controlplane.deployments.sealing import seal, unseal
from controlplane.deployments.service_budget import spend
from controlplane.deployments.write_budget_rules import Write
from controlplane.kernel import bounds
from controlplane.kernel.errors import Conflict, FieldProblem, InvalidInput, NotFound
from controlplane.kernel.ids import ProjectId, SecretId, TenantId
from controlplane.kernel.keyring import Keyring
from controlplane.plumbing.cursors import Page
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.web import check_version
from controlplane.tenancy import service as tenancy
from controlplane.tenancy.domain import QuotaName

# A new value each week for four years.
VERSIONS_MAX = 200


def create_secret(
    uow: UnitOfWork, ring: Keyring, *, actor: str, project_id: ProjectId, name: str, value: str
) -> Secret:
    """Store a new secret.

    Errors: Conflict when the project has one of that name, InvalidInput for its size, QuotaExceeded, TooManyRequests.
    """
    spend(uow, Write.SECRET, None)
    tenancy.check_quota(uow, QuotaName.SECRETS, lambda: repository.count_rows(uow, SecretRow, uow.tenant))
    size = _measure(value)
    row = repository.add_unless_taken(
        uow,
        SecretRow,
        tenant_id=uow.tenant,
        id=SecretId.new(),
        project_id=project_id,
        name=name,
        version=1,
        size_bytes=size,
        created_at=uow.now,
        updated_at=uow.now,
    )
    if row is None:
        raise Conflict(
            f"The project already has a secret called '{name}'.",
            fields=(FieldProblem("name", "is taken", "taken"),),
        )
    _store(uow, ring, row, value)
    _audit(uow, actor, "secret.created", row)
    return repository.to_secret(row)


def replace_secret(
    uow: UnitOfWork,
    ring: Keyring,
    secret_id: SecretId,
    *,
    actor: str,
    bound: ProjectId | None,
    expected_version: int,
    value: str,
) -> Secret:
    """Store a new value under a new version. What runs keeps the version it was deployed with.

    Errors: Conflict beyond VERSIONS_MAX, as each version is kept for the deployments that name it.
    """
    row = _lock(uow, secret_id, bound)
    check_version(row.version, expected_version)
    if row.version >= VERSIONS_MAX:
        raise Conflict(
            f"The secret '{row.name}' has been replaced {VERSIONS_MAX} times; delete it and create it anew."
        )
    spend(uow, Write.SECRET, row.id)
    row.version, row.size_bytes, row.updated_at = row.version + 1, _measure(value), uow.now
    uow.session.flush()
    _store(uow, ring, row, value)
    _audit(uow, actor, "secret.replaced", row)
    return repository.to_secret(row)


def get_secret(uow: UnitOfWork, secret_id: SecretId, bound: ProjectId | None = None) -> Secret:
    row = uow.session.scalars(
        select(SecretRow).where(SecretRow.tenant_id == uow.tenant, SecretRow.id == secret_id)
    ).one_or_none()
    if row is None or (bound is not None and row.project_id != bound):
        raise NotFound(f"There is no secret {secret_id}.")
    return repository.to_secret(row)


def list_secrets(
    uow: UnitOfWork, *, project_id: ProjectId | None, name: str | None, after: UUID | None, limit: int
) -> Page[Secret]:
    filters = []
    if project_id is not None:
        filters.append(SecretRow.project_id == project_id)
    if name is not None:
        filters.append(SecretRow.name == name)
    rows = repository.page(uow, SecretRow, uow.tenant, after=after, limit=limit, filters=filters)
    return Page.of([repository.to_secret(row) for row in rows], limit, lambda secret: secret.id.value)


def delete_secret(
    uow: UnitOfWork, secret_id: SecretId, *, actor: str, bound: ProjectId | None, expected_version: int
) -> None:
    """Forget a secret with all its versions; Conflict while a service's latest definition names it."""
    row = _lock(uow, secret_id, bound)
    check_version(row.version, expected_version)
    for service, deployment in _users(uow, row.project_id):
        if row.name in deployment.secret_versions:
            raise Conflict(
                f"The service '{service.name}' uses the secret '{row.name}'; deploy it without it first."
            )
    uow.session.delete(row)
    _audit(uow, actor, "secret.deleted", row)


def pin_versions(uow: UnitOfWork, project_id: ProjectId, env: Sequence[EnvEntry]) -> dict[str, int]:
    """The present version of each secret that variables name.

    Errors: InvalidInput names those that do not exist, and says so when all variables together are too large.
    The rows stay locked until the deployment that names them is stored, so none is deleted in between.
    """
    wanted = sorted({entry.secret for entry in env if entry.secret is not None})
    if not wanted:
        return {}
    rows = uow.session.scalars(
        select(SecretRow)
        .where(
            SecretRow.tenant_id == uow.tenant, SecretRow.project_id == project_id, SecretRow.name.in_(wanted)
        )
        .with_for_update(read=True)
    )
    found = {row.name: row for row in rows}
    missing = [name for name in wanted if name not in found]
    if missing:
        raise InvalidInput(
            "The definition names secrets that the project does not have.",
            fields=tuple(
                FieldProblem("definition.env", f"there is no secret '{n}'", "unknown") for n in missing
            ),
        )
    _check_size(env, {name: row.size_bytes for name, row in found.items()})
    return {name: row.version for name, row in found.items()}


def _check_size(env: Sequence[EnvEntry], sizes: Mapping[str, int]) -> None:
    """Hold names and values together to what a cell keeps of one deployment; a plain value was counted at the door."""
    total = sum(
        len(entry.key.encode()) + (sizes[entry.secret] if entry.secret else len((entry.value or "").encode()))
        for entry in env
    )
    if total > bounds.ENV_BYTES:
        raise InvalidInput(
            f"The variables and the values of their secrets have {total} bytes, more than {bounds.ENV_BYTES}.",
            fields=(
                FieldProblem("definition.env", f"{total} bytes, more than {bounds.ENV_BYTES}", "too_large"),
            ),
        )


def _measure(value: str) -> int:
    """Bytes of a value. Errors: InvalidInput when no deployment could ever carry it."""
    size = len(value.encode())
    if size > bounds.SECRET_VALUE_LENGTH:
        raise InvalidInput(
            f"The value has {size} bytes, more than {bounds.SECRET_VALUE_LENGTH}.",
            fields=(
                FieldProblem("value", f"{size} bytes, more than {bounds.SECRET_VALUE_LENGTH}", "too_large"),
            ),
        )
    return size


def reveal(
    uow: UnitOfWork, ring: Keyring, tenant_id: TenantId, project_id: ProjectId, versions: Mapping[str, int]
) -> dict[str, str]:
    """Unseal the named versions for a cell. Needs a system transaction: a tenant's own cannot read them.

    Errors: SecretDamaged. A name that is gone is absent from the result.
    """
    values: dict[str, str] = {}
    for name, version in sorted(versions.items()):
        sealed = uow.session.scalars(
            select(SecretVersionRow)
            .join(
                SecretRow,
                (SecretRow.tenant_id == SecretVersionRow.tenant_id)
                & (SecretRow.id == SecretVersionRow.secret_id),
            )
            .where(
                SecretRow.tenant_id == tenant_id,
                SecretRow.project_id == project_id,
                SecretRow.name == name,
                SecretVersionRow.version == version,
            )
        ).one_or_none()
        if sealed is not None:
            held = SealedSecret(name, version, sealed.nonce, sealed.ciphertext, sealed.sealing_key_id)
            values[name] = unseal(ring, tenant_id, held)
    return values


def reseal(uow: UnitOfWork, ring: Keyring, *, limit: int) -> int:
    """Seal up to `limit` values anew that stand under another key than the writing one; say how many there were.

    `uow` is a platform transaction. Errors: SecretDamaged for a value whose key is gone: nothing is changed then.
    """
    rows = uow.session.execute(
        select(SecretVersionRow, SecretRow.name)
        .join(
            SecretRow,
            (SecretRow.tenant_id == SecretVersionRow.tenant_id)
            & (SecretRow.id == SecretVersionRow.secret_id),
        )
        .where(SecretVersionRow.sealing_key_id != ring.current.id)
        .limit(limit)
        .with_for_update(of=SecretVersionRow, skip_locked=True)
    ).all()
    for row, name in rows:
        held = SealedSecret(name, row.version, row.nonce, row.ciphertext, row.sealing_key_id)
        fresh = seal(ring, row.tenant_id, name, row.version, unseal(ring, row.tenant_id, held))
        row.nonce, row.ciphertext, row.sealing_key_id = fresh.nonce, fresh.ciphertext, fresh.key_id
    uow.session.flush()
    return len(rows)


def _store(uow: UnitOfWork, ring: Keyring, row: SecretRow, value: str) -> None:
    sealed = seal(ring, row.tenant_id, row.name, row.version, value)
    uow.session.add(
        SecretVersionRow(
            tenant_id=row.tenant_id,
            secret_id=row.id,
            version=row.version,
            nonce=sealed.nonce,
            ciphertext=sealed.ciphertext,
            sealing_key_id=sealed.key_id,
            created_at=uow.now,
        )
    )
    uow.session.flush()


def _users(uow: UnitOfWork, project_id: ProjectId) -> list[tuple[ServiceRow, DeploymentRow]]:
    query = (
        select(ServiceRow, DeploymentRow)
        .join(
            DeploymentRow,
            (DeploymentRow.tenant_id == ServiceRow.tenant_id)
            & (
                (DeploymentRow.id == ServiceRow.latest_deployment_id)
                | (DeploymentRow.id == ServiceRow.active_deployment_id)
            ),
        )
        .where(
            ServiceRow.tenant_id == uow.tenant,
            ServiceRow.project_id == project_id,
            ServiceRow.status != "DELETED",
        )
    )
    return [(service, deployment) for service, deployment in uow.session.execute(query)]


def _lock(uow: UnitOfWork, secret_id: SecretId, bound: ProjectId | None) -> SecretRow:
    row = uow.session.scalars(
        select(SecretRow)
        .where(SecretRow.tenant_id == uow.tenant, SecretRow.id == secret_id)
        .with_for_update()
    ).one_or_none()
    if row is None or (bound is not None and row.project_id != bound):
        raise NotFound(f"There is no secret {secret_id}.")
    return row


def _audit(uow: UnitOfWork, actor: str, action: str, row: SecretRow) -> None:
    audit.record(
        uow,
        tenant_id=uow.tenant,
        actor=actor,
        action=action,
        target=str(row.id),
        detail={"name": row.name, "version": row.version},
    )
