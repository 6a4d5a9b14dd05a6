"""Use cases of prices: SKUs, immutable versions, plans, a tenant's plan, credits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from controlplane.audit import service as audit
from controlplane.kernel.errors import Conflict, FieldProblem, InvalidInput, NotFound
from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import Period
from controlplane.metering.domain import DIMENSIONS, SOLD_METERS
from controlplane.plumbing.cursors import Page
from controlplane.plumbing.database import UnitOfWork
from controlplane.rating import repository
from controlplane.rating.credit_rules import check_grant
from controlplane.rating.domain import (
    CreditGrant,
    CreditGrantId,
    CreditKind,
    Plan,
    Price,
    PriceVersion,
    PriceVersionId,
    Sku,
    TenantPlan,
)
from controlplane.rating.price_rules import check_new_version, check_price, is_full_hour
from controlplane.rating.standard_prices import DEFAULT_PLAN
from controlplane.tenancy import service as tenancy

HOUR = timedelta(hours=1)


def create_sku(uow: UnitOfWork, sku: Sku, *, actor: str) -> Sku:
    """Add something that is sold; Conflict when its code, or the same usage, is sold already."""
    if sku.meter is not None and sku.meter not in SOLD_METERS:
        problem = FieldProblem("meter", f"is one of {', '.join(sorted(SOLD_METERS))}, or null for a fee")
        raise InvalidInput("There is no such meter.", fields=(problem,))
    unknown = sorted(set(sku.matches) - set(DIMENSIONS))
    if unknown or (sku.meter is None and sku.matches):
        problem = FieldProblem("matches", f"names only {', '.join(DIMENSIONS)}, and nothing for a fee")
        raise InvalidInput("Usage has no such dimension.", fields=(problem,))
    if not repository.add_sku(uow, sku):
        raise Conflict(f"The SKU '{sku.code}', or another one for the same usage, exists already.")
    _record(uow, actor, "sku.created", sku.code)
    return sku


def list_skus(uow: UnitOfWork) -> Sequence[Sku]:
    return repository.list_skus(uow)


def create_version(
    uow: UnitOfWork,
    *,
    book: str,
    sku: str,
    price: Price,
    valid_from: datetime,
    valid_to: datetime | None,
    actor: str,
) -> PriceVersion:
    """Add a price, in force from `valid_from`; nothing that was priced before changes.

    Errors: NotFound for an unknown SKU, InvalidInput for a price that cannot be billed, Conflict for an overlap or
    for a past that has a price.
    """
    if repository.find_sku(uow, sku) is None:
        raise NotFound(f"There is no SKU '{sku}'.")
    check_price(price)
    repository.lock_prices(uow, book, sku)
    version = PriceVersion(PriceVersionId.new(), book, sku, price, valid_from, valid_to, uow.now, actor)
    check_new_version(repository.list_versions(uow, books=[book], sku=sku), version, uow.now)
    repository.add_version(uow, version)
    _record(uow, actor, "price_version.created", str(version.id))
    return version


def list_versions(uow: UnitOfWork, *, after: UUID | None, limit: int) -> Page[PriceVersion]:
    found = repository.page_versions(uow, after=after, limit=limit + 1)
    return Page.of(found, limit, lambda version: version.id.value)


def create_plan(uow: UnitOfWork, plan: Plan, *, actor: str) -> Plan:
    """Add a plan; another promise is another plan, so there is no change of one."""
    if plan.fee_sku is not None:
        sku = repository.find_sku(uow, plan.fee_sku)
        if sku is None or sku.meter is not None:
            raise InvalidInput(
                "A plan's fee is a SKU without a meter.", fields=(FieldProblem("fee_sku", "is no such SKU"),)
            )
    if not repository.add_plan(uow, plan):
        raise Conflict(f"The plan '{plan.code}' exists already.")
    _record(uow, actor, "plan.created", plan.code)
    return plan


def list_plans(uow: UnitOfWork) -> Sequence[Plan]:
    return list(repository.list_plans(uow).values())


def default_plan(uow: UnitOfWork) -> Plan:
    """The plan of a tenant that nobody gave another: pay by use, without fee or minimum."""
    return repository.list_plans(uow).get(DEFAULT_PLAN.code, DEFAULT_PLAN)


def find_tenant_plan(uow: UnitOfWork, tenant_id: TenantId) -> TenantPlan:
    """The plan in force now; NotFound without the tenant."""
    tenancy.get_tenant(uow, tenant_id)
    plans = repository.list_plans(uow)
    begun = [
        (start, code) for start, code in repository.list_tenant_plans(uow, tenant_id) if start <= uow.now
    ]
    if not begun:
        return TenantPlan(tenant_id, default_plan(uow), Period.month_of(uow.now).start)
    start, code = begun[-1]
    return TenantPlan(tenant_id, plans[code], start)


def set_tenant_plan(
    uow: UnitOfWork, tenant_id: TenantId, code: str, *, valid_from: datetime | None, actor: str
) -> TenantPlan:
    """Give a tenant a plan; its first one may begin with the running month, later ones on a full hour to come.

    Errors: NotFound for an unknown tenant or plan, InvalidInput for an instant that may not be.
    """
    tenancy.get_tenant(uow, tenant_id)
    plan = repository.list_plans(uow).get(code)
    if plan is None:
        raise NotFound(f"There is no plan '{code}'.")
    had = repository.list_tenant_plans(uow, tenant_id)
    earliest = _next_hour(uow.now) if had else Period.month_of(uow.now).start
    begins = valid_from or earliest
    if begins < earliest or not is_full_hour(begins):
        problem = FieldProblem("valid_from", f"is a full hour from {earliest.isoformat()} on")
        raise InvalidInput("The plan cannot begin then.", fields=(problem,))
    if not repository.add_tenant_plan(uow, tenant_id, code, begins, actor):
        raise Conflict("Another plan begins at the same instant.")
    audit.record(
        uow, tenant_id=tenant_id, actor=actor, action="plan.assigned", target=str(tenant_id),
        detail={"plan": code, "valid_from": begins.isoformat()},
    )  # fmt: skip
    return TenantPlan(tenant_id, plan, begins)


def _next_hour(instant: datetime) -> datetime:
    return instant.replace(minute=0, second=0, microsecond=0) + HOUR


def grant_credit(
    uow: UnitOfWork,
    tenant_id: TenantId,
    *,
    kind: CreditKind,
    label: str,
    amount_minor: int,
    priority: int,
    effective_from: datetime | None,
    expires_at: datetime | None,
    actor: str,
    deposit_id: UUID | None = None,
) -> CreditGrant:
    """Give a tenant credit (platform transaction); InvalidInput for one that may not be given.

    PREPAID credit comes from a paid deposit invoice, once (`deposit_id`), and from nothing else.
    """
    tenancy.get_tenant(uow, tenant_id)
    grant = CreditGrant(
        id=CreditGrantId.new(),
        tenant_id=tenant_id,
        kind=kind,
        label=label,
        priority=priority,
        amount_minor=amount_minor,
        left_minor=amount_minor,
        currency="EUR",
        effective_from=effective_from or uow.now,
        expires_at=expires_at,
        created_at=uow.now,
        deposit_id=deposit_id,
    )
    check_grant(grant)
    repository.add_grant(uow, grant)
    audit.record(
        uow, tenant_id=tenant_id, actor=actor, action="credit.granted", target=str(grant.id),
        detail={"amount_minor": amount_minor, "kind": kind.value},
    )  # fmt: skip
    return grant


def list_grants(uow: UnitOfWork, tenant_id: TenantId) -> Sequence[CreditGrant]:
    """A tenant's credits with what is left of each; NotFound without the tenant."""
    tenancy.get_tenant(uow, tenant_id)
    return repository.list_grants(uow, tenant_id)


def _record(uow: UnitOfWork, actor: str, action: str, target: str) -> None:
    audit.record(uow, tenant_id=None, actor=actor, action=action, target=target)
