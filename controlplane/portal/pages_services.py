"""Looking at services: the list, one service, and what of it changes while it is looked at."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from controlplane.portal.placement_rules import sort_assessments
from controlplane.portal.sentence_rules import known_sentences
from controlplane.portal.web import SignedIn, TenantDep
from controlplane.sdk import NotFound

router = APIRouter()
EVENTS_SHOWN = 15
INSTANCES_SHOWN = 50
PARTS_SHOWN = 20
DEPLOYMENTS_SHOWN = 10
LOG_LINES = 40
APPS_SHOWN = 200
# While something is under way a page asks again soon, else now and then.
REFRESH_BUSY_SECONDS = 2
REFRESH_CALM_SECONDS = 10
_SETTLED = frozenset({"HEALTHY", "SLEEPING", "PAUSED", "DELETED", "DEGRADED", "UNHEALTHY"})
_SEEN_LENGTH = 16


@router.get("/services")
def list_services(visit: TenantDep) -> Response:
    project = visit.chosen_project()
    page = visit.listed(visit.api.services, project_id=project)
    found = visit.api.apps.page(limit=APPS_SHOWN, project_id=project).items
    return visit.page(
        "services.html",
        services=page.items,
        next_cursor=page.next_cursor,
        apps={app["id"]: app["name"] for app in found},
        **visit.project_choice(),
    )


@router.get("/services/{service_id}")
def show_service(visit: TenantDep, service_id: str) -> Response:
    found = _read_explanation(visit, service_id)
    live = _read_live(visit, service_id, found)
    service = live["service"]
    deployment = visit.api.deployments.get(service["latest_deployment_id"])
    return visit.page(
        "service.html",
        **live,
        deployment=deployment,
        deployments=visit.api.deployments.page(limit=DEPLOYMENTS_SHOWN, service_id=service_id).items,
        placement=None if found is None else sort_assessments(found),
        verdicts=[] if found is None else found["verdicts"],
        cold_starts=visit.api.services.cold_starts(service_id)[:5],
        seen=_digest(visit, live),
        **visit.project_choice(),
    )


@router.get("/services/{service_id}/live")
def show_live(visit: TenantDep, service_id: str) -> Response:
    """The part of a service's page that changes by itself; 204 when it is as the page has it already."""
    live = _read_live(visit, service_id, _read_explanation(visit, service_id))
    seen = _digest(visit, live)
    if visit.request.query_params.get("seen") == seen:
        return Response(status_code=204)
    return visit.page("_service_live.html", **live, seen=seen)


@router.get("/services/{service_id}/logs")
def show_logs(visit: TenantDep, service_id: str) -> Response:
    service = visit.api.services.get(service_id)
    lines = visit.api.services.logs(service_id, limit=LOG_LINES)
    return visit.page("service_logs.html", service=service, lines=lines)


@router.get("/sovereignty")
def show_sovereignty(visit: TenantDep) -> Response:
    """Where everything runs now, under whose control and by which verdict."""
    page = visit.listed(visit.api.services, project_id=visit.chosen_project())
    parts = visit.api.regional_deployments.page(limit=100).items
    # One list holds most services' latest deployments; those that it does not hold are asked for one by one.
    newest = {each["id"]: each for each in visit.api.deployments.page(limit=100).items}
    rows = []
    for service in page.items:
        latest = service["latest_deployment_id"]
        deployment = newest.get(latest) or visit.api.deployments.get(latest)
        mine = [p for p in parts if p["service_id"] == service["id"] and p["terminated_at"] is None]
        rows.append({"service": service, "parts": mine, "asked": deployment["definition"]["sovereignty"]})
    return visit.page(
        "sovereignty.html",
        rows=rows,
        next_cursor=page.next_cursor,
        datacenters=visit.api.catalog.datacenters(),
        **visit.project_choice(),
    )


def _read_live(visit: SignedIn, service_id: str, explanation: Mapping[str, Any] | None) -> dict[str, Any]:
    api = visit.api
    service = api.services.get(service_id)
    parts = api.regional_deployments.page(limit=PARTS_SHOWN, service_id=service_id).items
    instances = api.instances.page(limit=INSTANCES_SHOWN, service_id=service_id).items
    is_settled = service["status"] in _SETTLED
    return {
        "service": service,
        "known": known_sentences(explanation, visit.language),
        "parts": [part for part in parts if part["terminated_at"] is None],
        "instances": [each for each in instances if each["terminated_at"] is None],
        "events": api.service_events.page(limit=EVENTS_SHOWN, service_id=service_id).items,
        "refresh_seconds": REFRESH_CALM_SECONDS if is_settled else REFRESH_BUSY_SECONDS,
    }


def _read_explanation(visit: SignedIn, service_id: str) -> Mapping[str, Any] | None:
    try:
        return visit.api.services.explanation(service_id)
    except NotFound:
        return None  # Nobody has looked for a place yet.


def _digest(visit: SignedIn, live: dict[str, Any]) -> str:
    html = visit.portal.renderer.render("_service_live.html", visit.language, {**live, "seen": ""})
    return hashlib.sha256(html.encode()).hexdigest()[:_SEEN_LENGTH]
