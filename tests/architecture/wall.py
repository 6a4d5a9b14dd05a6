"""The machinery of the tenant wall: every operation of the OpenAPI document, as requests that can be sent.

A request is filled in from the document alone: path parameters by registered builders (ids that really exist in
the seeded tenant), query and body from the schema's examples, and ids inside a body by the same builders.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from fastapi.testclient import TestClient
from httpx import Response

from tests.fixtures.tenants import Caller

ADMIN_PREFIX = "/v1/admin/"
METHODS = ("get", "post", "put", "patch", "delete")
# Schemas nest a few levels; deeper is a cycle.
DEPTH_MAX = 12
# In place of an id where nobody may get as far as reading it.
ANY_ID = "anything"


@dataclass(slots=True)
class World:
    """A tenant with something of everything, its neighbour, and the ids that the neighbour must never meet."""

    api: TestClient
    owner: Caller
    other: Caller
    ids: dict[tuple[str, str], str] = field(default_factory=dict)
    # What builders of one room share, made once.
    made: dict[str, Any] = field(default_factory=dict)

    @property
    def private_ids(self) -> set[str]:
        """Ids of the seeded tenant that another tenant's answers must not hold."""
        shared = {(b.parameter, b.under) for b in BUILDERS if b.is_shared}
        built = {value for key, value in self.ids.items() if key not in shared}
        return built | {self.owner.organization_id, self.owner.project_id, self.owner.key_id}


@dataclass(frozen=True, slots=True)
class Builder:
    parameter: str
    under: str
    is_shared: bool
    build: Callable[[World], str]


BUILDERS: list[Builder] = []


class NoBuilder(LookupError):
    """A route has a path parameter that nobody can fill: add a builder in tests/architecture/builders/."""


def builds(
    parameter: str, *, under: str = "/v1/", is_shared: bool = False
) -> Callable[[Callable[[World], str]], Callable[[World], str]]:
    """Register how to get the id for a path parameter of the routes below a prefix.

    `is_shared`: the thing belongs to no tenant (a model of the catalogue), so that everybody may read it.
    """

    def register(build: Callable[[World], str]) -> Callable[[World], str]:
        BUILDERS.append(Builder(parameter, under, is_shared, build))
        return build

    return register


def load_builders() -> None:
    package = importlib.import_module("tests.architecture.builders")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"tests.architecture.builders.{module.name}")


def find_builder(parameter: str, path: str) -> Builder:
    """Return the builder with the longest prefix of the path; NoBuilder when there is none."""
    fitting = [b for b in BUILDERS if b.parameter == parameter and path.startswith(b.under)]
    if not fitting:
        raise NoBuilder(f"no builder for {{{parameter}}} of {path}: add one in tests/architecture/builders/")
    return max(fitting, key=lambda builder: len(builder.under))


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path, with the OpenAPI document that it stands in."""

    method: str
    path: str
    spec: dict[str, Any]
    document: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.method.upper()} {self.path} ({self.spec['operationId']})"

    @property
    def is_admin(self) -> bool:
        return self.path.startswith(ADMIN_PREFIX)

    @property
    def path_parameters(self) -> list[str]:
        return [p["name"] for p in self.spec.get("parameters", []) if p["in"] == "path"]

    @property
    def has_private_parameter(self) -> bool:
        return any(not find_builder(name, self.path).is_shared for name in self.path_parameters)

    def send(self, world: World, headers: dict[str, str]) -> tuple[Response, bool]:
        """Send the request; also say whether its body names something of the seeded tenant."""
        path = self.path
        for name in self.path_parameters:
            path = path.replace(f"{{{name}}}", ANY_ID if self.is_admin else obtain(world, name, self.path))
        query = {
            p["name"]: str(Filler(world, self).fill(p["schema"], p["name"]))
            for p in self.spec.get("parameters", [])
            if p["in"] == "query" and (p.get("required") or self.takes_private_id(p["name"]))
        }
        body, filler = self._body(world)
        sent = world.api.request(
            self.method, path, params=query, json=body, headers={**headers, "If-Match": '"1"'}
        )
        return sent, filler.is_foreign

    def takes_private_id(self, name: str) -> bool:
        """A filter by an id is as good a way into another tenant as a path."""
        return not self.is_admin and any(
            b.parameter == name and not b.is_shared and self.path.startswith(b.under) for b in BUILDERS
        )

    def _body(self, world: World) -> tuple[Any, Filler]:
        filler = Filler(world, self)
        content = self.spec.get("requestBody", {}).get("content", {}).get("application/json")
        return (None if content is None else filler.fill(content["schema"])), filler


def obtain(world: World, parameter: str, path: str) -> str:
    builder = find_builder(parameter, path)
    key = (parameter, builder.under)
    if key not in world.ids:
        world.ids[key] = builder.build(world)
    return world.ids[key]


@dataclass(slots=True)
class Filler:
    """Makes a value that a schema accepts: its example, its default, its first choice, or its least form."""

    world: World
    operation: Operation
    is_foreign: bool = False

    def fill(self, schema: dict[str, Any], name: str = "", depth: int = 0) -> Any:
        assert depth < DEPTH_MAX, f"the schema of {self.operation.name} nests without end"
        if "$ref" in schema:
            target = schema["$ref"].rsplit("/", 1)[1]
            return self.fill(self.operation.document["components"]["schemas"][target], name, depth + 1)
        private = self._private_id(name)
        if private is not None:
            self.is_foreign = True
            return private
        for choice in ("const", "default"):
            if schema.get(choice) is not None:
                return schema[choice]
        for choices in ("examples", "enum"):
            if schema.get(choices):
                return schema[choices][0]
        for variants in ("anyOf", "oneOf", "allOf"):
            if variants in schema:
                return self.fill(schema[variants][0], name, depth + 1)
        return self._least(schema, depth)

    def _private_id(self, name: str) -> str | None:
        """An id in a body is as good a way into another tenant as one in a path."""
        if not name.endswith("_id") or not self.operation.takes_private_id(name):
            return None
        return obtain(self.world, name, self.operation.path)

    def _least(self, schema: dict[str, Any], depth: int) -> Any:
        kind = schema.get("type", "object")
        if kind == "object":
            wanted = schema.get("required", [])
            properties = schema.get("properties", {})
            named = [name for name in properties if name in wanted or name.endswith("_id")]
            return {name: self.fill(properties[name], name, depth + 1) for name in named}
        if kind == "array":
            count = max(schema.get("minItems", 0), 1 if "items" in schema else 0)
            return [self.fill(schema["items"], "", depth + 1) for _ in range(count)]
        if kind == "string":
            return "x" * max(schema.get("minLength", 0), 1)
        if kind == "boolean":
            return False
        return schema.get("minimum", 0)


def list_operations(document: dict[str, Any]) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        for method in METHODS:
            if method in methods:
                yield Operation(method, path, methods[method], document)
