"""Queries across all tenants, for the platform's own work: each needs a system transaction."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Integer, delete, func, select, true, tuple_

from controlplane.deployments.domain import ENDED, LEAVING, RouteState, ServiceStatus
from controlplane.deployments.models import (
    ColdStartRow,
    DeploymentRow,
    ExplanationRow,
    InstanceRow,
    RegionalDeploymentRow,
    RoutingVersionRow,
    SecretRow,
    SecretVersionRow,
    ServiceRow,
)
from controlplane.deployments.offer_rules import Hold
from controlplane.kernel.ids import DeploymentId, NodePoolId, RegionalDeploymentId, ServiceId, TenantId
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

    `only_due`: those that time alone moves: draining routes, parts that cannot serve or are no longer admissible.
    """
    part = RegionalDeploymentRow
    is_timed = (
        (part.route_state == RouteState.DRAINING)
        | part.violated_at.is_not(None)
        | part.blocked_since.is_not(None)
    )
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


def list_unapplied_parts(
    uow: UnitOfWork, *, after: RegionalDeploymentId | None, limit: int
) -> Sequence[tuple[TenantId, RegionalDeploymentId]]:
    """Parts whose cell was not told their present wish, or which are leaving, in id order (system transaction)."""
    part = RegionalDeploymentRow
    query = (
        select(part.tenant_id, part.id)
        .where(part.terminated_at.is_(None))
        .where((part.applied_generation != part.generation) | part.status.in_(list(LEAVING)))
        .where(part.id > after if after is not None else true())
        .order_by(part.id)
        .limit(limit)
    )
    return [(tenant, part_id) for tenant, part_id in uow.session.execute(query)]


def list_forgettable(uow: UnitOfWork, *, kept: int, limit: int) -> Sequence[tuple[TenantId, DeploymentId]]:
    """Ended deployments beyond the newest `kept` of their service, of all tenants (system transaction).

    Never the one that has the traffic, nor the latest, nor one of which a cell may still hold something.
    """
    row, part = DeploymentRow, RegionalDeploymentRow
    rank = func.row_number().over(partition_by=(row.tenant_id, row.service_id), order_by=row.number.desc())
    ranked = select(row.tenant_id, row.id, row.service_id, row.status, rank.label("rank")).subquery()
    is_held = (
        select(part.id)
        .where(part.tenant_id == ranked.c.tenant_id, part.deployment_id == ranked.c.id)
        .where(part.terminated_at.is_(None) | (part.route_state != RouteState.NONE))
        .exists()
    )
    is_named = (
        select(ServiceRow.id)
        .where(ServiceRow.tenant_id == ranked.c.tenant_id, ServiceRow.id == ranked.c.service_id)
        .where(
            (ServiceRow.latest_deployment_id == ranked.c.id)
            | (ServiceRow.active_deployment_id == ranked.c.id)
        )
        .exists()
    )
    query = (
        select(ranked.c.tenant_id, ranked.c.id)
        .where(ranked.c.rank > kept, ranked.c.status.in_(list(ENDED)), ~is_held, ~is_named)
        .order_by(ranked.c.id)
        .limit(limit)
    )
    return [(tenant, deployment) for tenant, deployment in uow.session.execute(query)]


def forget_deployments(uow: UnitOfWork, found: Sequence[tuple[TenantId, DeploymentId]]) -> None:
    """Delete deployments with all that they became; their events stay (system transaction)."""
    keys = tuple(found)
    parts = select(RegionalDeploymentRow.tenant_id, RegionalDeploymentRow.id).where(
        tuple_(RegionalDeploymentRow.tenant_id, RegionalDeploymentRow.deployment_id).in_(keys)
    )
    for child in (ColdStartRow, InstanceRow):
        uow.session.execute(
            delete(child).where(tuple_(child.tenant_id, child.regional_deployment_id).in_(parts))
        )
    for owned in (RegionalDeploymentRow, ExplanationRow):
        uow.session.execute(delete(owned).where(tuple_(owned.tenant_id, owned.deployment_id).in_(keys)))
    uow.session.execute(
        delete(DeploymentRow).where(tuple_(DeploymentRow.tenant_id, DeploymentRow.id).in_(keys))
    )


def forget_secret_versions(uow: UnitOfWork) -> None:
    """Delete values that are neither present nor pinned by a deployment that is kept (system transaction)."""
    value, secret, user = SecretVersionRow, SecretRow, DeploymentRow
    pinned = (
        select(user.id)
        .where(user.tenant_id == secret.tenant_id, user.project_id == secret.project_id)
        .where(user.secret_versions[secret.name].astext.cast(Integer) == value.version)
        .exists()
    )
    uow.session.execute(
        delete(value).where(
            value.tenant_id == secret.tenant_id,
            value.secret_id == secret.id,
            value.version < secret.version,
            ~pinned,
        )
    )


def list_holds(uow: UnitOfWork) -> dict[NodePoolId, list[Hold]]:
    """For each pool every replica whose room is held in it, with the node it runs on, of all tenants."""
    part, instance = RegionalDeploymentRow, InstanceRow
    nodes: dict[tuple[TenantId, RegionalDeploymentId], list[str]] = {}
    running = select(instance.tenant_id, instance.regional_deployment_id, instance.node).where(
        instance.terminated_at.is_(None), instance.node != ""
    )
    for tenant, part_id, node in uow.session.execute(running):
        nodes.setdefault((tenant, part_id), []).append(node)
    sizes = select(
        part.tenant_id,
        part.id,
        part.pool_id,
        part.cpu_milli,
        part.memory_mib,
        part.gpus_per_replica,
        part.replicas_reserved,
    ).where(part.terminated_at.is_(None))
    holds: dict[NodePoolId, list[Hold]] = {}
    for tenant, part_id, pool, cpu, memory, gpus, reserved in uow.session.execute(sizes):
        found = nodes.get((tenant, part_id), [])
        placed = [*found, *[""] * max(0, reserved - len(found))]
        holds.setdefault(pool, []).extend(Hold(node, cpu, memory, gpus) for node in placed)
    return holds


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
