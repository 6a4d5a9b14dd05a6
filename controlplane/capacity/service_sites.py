"""Use cases of sites: registered, changed by dated facts, extended by cells, closed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from controlplane.audit import service as audit
from controlplane.capacity import repository
from controlplane.capacity.domain import Datacenter, PoolState, SiteRole
from controlplane.capacity.events import CapacityChanged, NodePoolChanged
from controlplane.capacity.models import CellRow, DatacenterRow, NodePoolRow, SiteRoleRow
from controlplane.capacity.site_rules import (
    Excess,
    Load,
    PoolDraw,
    Relief,
    SiteLimits,
    find_excess,
    find_refusal,
    measure,
    nodes_needed,
    plan_relief,
)
from controlplane.kernel.errors import Conflict, FieldProblem, InvalidInput, NotFound, QuotaExceeded
from controlplane.kernel.events import JsonValue
from controlplane.kernel.ids import CellId, DatacenterId, LegalEntityId, SiteRoleId
from controlplane.kernel.jurisdiction import Country
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.versions import check_version
from controlplane.sovereignty import service as sovereignty
from controlplane.sovereignty import service_facts
from controlplane.sovereignty.domain import SiteChange, SiteFacts

CELLS_MAX = 20


@dataclass(frozen=True, slots=True)
class SiteLoad:
    """What a site carries, by how much that is too much, and the plan that would end it."""

    load: Load
    excess: Excess
    plan: tuple[Relief, ...]


@dataclass(frozen=True, slots=True)
class SiteChanges:
    """What a change of a site states; None leaves a figure as it is.

    `operator` and `owner` hold from `effective_from` on, None: from now on; `evidence` says who states it, and where.
    """

    pue_milli: int | None = None
    power_kw: int | None = None
    rack_kw_max: int | None = None
    rack_count: int | None = None
    operator: LegalEntityId | None = None
    owner: LegalEntityId | None = None
    effective_from: datetime | None = None
    evidence: str = ""
    cells: tuple[str, ...] = ()


def create_datacenter(
    uow: UnitOfWork,
    *,
    actor: str,
    code: str,
    name: str,
    country: str,
    operator_entity_id: LegalEntityId,
    owner_entity_id: LegalEntityId,
    power_kw: int,
    rack_kw_max: int,
    pue_milli: int,
    cells: tuple[str, ...],
    rack_count: int | None = None,
) -> Datacenter:
    """Register a site with its cells.

    Errors: InvalidInput for an unknown country or legal entity, Conflict for a taken name.
    """
    try:
        Country(country)
    except ValueError as err:
        raise InvalidInput(f"{err}.", fields=(FieldProblem("country", f"{err}."),)) from err
    service_facts.require_legal_entity(uow, operator_entity_id, "operator_entity_id")
    service_facts.require_legal_entity(uow, owner_entity_id, "owner_entity_id")
    if repository.find_datacenter_row(uow, code) is not None:
        raise Conflict(f"A datacenter with the code '{code}' exists already.")
    row = DatacenterRow(
        id=DatacenterId.new(),
        code=code,
        name=name,
        country=country,
        power_kw=power_kw,
        rack_kw_max=rack_kw_max,
        rack_count=rack_count,
        pue_milli=pue_milli,
        created_at=uow.now,
        version=1,
    )
    uow.session.add(row)
    uow.session.flush()
    _add_cells(uow, row, cells)
    for role, entity_id in (("operator", operator_entity_id), ("owner", owner_entity_id)):
        _state_role(uow, row, role, entity_id, uow.now, "stated when the site was registered")
    _record(uow, actor, "datacenter.created", row, {"code": code})
    uow.emit(CapacityChanged(code))
    return get_datacenter(uow, code)


def update_datacenter(
    uow: UnitOfWork, code: str, *, actor: str, expected_version: int, changes: SiteChanges
) -> Datacenter:
    """Record what changed at a site; verdicts that read it are taken again.

    Less power or fewer racks are facts: they are recorded even where the site then draws too much, no new machine is
    started there (`read_load` has the plan). Operator and owner change from a stated instant on.
    Errors: NotFound, Conflict for a closed site or a taken cell name, InvalidInput for an unknown legal entity.
    """
    row = _lock(uow, code, expected_version)
    for field in ("pue_milli", "power_kw", "rack_kw_max", "rack_count"):
        value = getattr(changes, field)
        if value is not None:
            setattr(row, field, value)
    _add_cells(uow, row, changes.cells)
    since = changes.effective_from or uow.now
    if since < uow.now:
        raise InvalidInput(
            "A change of operator or owner cannot begin in the past.",
            fields=(FieldProblem("effective_from", "must be now or later"),),
        )
    for role, entity_id in (("operator", changes.operator), ("owner", changes.owner)):
        if entity_id is not None:
            service_facts.require_legal_entity(uow, entity_id, f"{role}_entity_id")
            _state_role(uow, row, role, entity_id, since, changes.evidence)
    row.version += 1
    uow.session.flush()
    _record(uow, actor, "datacenter.changed", row, _describe(row, changes))
    tell_pools(uow, row)
    uow.emit(CapacityChanged(code))
    changed = get_datacenter(uow, code)
    sovereignty.restate_site(uow, to_site(changed))
    return changed


def close_datacenter(uow: UnitOfWork, code: str, *, actor: str, expected_version: int) -> Datacenter:
    """Close a site for good: it stays on record and is offered to nobody. Conflict while it still has a node pool."""
    row = _lock(uow, code, expected_version)
    pools = [pool.name for pool in repository.list_pool_rows_of(uow, row.id)]
    if pools:
        raise Conflict(
            f"The datacenter '{code}' still has node pools ({', '.join(pools[:5])}); give them back first."
        )
    row.closed_at = uow.now
    row.version += 1
    uow.session.flush()
    _record(uow, actor, "datacenter.closed", row, {"code": code})
    uow.emit(CapacityChanged(code))
    return get_datacenter(uow, code)


def list_datacenters(uow: UnitOfWork, *, with_closed: bool = True) -> list[Datacenter]:
    return [d for d in repository.list_datacenters(uow) if with_closed or d.closed_at is None]


def get_datacenter(uow: UnitOfWork, code: str) -> Datacenter:
    for datacenter in repository.list_datacenters(uow):
        if datacenter.code == code:
            return datacenter
    raise NotFound(f"There is no datacenter with the code '{code}'.")


def list_roles(uow: UnitOfWork, code: str) -> list[SiteRole]:
    """Who ran and owned a site, and who will, in the order of time."""
    site = get_datacenter(uow, code)
    return repository.list_roles(uow).get(site.id, [])


def read_load(uow: UnitOfWork, code: str) -> SiteLoad:
    """What a site carries now, and where that is too much, a plan to end it."""
    row = repository.find_datacenter_row(uow, code)
    if row is None:
        raise NotFound(f"There is no datacenter with the code '{code}'.")
    limits = limits_of(row)
    rows = repository.list_pool_rows_of(uow, row.id)
    draws = [draw_of(pool) for pool in rows]
    excess = find_excess(limits, draws)
    in_use = {
        pool.name: nodes_needed(repository.size_of(pool), repository.list_held(uow, pool.id)) for pool in rows
    }
    plan = plan_relief(limits, draws, in_use) if excess.is_any else ()
    return SiteLoad(measure(limits, draws), excess, plan)


def to_site(datacenter: Datacenter) -> SiteFacts:
    """What sovereignty is told of a site: its operator and owner now, and those that are announced."""
    ahead = sorted({role.valid_from for role in datacenter.roles})
    return SiteFacts(
        code=datacenter.code,
        country=Country(datacenter.country),
        operator_entity_id=datacenter.operator_entity_id,
        owner_entity_id=datacenter.owner_entity_id,
        pue_milli=datacenter.pue_milli,
        changes=tuple(
            SiteChange(
                at=at,
                operator_entity_id=repository.holder_at(datacenter.roles, "operator", at),
                owner_entity_id=repository.holder_at(datacenter.roles, "owner", at),
            )
            for at in ahead
        ),
        fact_ids=tuple(str(role.id) for role in datacenter.roles),
    )


def limits_of(row: DatacenterRow) -> SiteLimits:
    return SiteLimits(row.power_kw, row.pue_milli, row.rack_kw_max, row.rack_count)


def draw_of(row: NodePoolRow) -> PoolDraw:
    wanted = 0 if row.state == PoolState.DELETING else row.replicas
    return PoolDraw(row.name, wanted, row.nodes_there, row.watts_per_node, row.nodes_seen)


def require_load(uow: UnitOfWork, site: DatacenterRow, changed: PoolDraw) -> None:
    """Refuse a wish for one pool that the site cannot carry. Errors: QuotaExceeded, Conflict for a closed site."""
    if site.closed_at is not None and changed.wanted:
        raise Conflict(f"The datacenter '{site.code}' is closed: it takes no machines.")
    before = [draw_of(pool) for pool in repository.list_pool_rows_of(uow, site.id)]
    after = [pool for pool in before if pool.name != changed.name]
    after.append(changed)
    refusal = find_refusal(site.code, limits_of(site), before, after)
    if refusal is not None:
        raise QuotaExceeded(refusal)


def is_overcommitted(uow: UnitOfWork, code: str) -> bool:
    """Whether a site draws, or would draw with all that is wanted there, more than it has."""
    row = repository.find_datacenter_row(uow, code)
    if row is None:
        return False
    return find_excess(limits_of(row), [draw_of(p) for p in repository.list_pool_rows_of(uow, row.id)]).is_any


def tell_pools(uow: UnitOfWork, site: DatacenterRow) -> None:
    """Let the site's pools be applied again: how many machines may start has changed."""
    for pool in repository.list_pool_rows_of(uow, site.id):
        uow.emit(NodePoolChanged(pool.name))


