"""Which call may go where: one answer for each (project, model) and each host. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from controlplane.gateway.domain import Route, RouteState, Routing
from controlplane.gateway.refusal_rules import (
    SERVICE_PAUSED,
    SERVICE_STOPPING,
    SIMULATED_CAPACITY,
    Refusal,
    not_admissible,
)

_HOST = re.compile(r"[a-z0-9]([a-z0-9-]{0,62})(\.[a-z0-9]([a-z0-9-]{0,62})){0,8}")


@dataclass(frozen=True, slots=True)
class Serve:
    """A call that matches goes to this route's regional deployment."""

    route: Route


@dataclass(frozen=True, slots=True)
class Refuse:
    """A call that matches is answered with this error and reaches no engine."""

    route: Route
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class HostAnswer:
    host: str
    project_id: str
    answer: Serve | Refuse


@dataclass(frozen=True, slots=True)
class RouteTable:
    """What Envoy is told. Shapes: `by_model` is keyed `<project id>/<model>`; hosts are unique and sorted."""

    by_model: dict[str, Serve | Refuse]
    by_host: tuple[HostAnswer, ...]
    clusters: tuple[Route, ...]


def decide_routes(routing: Routing) -> RouteTable:
    """Choose the answer for every model and host.

    Of a service the active route decides; without one, a paused route says so, and a draining one only lets
    its calls finish. Where two services of a project serve the same model, the older one (lowest id) answers:
    the younger is reached by its host. Every route that may still have a call in flight keeps its cluster.
    """
    by_model: dict[str, Serve | Refuse] = {}
    by_host: dict[str, HostAnswer] = {}
    by_service: dict[str, list[Route]] = {}
    for route in routing.routes:
        by_service.setdefault(route.service_id, []).append(route)
    for service_id in sorted(by_service):
        answer = _decide_service(by_service[service_id])
        by_model.setdefault(model_key(answer.route.project_id, answer.route.model), answer)
        for host in answer.route.hosts:
            if _HOST.fullmatch(host):
                by_host.setdefault(host, HostAnswer(host, answer.route.project_id, answer))
    clusters = sorted(
        (r for r in routing.routes if not r.is_simulated), key=lambda r: r.regional_deployment_id
    )
    return RouteTable(by_model, tuple(by_host[host] for host in sorted(by_host)), tuple(clusters))


def model_key(project_id: str, model: str) -> str:
    """Write the value by which a call finds its route: a model's name means something only in its project."""
    return f"{project_id}/{model}"


def list_models(routing: Routing, project_id: str) -> list[str]:
    """List the models a project can name, sorted."""
    return sorted(
        {r.model for r in routing.routes if r.project_id == project_id and r.state is not RouteState.PAUSED}
    )


def _decide_service(routes: list[Route]) -> Serve | Refuse:
    ranked = sorted(routes, key=lambda route: (_RANK[route.state], route.regional_deployment_id))
    route = ranked[0]
    if route.state is RouteState.PAUSED:
        return Refuse(route, SERVICE_PAUSED)
    # The verdict comes before anything that depends on capacity: a route that may not exist says only that.
    if not route.verdict.is_admissible:
        return Refuse(route, not_admissible(route.verdict.reason))
    if route.state is RouteState.DRAINING:
        return Refuse(route, SERVICE_STOPPING)
    if route.is_simulated:
        return Refuse(route, SIMULATED_CAPACITY)
    return Serve(route)


_RANK = {RouteState.ACTIVE: 0, RouteState.PAUSED: 1, RouteState.DRAINING: 2}
