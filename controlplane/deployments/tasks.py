"""Background work of deployments: converge services, tell cells, publish routes. All of it is safe to repeat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import structlog
from sqlalchemy.exc import DBAPIError

from controlplane.deployments import repository, repository_fleet
from controlplane.deployments.service_apply import (
    CannotBuild,
    read_wish,
    record_applied,
    record_gone,
    record_refused,
)
from controlplane.deployments.service_converge import converge
from controlplane.deployments.service_route import read_snapshot
from controlplane.deployments.service_services import pause
from controlplane.deployments.sweep import Sweep
from controlplane.deployments.write_budget_rules import DEPLOYMENTS_KEPT
from controlplane.kernel.errors import RempartError, Unavailable
from controlplane.kernel.ids import Id, RegionalDeploymentId, ServiceId, TenantId
from controlplane.plumbing.cluster import ClusterRefused
from controlplane.plumbing.consumers import Consumer, Event
from controlplane.plumbing.context import Context
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.redis import ROUTING_KEY, publish_snapshot
from controlplane.plumbing.schedule import Tick
from controlplane.sovereignty import service as sovereignty
from controlplane.tenancy import service as tenancy
from controlplane.tenancy.domain import TenantStatus

log = structlog.get_logger()
I = TypeVar("I", bound=Id)  # noqa: E741 - the type variable of an Id

# Routes and draining follow the gateway's contract: every key is re-asserted at least every 5 s.
ROUTE = Tick("deployments.route", 5)
ADVANCE = Tick("deployments.advance", 5)
APPLY = Tick("deployments.apply", 30)
SWEEP = Tick("deployments.sweep", 60)
# Between the hourly sweeps of kept verdicts, each of which counts as a new decision.
FORGET = Tick("deployments.forget_policies", 1_800)
PRUNE = Tick("deployments.prune", 600)
TICKS = (ROUTE, ADVANCE, APPLY, SWEEP, FORGET, PRUNE)

# Who stops what an organization runs that was turned away.
PLATFORM_ACTOR = "platform"
SERVICES_PAGE = 200
# A worker's limit is 60 s: what a sweep does not reach, the next one does (`Sweep`).
SERVICES_MAX = 2_000
PARTS_MAX = 200
_SERVICES: dict[bool, Sweep[ServiceId, tuple[TenantId, ServiceId]]] = {
    only_due: Sweep(lambda item: item[1], page=SERVICES_PAGE, most=SERVICES_MAX) for only_due in (False, True)
}
_PARTS: Sweep[RegionalDeploymentId, tuple[TenantId, RegionalDeploymentId]] = Sweep(
    lambda item: item[1], page=PARTS_MAX, most=PARTS_MAX
)
DEPLOYMENTS_FORGOTTEN_MAX = 2_000
# A wish that changes while a cell is told is told again at once, but not for ever.
TELL_ROUNDS_MAX = 3


def forget_policies(uow: UnitOfWork, event: Event) -> None:
    """Let go of kept verdicts by which nothing stands any more."""
    del event
    sovereignty.forget_verdicts(uow, repository_fleet.list_policies_relied_on(uow))


def prune(uow: UnitOfWork, event: Event) -> None:
    """Forget deployments that nobody will go back to, and values of secrets that nothing pins.

    What is beyond the bound of one run stays for the next: each run deletes what it found, so none is passed over.
    """
    del event
    found = repository_fleet.list_forgettable(uow, kept=DEPLOYMENTS_KEPT, limit=DEPLOYMENTS_FORGOTTEN_MAX)
    if found:
        repository_fleet.forget_deployments(uow, found)
    repository_fleet.forget_secret_versions(uow)


def consumers(context: Context) -> tuple[Consumer, ...]:
    """The room's consumers, with the doors of this process."""
    return (
        Consumer(
            "deployments.converge",
            frozenset({"deployment.created", "service.changed"}),
            effect=lambda event: _converge_one(context, event),
        ),
        Consumer(
            "deployments.stop_refused",
            frozenset({"tenant.refused"}),
            effect=lambda event: stop_refused(context, _tenant(event)),
        ),
        Consumer("deployments.prune", frozenset({PRUNE.topic}), transactional=prune),
        Consumer("deployments.forget_policies", frozenset({FORGET.topic}), transactional=forget_policies),
        Consumer(
            "deployments.sweep",
            frozenset({"capacity.changed", "verdicts.changed", SWEEP.topic}),
            effect=lambda _: _converge_all(context, only_due=False),
        ),
        Consumer(
            "deployments.advance",
            frozenset({ADVANCE.topic}),
            effect=lambda _: _converge_all(context, only_due=True),
        ),
        Consumer(
            "deployments.apply",
            frozenset({"regional_deployment.placed", "regional_deployment.changed"}),
            effect=lambda event: tell_cell(
                context, _tenant(event), RegionalDeploymentId.parse(event.payload["regional_deployment_id"])
            ),
        ),
        Consumer("deployments.apply_all", frozenset({APPLY.topic}), effect=lambda _: _tell_all(context)),
        Consumer(
            "deployments.route",
            frozenset({"routing.changed", ROUTE.topic}),
            effect=lambda _: publish_routes(context),
        ),
    )


