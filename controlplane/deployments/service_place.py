"""Find a place for a deployment, hold its capacity, and say why; judge the places it has by the law of now.

Both run under the service's lock, in a system transaction made for its tenant, and reach nothing outside.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select

from controlplane.capacity import service as capacity
from controlplane.capacity.domain import PoolOffer
from controlplane.catalogue import service as catalogue
from controlplane.catalogue.domain import InstanceType
from controlplane.deployments import repository_fleet
from controlplane.deployments.convergence_rules import is_stuck, list_left_pools
from controlplane.deployments.definition_rules import load_plan
from controlplane.deployments.domain import LIVE, Definition, RegionalDeployment, RouteState, RunStatus
from controlplane.deployments.events import RegionalDeploymentPlaced, RoutingChanged
from controlplane.deployments.models import DeploymentRow, ExplanationRow, RegionalDeploymentRow, ServiceRow
from controlplane.deployments.offer_rules import Hold, to_candidate
from controlplane.deployments.service_narrate import narrate
from controlplane.deployments.service_verdicts import warn_of_end
from controlplane.kernel.errors import NotFound
from controlplane.kernel.ids import DecisionId, LegalEntityId, NodePoolId, RegionalDeploymentId
from controlplane.placement.decide_rules import decide
from controlplane.placement.domain import Decision, Demand, Snapshot
from controlplane.placement.schemas import from_explanation
from controlplane.placement.tenant_rules import for_tenant
from controlplane.plumbing.database import UnitOfWork
from controlplane.sovereignty import service as sovereignty
from controlplane.sovereignty import service_facts
from controlplane.sovereignty.domain import Requirement, SiteFacts, Verdict
from controlplane.sovereignty.requirement_rules import (
    find_licence_refusal,
    hash_requirement,
    load_requirement,
)

# Somebody else may take the room between looking and holding: looked at again, then left to the next run.
PLACE_ROUNDS_MAX = 3
REASON_LENGTH_MAX = 1_000


def place(
    uow: UnitOfWork, service: ServiceRow, deployment: DeploymentRow, parts: Sequence[RegionalDeployment]
) -> bool:
    """Place a deployment if anything fits, and keep the explanation either way; return whether it was placed.

    A part that is on its place and stuck there stays while no other place has room; pools that could not run the
    service a moment ago are taken only when there is none besides and nothing is running.
    """
    plan = load_plan(deployment.plan)
    left = list_left_pools(parts, uow.now)
    is_moving = any(p.is_live and p.deployment_id == deployment.id and p.verdict.is_admissible for p in parts)
    requirement = load_requirement(plan.sovereignty)
    replicas = max(1, plan.replicas_min if service.scale_min is None else service.scale_min)
    for _ in range(PLACE_ROUNDS_MAX):
        every = capacity.list_offers(uow)
        offers = [offer for offer in every if offer.pool_id not in left] or ([] if is_moving else every)
        sites = list({offer.site.code: offer.site for offer in offers}.values())
        verdicts = sovereignty.evaluate(uow, sites, requirement, uow.now)
        holds = repository_fleet.list_holds(uow)
        size, decision = _decide(uow, deployment, plan, requirement, replicas, offers, verdicts, holds)
        if decision.chosen is None and left and not is_moving:
            offers, left = every, frozenset()
            sites = list({offer.site.code: offer.site for offer in offers}.values())
            verdicts = sovereignty.evaluate(uow, sites, requirement, uow.now)
            size, decision = _decide(uow, deployment, plan, requirement, replicas, offers, verdicts, holds)
        if decision.chosen is None and is_moving:
            return False
        if decision.chosen is None:
            sovereignty.keep_verdicts(uow, sites, requirement, verdicts)
            _keep_explanation(uow, service, deployment, decision)
            return False
        offer = next(each for each in offers if str(each.pool_id) == decision.chosen.pool_id)
        part_id = RegionalDeploymentId.new()
        is_held = capacity.reserve(
            uow,
            offer.pool_id,
            part_id,
            replicas=replicas,
            gpus_per_replica=size.gpus,
            cpu_milli=size.cpu_milli,
            memory_mib=size.memory_mib,
        )
        if is_held:
            sovereignty.keep_verdicts(uow, sites, requirement, verdicts)
            _keep_explanation(uow, service, deployment, decision)
            deployment.messages = []
            verdict = verdicts[offer.datacenter_code]
            _add_part(uow, service, deployment, plan, part_id, offer, size, verdict, replicas, parts)
            return True
    return False


def reassess(
    uow: UnitOfWork,
    service: ServiceRow,
    deployments: Sequence[DeploymentRow],
    parts: Sequence[RegionalDeploymentRow],
) -> None:
    """Judge every live part again, each by the requirement that its own deployment stands under."""
    live = [row for row in parts if RunStatus(row.status) in LIVE]
    if not live:
        return
    plans = {row.id: load_plan(row.plan) for row in deployments}
    sites = {site.code: site for site in capacity.list_sites(uow)}
    for row in live:
        plan = plans.get(row.deployment_id)
        if plan is None:
            continue
        requirement = load_requirement(plan.sovereignty)
        site = sites.get(row.datacenter)
        verdict = None if site is None else sovereignty.evaluate(uow, [site], requirement, uow.now)[site.code]
        _take_verdict(uow, service, row, verdict)
        if verdict is not None and verdict.is_admissible:
            warn_of_end(uow, service, row, verdict.policy_hash)


def _decide(
    uow: UnitOfWork,
    deployment: DeploymentRow,
    plan: Definition,
    requirement: Requirement,
    replicas: int,
    offers: Sequence[PoolOffer],
    verdicts: Mapping[str, Verdict],
    holds: Mapping[NodePoolId, Sequence[Hold]],
) -> tuple[InstanceType, Decision]:
    """Try the sizes in the tenant's order: the first that fits somewhere, else the findings of the first."""
    model = catalogue.get_model(uow, plan.model)
    tried: list[tuple[InstanceType, Decision]] = []
    for name in plan.instance_types:
        size = catalogue.get_instance_type(uow, name)
        demand = Demand(
            id=str(deployment.id),
            replicas=replicas,
            cpu_milli=size.cpu_milli,
            memory_mib=size.memory_mib,
            verdicts=verdicts,
            policy_hash=hash_requirement(requirement),
            gpus=size.gpus,
            gpu_sku=size.gpu_sku,
            datacenters=frozenset(plan.regions),
            licence_refusal=find_licence_refusal(requirement, model.name, model.licence_colour),
            is_simulated_allowed=plan.is_simulated_allowed,
        )
        # Weights that nothing can check are served nowhere: only simulated capacity, which loads none, takes them.
        usable = [offer for offer in offers if model.is_verifiable or offer.is_simulated]
        candidates = tuple(
            to_candidate(offer, holds.get(offer.pool_id, ()), size.price_per_hour_micro) for offer in usable
        )
        tried.append((size, decide(demand, Snapshot(uow.now, candidates))))
        if tried[-1][1].chosen is not None:
            return tried[-1]
    return tried[0]


