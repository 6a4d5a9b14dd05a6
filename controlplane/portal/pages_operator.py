"""The platform operator's pages: sites with their legal facts, pools, machines, tenants."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from controlplane.portal.i18n import N_
from controlplane.portal.ownership_rules import list_owners
from controlplane.portal.web import OperatorDep, SignedIn
from controlplane.sdk import ApiError, InvalidRequest

router = APIRouter(prefix="/operator")
# Legal facts that a page reads: an installation has some hundred.
FACTS_MAX = 2_000
INVOICES_SHOWN = 10
# Who these are nobody has confirmed.
UNAPPROVED = ("PENDING", "REFUSED")


@router.get("/datacenters")
def list_datacenters(visit: OperatorDep) -> Response:
    entities = _by_id(visit.api.legal_entities.list(limit=200))
    certificates = _facts(visit.api.certifications.list(limit=200))
    return visit.page(
        "operator_datacenters.html",
        datacenters=list(visit.api.datacenters.list()),
        entities=entities,
        certificates=certificates,
    )


@router.get("/datacenters/{code}")
def show_datacenter(visit: OperatorDep, code: str) -> Response:
    api = visit.api
    datacenter = api.datacenters.get(code)
    entities = _by_id(api.legal_entities.list(limit=200))
    holdings = _facts(api.holdings.list(limit=200))
    companies = dict.fromkeys((datacenter["operator_entity_id"], datacenter["owner_entity_id"]))
    return visit.page(
        "operator_datacenter.html",
        datacenter=datacenter,
        owners={company: list_owners(company, entities, holdings) for company in companies},
        certificates=[
            each
            for each in _facts(api.certifications.list(limit=200))
            if each["site_code"] == code or each["entity_id"] in companies
        ],
        pools=[each for each in api.node_pools.page(limit=200).items if each["datacenter"] == code],
    )


@router.get("/pools")
def list_pools(visit: OperatorDep) -> Response:
    return _pools_page(visit)


@router.post("/pools/{name}/scale")
def scale_pool(visit: OperatorDep, name: str) -> Response:
    text = visit.field("replicas")
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        return _pools_page(visit, wrong={name: N_("Write a whole number.")}, status=422)
    version = visit.field("version")
    try:
        visit.api.node_pools.scale(name, int(text), version=int(version) if version.isdigit() else None)
    except InvalidRequest as refused:
        sentence = refused.fields[0]["message"] if refused.fields else refused.message
        return _pools_page(visit, wrong={name: sentence}, status=422)
    return visit.go("/operator/pools", done="pool_scaled")


@router.get("/nodes")
def list_nodes(visit: OperatorDep) -> Response:
    pool = visit.request.query_params.get("pool", "").strip()
    page = visit.listed(visit.api.nodes, pool=pool or None)
    return visit.page("operator_nodes.html", nodes=page.items, next_cursor=page.next_cursor, pool=pool)


@router.get("/tenants")
def list_tenants(visit: OperatorDep) -> Response:
    page = visit.listed(visit.api.organizations)
    return visit.page("operator_tenants.html", tenants=page.items, next_cursor=page.next_cursor)


@router.get("/tenants/{organization_id}")
def show_tenant(visit: OperatorDep, organization_id: str) -> Response:
    return _tenant_page(visit, organization_id)


@router.post("/tenants/{organization_id}/suspend")
def suspend(visit: OperatorDep, organization_id: str) -> Response:
    reason = visit.field("reason")
    if not reason:
        return _tenant_page(visit, organization_id, wrong=N_("Fill in this field."), status=422)
    try:
        visit.api.organizations.suspend(organization_id, reason)
    except InvalidRequest as refused:
        return _tenant_page(visit, organization_id, wrong=refused.message, status=422)
    return visit.go(f"/operator/tenants/{organization_id}", done="tenant_suspended")


@router.post("/tenants/{organization_id}/approve")
def approve(visit: OperatorDep, organization_id: str) -> Response:
    """Approve what the page showed: the form carries the version."""
    version = visit.field("version")
    if not (version.isascii() and version.isdigit() and 0 < len(version) < 10):
        return _tenant_page(visit, organization_id, wrong=N_("Look at the organization again."), status=422)
    visit.api.organizations.approve(organization_id, version=int(version))
    return visit.go(f"/operator/tenants/{organization_id}", done="tenant_approved")


@router.post("/tenants/{organization_id}/refuse")
def refuse(visit: OperatorDep, organization_id: str) -> Response:
    reason = visit.field("reason")
    if not reason:
        return _tenant_page(visit, organization_id, wrong=N_("Fill in this field."), status=422)
    try:
        visit.api.organizations.refuse(organization_id, reason)
    except InvalidRequest as refused:
        return _tenant_page(visit, organization_id, wrong=refused.message, status=422)
    return visit.go(f"/operator/tenants/{organization_id}", done="tenant_refused")


@router.post("/tenants/{organization_id}/resume")
def resume(visit: OperatorDep, organization_id: str) -> Response:
    visit.api.organizations.resume(organization_id)
    return visit.go(f"/operator/tenants/{organization_id}", done="tenant_resumed")


def _pools_page(visit: SignedIn, wrong: dict[str, str] | None = None, status: int = 200) -> Response:
    page = visit.listed(visit.api.node_pools)
    return visit.page(
        "operator_pools.html",
        status=status,
        pools=page.items,
        next_cursor=page.next_cursor,
        wrong=wrong or {},
    )


def _tenant_page(visit: SignedIn, organization_id: str, wrong: str = "", status: int = 200) -> Response:
    api = visit.api
    invoices = api.platform_invoices.page(limit=INVOICES_SHOWN, organization_id=organization_id).items
    try:
        plan = api.organizations.plan(organization_id)["plan"]
    except ApiError as refused:
        if refused.status != 404:
            raise
        plan = None
    tenant = api.organizations.get(organization_id)
    return visit.page(
        "operator_tenant.html",
        status=status,
        tenant=tenant,
        alike=api.organizations.alike(organization_id) if tenant["status"] in UNAPPROVED else [],
        quotas=api.organizations.quotas(organization_id),
        plan=plan,
        invoices=invoices,
        wrong=wrong,
    )


def _facts(found: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    return list(islice(found, FACTS_MAX))


def _by_id(found: Iterator[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {each["id"]: each for each in _facts(found)}