def _lock(uow: UnitOfWork, code: str, expected_version: int) -> DatacenterRow:
    row = repository.find_datacenter_row(uow, code, is_locked=True)
    if row is None:
        raise NotFound(f"There is no datacenter with the code '{code}'.")
    check_version(row.version, expected_version)
    if row.closed_at is not None:
        raise Conflict(f"The datacenter '{code}' is closed; it can no longer be changed.")
    return row


def _add_cells(uow: UnitOfWork, site: DatacenterRow, names: Sequence[str]) -> None:
    have = repository.count_cells(uow, site.id)
    if have + len(names) > CELLS_MAX:
        raise InvalidInput(
            f"A datacenter has at most {CELLS_MAX} cells.",
            fields=(FieldProblem("cells", f"at most {CELLS_MAX} in all"),),
        )
    for name in names:
        if repository.find_cell_row(uow, name) is not None:
            raise Conflict(f"A cell with the name '{name}' exists already.")
        uow.session.add(CellRow(id=CellId.new(), datacenter_id=site.id, name=name))
        uow.session.flush()


def _state_role(
    uow: UnitOfWork, site: DatacenterRow, role: str, entity_id: LegalEntityId, since: datetime, evidence: str
) -> None:
    uow.session.add(
        SiteRoleRow(
            id=SiteRoleId.new(),
            datacenter_id=site.id,
            role=role,
            entity_id=entity_id,
            valid_from=since,
            evidence=evidence,
            recorded_at=uow.now,
        )
    )
    uow.session.flush()


def _describe(row: DatacenterRow, changes: SiteChanges) -> dict[str, JsonValue]:
    return {
        "pue_milli": row.pue_milli,
        "power_kw": row.power_kw,
        "rack_kw_max": row.rack_kw_max,
        "rack_count": row.rack_count,
        "operator": None if changes.operator is None else str(changes.operator),
        "owner": None if changes.owner is None else str(changes.owner),
        "effective_from": None if changes.effective_from is None else changes.effective_from.isoformat(),
        "cells": [*changes.cells],
    }


def _record(
    uow: UnitOfWork, actor: str, action: str, row: DatacenterRow, detail: Mapping[str, JsonValue]
) -> None:
    audit.record(uow, tenant_id=None, actor=actor, action=action, target=str(row.id), detail=detail)