def _add_part(
    uow: UnitOfWork,
    service: ServiceRow,
    deployment: DeploymentRow,
    plan: Definition,
    part_id: RegionalDeploymentId,
    offer: PoolOffer,
    size: InstanceType,
    verdict: Verdict,
    replicas: int,
    parts: Sequence[RegionalDeployment],
) -> None:
    live = [part for part in parts if part.is_live]
    stuck = (part for part in live if part.deployment_id == deployment.id and is_stuck(part, uow.now))
    replaced = next((part for part in live if part.route_state is RouteState.ACTIVE), next(stuck, None))
    row = RegionalDeploymentRow(
        tenant_id=service.tenant_id,
        id=part_id,
        project_id=service.project_id,
        app_id=service.app_id,
        service_id=service.id,
        deployment_id=deployment.id,
        service_name=service.name,
        object_name=f"{service.name}-{part_id.suffix[-8:]}",
        status=RunStatus.PROVISIONING,
        messages=[],
        route_state=RouteState.NONE,
        pool_id=offer.pool_id,
        pool_name=offer.pool_name,
        datacenter=offer.datacenter_code,
        country=offer.country,
        cell=offer.cell_name,
        operator=_name_operator(uow, offer.site),
        instance_type=size.name,
        accelerator_sku=size.gpu_sku,
        gpus_per_replica=size.gpus,
        cpu_milli=size.cpu_milli,
        memory_mib=size.memory_mib,
        is_simulated=offer.is_simulated,
        **_verdict_columns(verdict),
        replicas_min=plan.replicas_min if service.scale_min is None else service.scale_min,
        replicas_max=plan.replicas_max if service.scale_max is None else service.scale_max,
        replicas_reserved=replicas,
        blocked_since=uow.now,
        generation=1,
        replaces_id=None if replaced is None else replaced.id,
        created_at=uow.now,
        updated_at=uow.now,
    )
    uow.session.add(row)
    _narrate_placed(uow, service, row, replaced)
    uow.emit(RegionalDeploymentPlaced(row.tenant_id, row.id))


