"""Use cases of tenants: create, read, change the billing party, suspend and resume; limits."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from uuid import UUID

from controlplane.audit import service as audit
from controlplane.kernel.errors import (
    ApprovalNeeded,
    Conflict,
    FieldProblem,
    InvalidInput,
    NotFound,
    QuotaExceeded,
    TooManyRequests,
)
from controlplane.kernel.ids import ProjectId, TenantId
from controlplane.plumbing.cursors import Page
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.typesetting import check_texts
from controlplane.plumbing.versions import check_version
from controlplane.tenancy import repository
from controlplane.tenancy.domain import (
    QUOTA_WORDS,
    TRANSITIONS,
    BillingParty,
    Project,
    Quota,
    QuotaName,
    Tenant,
    TenantStatus,
    TenantTrigger,
)
from controlplane.tenancy.events import (
    BillingPartyChanged,
    TenantApproved,
    TenantCreated,
    TenantRefused,
    TenantResumed,
    TenantSuspended,
)
from controlplane.tenancy.models import TenantRow
from controlplane.tenancy.party_rules import (
    TaxZone,
    check_billing_party,
    find_tax_zone,
    printed_texts,
    zone_at_sign_up,
)
from controlplane.tenancy.service_projects import (
    count_projects,
    create_project,
    delete_project,
    get_project,
    list_projects,
    update_project,
)

__all__ = [
    "approve",
    "approve_tax_zone",
    "change_billing_party",
    "check_party",
    "check_quota",
    "count_projects",
    "create_counted_project",
    "create_project",
    "create_tenant",
    "delete_project",
    "find_status",
    "get_project",
    "get_tenant",
    "list_alike",
    "list_calling_projects",
    "list_existing",
    "list_projects",
    "list_quotas",
    "list_tenants",
    "refuse",
    "require_approved",
    "resume",
    "set_quota",
    "suspend",
    "update_project",
]

# More GPUs, services or projects than any site has is a typing mistake.
QUOTA_LIMIT_MAX = 1_000_000
# More organizations of one company than this are one finding, not several.
ALIKE_MAX = 50
PENDING_RETRY_SECONDS = 3600


def create_tenant(
    uow: UnitOfWork,
    name: str,
    party: BillingParty,
    *,
    actor: str,
    terms: str | None = None,
    pending_max: int | None = None,
) -> Tenant:
    """Create a tenant (platform transaction): ACTIVE, or PENDING where `pending_max` says how many may wait at once.

    Nothing in the answer tells whether there is another of the same name or company: an operator sees that before it
    approves (`list_alike`). Errors: InvalidInput for a bad party, TooManyRequests where too many wait.
    """
    check_party(party)
    if pending_max is not None and repository.lock_pending(uow) >= pending_max:
        raise TooManyRequests(
            "Too many organizations wait for approval just now; sign up later, or ask the platform operator.",
            retry_after_seconds=PENDING_RETRY_SECONDS,
        )
    tenant = Tenant(
        id=TenantId.new(),
        name=name,
        status=TenantStatus.ACTIVE if pending_max is None else TenantStatus.PENDING,
        suspension_reason=None,
        billing_party=party,
        tax_zone=zone_at_sign_up(party),
        version=1,
        created_at=uow.now,
        updated_at=uow.now,
        terms=terms,
        terms_accepted_at=None if terms is None else uow.now,
    )
    repository.add_tenant(uow, tenant)
    audit.record(
        uow, tenant_id=tenant.id, actor=actor, action="organization.created", target=str(tenant.id),
        detail={"name": name, "country": party.country, "status": tenant.status, "terms": terms},
    )  # fmt: skip
    uow.emit(TenantCreated(tenant.id))
    return tenant


def check_party(party: BillingParty) -> None:
    """Refuse a party that could not be invoiced, or whose texts no invoice can print; InvalidInput names the fields."""
    check_billing_party(party)
    problems = check_texts(printed_texts(party))
    if problems:
        raise InvalidInput("An invoice could not carry the billing party as it is written.", fields=problems)


def find_status(uow: UnitOfWork, tenant_id: TenantId) -> TenantStatus | None:
    """Tell whether a tenant may work; None when it does not exist."""
    return repository.find_status(uow, tenant_id)


def list_existing(uow: UnitOfWork, tenant_ids: Collection[TenantId]) -> set[TenantId]:
    """Tell which of these tenants there are, whatever their status (platform transaction)."""
    return repository.list_existing(uow, tenant_ids)


def list_project_owners(uow: UnitOfWork, project_ids: Collection[ProjectId]) -> dict[ProjectId, TenantId]:
    """Whose these projects are, of those that there are (platform transaction)."""
    return repository.list_project_owners(uow, project_ids)


def get_tenant(uow: UnitOfWork, tenant_id: TenantId) -> Tenant:
    tenant = repository.find_tenant(uow, tenant_id)
    if tenant is None:
        raise _no_tenant(tenant_id)
    return tenant


def list_tenants(
    uow: UnitOfWork, *, after: UUID | None, limit: int, statuses: Collection[TenantStatus] = ()
) -> Page[Tenant]:
    rows = repository.list_tenants(uow, after=after, limit=limit + 1, statuses=statuses)
    return Page.of(rows, limit, lambda tenant: tenant.id.value)


def list_alike(uow: UnitOfWork, tenant_id: TenantId) -> Sequence[Tenant]:
    """Other organizations that may be of the same company, at most ALIKE_MAX (platform transaction)."""
    return repository.list_alike(uow, get_tenant(uow, tenant_id), limit=ALIKE_MAX)


def require_approved(uow: UnitOfWork, tenant_id: TenantId) -> None:
    """Raise Conflict for a tenant that nobody has approved: no document may name a company that was only claimed."""
    if not get_tenant(uow, tenant_id).is_approved:
        raise Conflict(
            "Nobody has checked who this organization is: approve it before anything is sold to it on paper."
        )


def approve(uow: UnitOfWork, tenant_id: TenantId, *, expected_version: int, actor: str) -> Tenant:
    """Confirm who a tenant is, as its billing party stood in the version that was looked at.

    From now on the ordinary limits bind it, and its documents can be issued. Errors: Conflict when it has changed
    since, IllegalTransition when it does not wait.
    """
    row = _lock(uow, tenant_id)
    if row.version != expected_version:
        raise Conflict(
            f"The organization changed after you looked at it: it is at version {row.version}. Look at it again."
        )
    row.status = TRANSITIONS.next(TenantStatus(row.status), TenantTrigger.APPROVE)
    row.suspension_reason = None
    _mark_changed(uow, row)
    _record_operator_act(uow, tenant_id, actor, "organization.approved", f"version {expected_version}")
    uow.emit(TenantApproved(tenant_id))
    return repository.to_tenant(row)


def refuse(uow: UnitOfWork, tenant_id: TenantId, reason: str, *, actor: str) -> Tenant:
    """Turn away a tenant that waits: it goes on reading, and can use and change nothing.

    Errors: IllegalTransition when it does not wait.
    """
    row = _lock(uow, tenant_id)
    row.status = TRANSITIONS.next(TenantStatus(row.status), TenantTrigger.REFUSE)
    row.suspension_reason = reason
    _mark_changed(uow, row)
    _record_operator_act(uow, tenant_id, actor, "organization.refused", reason)
    uow.emit(TenantRefused(tenant_id))
    return repository.to_tenant(row)


def change_billing_party(
    uow: UnitOfWork,
    tenant_id: TenantId,
    change: Callable[[BillingParty], BillingParty],
    *,
    expected_version: int,
    actor: str,
) -> Tenant:
    """Replace the billing party by `change` of the present one; invoices issued before keep what they say."""
    row = _lock(uow, tenant_id)
    check_version(row.version, expected_version)
    party = change(repository.to_tenant(row).billing_party)
    check_party(party)
    if row.tax_zone is None:
        row.tax_zone = find_tax_zone(repository.to_tenant(row).billing_party)
    repository.set_billing_party(row, party)
    _mark_changed(uow, row)
    audit.record(
        uow, tenant_id=tenant_id, actor=actor, action="billing_party.changed", target=str(tenant_id),
        detail={"version": row.version, "country": party.country},
    )  # fmt: skip
    uow.emit(BillingPartyChanged(tenant_id))
    return repository.to_tenant(row)


def approve_tax_zone(uow: UnitOfWork, tenant_id: TenantId, reason: str, *, actor: str) -> Tenant:
    """Accept that a tenant is taxed where its billing party lies now; `reason` says by what proof.

    Until then a place that a tenant claims itself, at sign-up or since, holds its invoices. Errors: Conflict when the
    place itself is not clear.
    """
    row = _lock(uow, tenant_id)
    zone = find_tax_zone(repository.to_tenant(row).billing_party)
    if zone is TaxZone.UNCLEAR:
        raise Conflict(
            "Where this organization is taxed cannot be told from its country, postal code and SIREN."
        )
    before, row.tax_zone = row.tax_zone, zone
    _mark_changed(uow, row)
    audit.record(
        uow, tenant_id=tenant_id, actor=actor, action="tax_zone.approved", target=str(tenant_id),
        detail={"before": before, "zone": zone, "reason": reason},
    )  # fmt: skip
    return repository.to_tenant(row)


def suspend(uow: UnitOfWork, tenant_id: TenantId, reason: str, *, actor: str) -> Tenant:
    """Refuse all keys of a tenant from now on; IllegalTransition when it is suspended already."""
    row = _lock(uow, tenant_id)
    row.status = TRANSITIONS.next(TenantStatus(row.status), TenantTrigger.SUSPEND)
    row.suspension_reason = reason
    _mark_changed(uow, row)
    _record_operator_act(uow, tenant_id, actor, "organization.suspended", reason)
    uow.emit(TenantSuspended(tenant_id))
    return repository.to_tenant(row)


def resume(uow: UnitOfWork, tenant_id: TenantId, *, actor: str) -> Tenant:
    row = _lock(uow, tenant_id)
    row.status = TRANSITIONS.next(TenantStatus(row.status), TenantTrigger.RESUME)
    row.suspension_reason = None
    _mark_changed(uow, row)
    _record_operator_act(uow, tenant_id, actor, "organization.resumed", "")
    uow.emit(TenantResumed(tenant_id))
    return repository.to_tenant(row)


def list_quotas(uow: UnitOfWork, tenant_id: TenantId) -> Sequence[Quota]:
    return repository.list_quotas(uow, tenant_id)


def set_quota(uow: UnitOfWork, tenant_id: TenantId, name: QuotaName, limit: int, *, actor: str) -> Quota:
    """Give a tenant a limit of its own (platform transaction); what exceeds a lowered limit keeps running."""
    if not 0 <= limit <= QUOTA_LIMIT_MAX:
        problem = FieldProblem("limit", f"must lie between 0 and {QUOTA_LIMIT_MAX}")
        raise InvalidInput("The limit is not possible.", fields=(problem,))
    get_tenant(uow, tenant_id)
    repository.set_quota(uow, tenant_id, name, limit)
    _record_operator_act(uow, tenant_id, actor, "quota.changed", f"{name}={limit}")
    return Quota(name, limit, is_default=False)


def check_quota(
    uow: UnitOfWork, name: QuotaName, count_used: Callable[[], int], wanted: int = 1, *, times: int = 1
) -> None:
    """Raise QuotaExceeded when `wanted` more of something would pass the limit of the transaction's tenant.

    Other transactions that check the same quota wait until this one ends, so that `count_used` stays true.
    `times`: how often the limit may be filled for what lasts a moment only, such as a key beside its successor.
    """
    limit, is_pending = repository.lock_quota(uow, uow.tenant, name)
    limit *= times
    used = count_used()
    if used + wanted > limit:
        what, remedy = QUOTA_WORDS[name]
        if is_pending:
            raise ApprovalNeeded(
                f"Your organization waits for approval by the platform operator: until then it may have {limit} {what} "
                f"and has {used}; {wanted} more would pass the limit."
            )
        raise QuotaExceeded(
            f"The organization may have {limit} {what} and has {used}; {wanted} more would pass the limit: {remedy}, "
            "or ask the platform operator for a higher limit."
        )


def create_counted_project(
    uow: UnitOfWork, tenant_id: TenantId, name: str, description: str, *, actor: str
) -> Project:
    """Create a project within the tenant's limit."""
    check_quota(uow, QuotaName.PROJECTS, lambda: count_projects(uow, tenant_id))
    return create_project(uow, tenant_id, name, description, actor=actor)


def list_calling_projects(uow: UnitOfWork) -> dict[TenantId, ProjectId]:
    """Return the default project of every tenant that may call models (platform transaction)."""
    return repository.list_open_default_projects(uow)


def _lock(uow: UnitOfWork, tenant_id: TenantId) -> TenantRow:
    row = repository.lock_tenant(uow, tenant_id)
    if row is None:
        raise _no_tenant(tenant_id)
    return row


def _mark_changed(uow: UnitOfWork, row: TenantRow) -> None:
    row.version += 1
    row.updated_at = uow.now
    uow.session.flush()


def _record_operator_act(uow: UnitOfWork, tenant_id: TenantId, actor: str, action: str, reason: str) -> None:
    """The operator's acts on a tenant stand in both chains: the tenant sees them, and so does the platform."""
    for chain in (tenant_id, None):
        audit.record(
            uow, tenant_id=chain, actor=actor, action=action, target=str(tenant_id), detail={"reason": reason}
        )


def _no_tenant(tenant_id: TenantId) -> NotFound:
    return NotFound(f"There is no organization {tenant_id}.")
