"""Queries across all tenants, for the platform's own work: each needs a system transaction."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select

from controlplane.deployments.domain import LEAVING, RouteState, ServiceStatus
from controlplane.deployments.models import (
    DeploymentRow,
    RegionalDeploymentRow,
    RoutingVersionRow,
    ServiceRow,
)
from controlplane.kernel.ids import RegionalDeploymentId, ServiceId, TenantId
from controlplane.plumbing.database import UnitOfWork


def list_open_part_rows(uow: UnitOfWork) -> Sequence[RegionalDeploymentRow]:
    """Every part that some cell may hold, of all tenants (system transaction)."""
    return uow.session.scalars(
        select(RegionalDeploymentRow)
        .where(RegionalDeploymentRow.terminated_at.is_(None))
        .order_by(RegionalDeploymentRow.id)
    ).all()


def list_policies_relied_on(uow: UnitOfWork) -> Sequence[str]:
    """Hashes of the requirements by which parts stand where they stand, of all tenants (system transaction).

    A deployment that waits has none here: each look for a place keeps its verdicts anew.
    """
    part = RegionalDeploymentRow
    return uow.session.scalars(select(part.policy_hash).where(part.terminated_at.is_(None)).distinct()).all()


def list_services_to_converge(
    uow: UnitOfWork, *, after: ServiceId | None, limit: int, only_due: bool
) -> Sequence[tuple[TenantId, ServiceId]]:
    """Services of all tenants whose rows may need a step, in id order (system transaction).

    `only_due`: those that time alone moves: draining routes, places that stopped being admissible.
    """
    part = RegionalDeploymentRow
    is_timed = (part.route_state == RouteState.DRAINING) | part.violated_at.is_not(None)
    has_part = (
        select(part.id)
        .where(part.tenant_id == ServiceRow.tenant_id, part.service_id == ServiceRow.id)
        .where(part.terminated_at.is_(None), *([is_timed] if only_due else []))
        .exists()
    )
    query = select(ServiceRow.tenant_id, ServiceRow.id).where(ServiceRow.status != ServiceStatus.DELETED)
    query = (
        query.where(has_part)
        if only_due
        else query.where(has_part | (ServiceRow.status != ServiceStatus.PAUSED))
    )
    if after is not None:
        query = query.where(ServiceRow.id > after)
    return [
        (tenant, service)
        for tenant, service in uow.session.execute(query.order_by(ServiceRow.id).limit(limit))
    ]


def list_unapplied_parts(uow: UnitOfWork, *, limit: int) -> Sequence[tuple[TenantId, RegionalDeploymentId]]:
    """Parts whose cell was not told their present wish, or which are leaving (system transaction)."""
    part = RegionalDeploymentRow
    query = (
        select(part.tenant_id, part.id)
        .where(part.terminated_at.is_(None))
        .where((part.applied_generation != part.generation) | part.status.in_(list(LEAVING)))
        .order_by(part.id)
        .limit(limit)
    )
    return [(tenant, part_id) for tenant, part_id in uow.session.execute(query)]


def list_routed(uow: UnitOfWork) -> Sequence[tuple[ServiceRow, RegionalDeploymentRow, DeploymentRow]]:
    """Every part that has a route, of all tenants (system transaction)."""
    part = RegionalDeploymentRow
    query = (
        select(ServiceRow, part, DeploymentRow)
        .join(part, (part.tenant_id == ServiceRow.tenant_id) & (part.service_id == ServiceRow.id))
        .join(
            DeploymentRow,
            (DeploymentRow.tenant_id == part.tenant_id) & (DeploymentRow.id == part.deployment_id),
        )
        .where(part.route_state != RouteState.NONE)
        .order_by(part.id)
    )
    return [(service, routed, deployment) for service, routed, deployment in uow.session.execute(query)]


def next_routing_version(uow: UnitOfWork) -> int:
    """Take the number of a new routing snapshot; the lock makes the order of numbers the order of what was read.

    At least the time in milliseconds: a database that was made anew goes on above what a gateway has seen.
    """
    row = uow.session.scalars(select(RoutingVersionRow).with_for_update()).one()
    clock = func.extract("epoch", func.clock_timestamp()) * 1000
    wall_ms = int(uow.session.execute(select(clock)).scalar_one())
    row.version = max(row.version + 1, wall_ms)
    uow.session.flush()
    return row.version