def _verdict_columns(verdict: Verdict) -> dict[str, Any]:
    """What a new part stands on: placement chose it, so nothing speaks against it."""
    assert verdict.is_admissible
    return {
        "is_admissible": True,
        "policy_hash": verdict.policy_hash,
        "verdict_reason": "",
        "verdict_decided_at": verdict.decided_at,
    }


def _narrate_placed(
    uow: UnitOfWork, service: ServiceRow, row: RegionalDeploymentRow, replaced: RegionalDeployment | None
) -> None:
    where = f"{row.datacenter} ({row.country})"
    if (
        replaced is not None
        and replaced.deployment_id == row.deployment_id
        and replaced.verdict.is_admissible
    ):
        why = " ".join(replaced.messages) or "it could not serve there"
        message = f"Moving from {replaced.placement.datacenter} to {where}: {why}"
        kind, reason = "MOVE_STARTED", "Blocked"
    elif replaced is not None and not replaced.verdict.is_admissible:
        message = f"Moving from {replaced.placement.datacenter} to {where}: {replaced.verdict.reason}"
        kind, reason = "MOVE_STARTED", "VerdictLost"
    else:
        kind, reason, message = "PLACED", "Admissible", f"Placed in {where}."
    narrate(uow, service, kind, message, reason=reason, deployment_id=row.deployment_id, part_id=row.id)


def _name_operator(uow: UnitOfWork, site: SiteFacts) -> str:
    """The legal name of who runs the site, as responses state it."""
    entity_id: LegalEntityId | None = site.operator_entity_id
    if entity_id is None:
        return "unknown"
    try:
        return service_facts.get_legal_entity(uow, entity_id).value.name
    except NotFound:
        return "unknown"


def _take_verdict(
    uow: UnitOfWork, service: ServiceRow, row: RegionalDeploymentRow, verdict: Verdict | None
) -> None:
    """Put a verdict on a part; a place that nobody states facts about is not admissible."""
    is_admissible = verdict is not None and verdict.is_admissible
    reason = (
        "The datacenter is no longer known."
        if verdict is None
        else " ".join(r.text.en for r in verdict.reasons)
    )
    reason = reason[:REASON_LENGTH_MAX]
    if is_admissible == row.is_admissible and reason == row.verdict_reason:
        return
    was_admissible = row.is_admissible
    row.is_admissible, row.verdict_reason, row.verdict_decided_at = is_admissible, reason, uow.now
    row.updated_at = uow.now
    if is_admissible:
        row.violated_at = row.refused_at = None
    elif row.violated_at is None:
        row.violated_at = uow.now
    if was_admissible != is_admissible:
        kind = "VERDICT_RECOVERED" if is_admissible else "VERDICT_LOST"
        message = f"{row.datacenter} is admissible again." if is_admissible else f"{row.datacenter}: {reason}"
        word = "Admissible" if is_admissible else "NotAdmissible"
        narrate(uow, service, kind, message, reason=word, deployment_id=row.deployment_id, part_id=row.id)
    uow.emit(RoutingChanged(row.tenant_id, row.service_id))


def _keep_explanation(
    uow: UnitOfWork, service: ServiceRow, deployment: DeploymentRow, decision: Decision
) -> None:
    """Keep what was found; the same findings as last time only confirm the kept ones."""
    is_placed = decision.chosen is not None
    found = from_explanation(decision.explanation)
    document = found.model_dump(mode="json")
    fingerprint = _fingerprint(document)
    latest = uow.session.scalars(
        select(ExplanationRow)
        .where(ExplanationRow.tenant_id == service.tenant_id, ExplanationRow.service_id == service.id)
        .order_by(ExplanationRow.id.desc())
        .limit(1)
    ).one_or_none()
    is_repeated = (
        latest is not None and latest.deployment_id == deployment.id and latest.fingerprint == fingerprint
    )
    if is_repeated and not is_placed:
        assert latest is not None
        latest.confirmed_at = uow.now
        return
    uow.session.add(
        ExplanationRow(
            tenant_id=service.tenant_id,
            id=DecisionId.new(),
            service_id=service.id,
            deployment_id=deployment.id,
            is_placed=is_placed,
            fingerprint=fingerprint,
            explanation=document,
            decided_at=uow.now,
            confirmed_at=uow.now,
        )
    )
    if not is_placed:
        summary = for_tenant(found).summary.en
        deployment.messages = [summary]
        narrate(uow, service, "PLACEMENT_PENDING", summary, reason="NoCandidate", deployment_id=deployment.id)


def _fingerprint(document: Mapping[str, Any]) -> str:
    findings = {name: value for name, value in document.items() if name != "decided_at"}
    return hashlib.sha256(json.dumps(findings, sort_keys=True).encode()).hexdigest()
