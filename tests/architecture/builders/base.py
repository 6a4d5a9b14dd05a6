"""Builders of tenancy, identity and the catalogue."""

from __future__ import annotations

from tests.architecture.wall import World, builds
from tests.fixtures.tenants import make_key


@builds("organization_id")
def organization_id(world: World) -> str:
    return world.owner.organization_id


@builds("project_id")
def project_id(world: World) -> str:
    return world.owner.project_id


@builds("api_key_id")
def api_key_id(world: World) -> str:
    key = make_key(world.api, world.owner, name="wall")
    return str(key["id"])


@builds("name", under="/v1/catalog/models", is_shared=True)
def model_name(world: World) -> str:
    models = world.api.get("/v1/catalog/models", headers=world.owner.headers).json()["models"]
    return str(models[0]["name"]) if models else "unlisted"