def _tenant(event: Event) -> TenantId:
    assert event.tenant_id is not None
    return event.tenant_id


def stop_refused(context: Context, tenant_id: TenantId) -> None:
    """Stop what an organization runs that was turned away; each service in a transaction of its own."""
    with context.database.system(tenant_id, is_read_only=True) as uow:
        if tenancy.get_tenant(uow, tenant_id).status is not TenantStatus.REFUSED:
            return
        running = repository.list_running_ids(uow, tenant_id)
    for service_id in running:
        with context.database.system(tenant_id) as uow:
            pause(uow, service_id, actor=PLATFORM_ACTOR, bound=None)


def _converge_one(context: Context, event: Event) -> None:
    tenant_id = _tenant(event)
    with context.database.system(tenant_id) as uow:
        converge(uow, tenant_id, ServiceId.parse(event.payload["service_id"]), is_reassessing=False)


def _converge_all(context: Context, *, only_due: bool) -> None:
    """Converge each service in a transaction of its own: one that fails keeps no other waiting."""

    def read(after: ServiceId | None, limit: int) -> Sequence[tuple[TenantId, ServiceId]]:
        with context.database.system(is_read_only=True) as uow:
            return repository_fleet.list_services_to_converge(
                uow, after=after, limit=limit, only_due=only_due
            )

    _SERVICES[only_due].run(read, lambda item: _guarded(_reassess_one, context, *item))


def _reassess_one(context: Context, tenant_id: TenantId, service_id: ServiceId) -> None:
    with context.database.system(tenant_id) as uow:
        converge(uow, tenant_id, service_id, is_reassessing=True)


def tell_cell(context: Context, tenant_id: TenantId, part_id: RegionalDeploymentId) -> None:
    """Make a part's cell hold what its row says: read, tell without a transaction, record; again if it changed."""
    for _ in range(TELL_ROUNDS_MAX):
        try:
            with context.database.system(tenant_id, is_read_only=True) as uow:
                wish = read_wish(uow, context.settings.sealing_ring, part_id)
        except CannotBuild as cannot:
            with context.database.system(tenant_id) as uow:
                record_refused(uow, cannot.part, cannot.message)
            continue
        if wish is None:
            return
        part = wish.part
        if not wish.manifests:
            _take_down(context, tenant_id, part_id, part.namespace, part.object_name)
            return
        generation = 0
        try:
            for manifest in wish.manifests:
                generation = int(context.clusters.apply(manifest)["metadata"].get("generation") or 0)
        except ClusterRefused as refused:
            with context.database.system(tenant_id) as uow:
                record_refused(uow, part, refused.message)
            continue
        with context.database.system(tenant_id) as uow:
            if record_applied(uow, part, generation):
                return
    raise Unavailable(f"What {part_id} should be keeps changing; its cell is told again.")


def _take_down(
    context: Context, tenant_id: TenantId, part_id: RegionalDeploymentId, namespace: str, name: str
) -> None:
    context.clusters.delete("InferenceDeployment", namespace, name)
    context.clusters.delete("Secret", namespace, f"{name}-env")
    # The object stays until its operator has drained the replicas: the watcher tells when it is gone.
    if context.clusters.find("InferenceDeployment", namespace, name) is None:
        with context.database.system(tenant_id) as uow:
            record_gone(uow, part_id)


def _tell_all(context: Context) -> None:
    def read(
        after: RegionalDeploymentId | None, limit: int
    ) -> Sequence[tuple[TenantId, RegionalDeploymentId]]:
        with context.database.system(is_read_only=True) as uow:
            return repository_fleet.list_unapplied_parts(uow, after=after, limit=limit)

    _PARTS.run(read, lambda item: _guarded(tell_cell, context, *item))


def publish_routes(context: Context) -> None:
    """Publish the routing snapshot unless a newer one is already there."""
    with context.database.system() as uow:
        snapshot = read_snapshot(uow)
    publish_snapshot(context.redis, ROUTING_KEY, snapshot)


def _guarded(
    act: Callable[[Context, TenantId, I], None], context: Context, tenant_id: TenantId, item: I
) -> None:
    """Run one item of a sweep; its failure is logged and the next sweep tries again."""
    try:
        act(context, tenant_id, item)
    except (RempartError, ClusterRefused, DBAPIError) as err:
        log.warning("sweep_item_failed", item=str(item), error=repr(err)[:300])
