"""Builders of the deployments room: a service that was placed on a site, and an instance that its cell reported."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI

from controlplane.catalogue import service as catalogue
from controlplane.deployments import tasks
from controlplane.plumbing.cluster import Clusters
from controlplane.plumbing.consumers import Consumers
from controlplane.plumbing.context import Context
from controlplane.plumbing.redis import connect
from tests.architecture.wall import World, builds
from tests.integration.deployments.fleet import Fleet, add_site

_FLEET, _SERVICE = "fleet", "service"


@builds("app_id")
def app_id(world: World) -> str:
    return str(_service(world)["app_id"])


@builds("service_id")
def service_id(world: World) -> str:
    return str(_service(world)["id"])


@builds("deployment_id")
def deployment_id(world: World) -> str:
    return str(_service(world)["latest_deployment_id"])


@builds("regional_deployment_id")
def regional_deployment_id(world: World) -> str:
    [part] = _fleet(world).parts(_service(world))
    return str(part["id"])


@builds("instance_id")
def instance_id(world: World) -> str:
    fleet, now = _fleet(world), datetime.now(UTC).isoformat()
    [part] = fleet.parts(_service(world))
    seen = {"name": "wall-0-a", "uid": "wall-uid", "replicaIndex": 0, "phase": "HEALTHY", "createdAt": now}
    fleet.report(part, "HEALTHY", readyReplicas=1, instances=[seen])
    [found] = fleet.get("/v1/instances", service_id=_service(world)["id"])["instances"]
    return str(found["id"])


@builds("secret_id")
def secret_id(world: World) -> str:
    body = {"project_id": world.owner.project_id, "name": "wall", "value": "hidden"}
    return str(_fleet(world).post("/v1/secrets", body)["secret"]["id"])


def _fleet(world: World) -> Fleet:
    if _FLEET not in world.made:
        app = world.api.app
        assert isinstance(app, FastAPI)
        database, settings = app.state.database, app.state.settings
        with database.system() as uow:
            catalogue.seed(uow)
        context = Context(settings, database, connect(settings.redis_url), Clusters(None))
        rows_only = [c for c in tasks.consumers(context) if not c.name.startswith("deployments.apply")]
        fleet = Fleet(world.api, database, context, world.owner, Consumers(rows_only))
        add_site(fleet, "essonne-1", "FR")
        world.made[_FLEET] = fleet
    found: Fleet = world.made[_FLEET]
    return found


def _service(world: World) -> dict[str, Any]:
    if _SERVICE not in world.made:
        fleet = _fleet(world)
        world.made[_SERVICE] = fleet.create_service("wall")
        fleet.run()
        assert not fleet.failures
    found: dict[str, Any] = world.made[_SERVICE]
    return found
