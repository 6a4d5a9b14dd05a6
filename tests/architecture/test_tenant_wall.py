"""No tenant reaches another: every table is protected, every operation refuses whom it must.

New tables and new routers are found by themselves; see tests/architecture/builders/ for path parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from sqlalchemy import text

from controlplane.entrypoints import tables  # noqa: F401 - every room's tables are known to the metadata
from controlplane.entrypoints.api import authenticate
from controlplane.kernel.ids import TenantId
from controlplane.plumbing.database import Database
from controlplane.plumbing.orm import Base
from controlplane.plumbing.web import EdgeDep
from controlplane.tenancy import service as tenancy
from tests.architecture.wall import (
    BUILDERS,
    NoBuilder,
    Operation,
    World,
    find_builder,
    list_operations,
    load_builders,
)
from tests.fixtures.tenants import bearer, make_key, sign_up

# Operations that need no key at all.
PUBLIC = frozenset({"sign_up", "get_terms"})
# Probes of the process and the description of the API: they hold no tenant's data.
UNDESCRIBED = frozenset(
    {"/healthz", "/readyz", "/openapi.json", "/docs", "/docs/{slug}", "/docs/files/{name}"}
)
TENANT_TABLES = sorted(name for name, table in Base.metadata.tables.items() if "tenant_id" in table.columns)
ROLES = ("rempart_app", "rempart_system")

load_builders()


@pytest.fixture
def world(api: TestClient) -> World:
    return World(api, sign_up(api, "seeded"), sign_up(api, "neighbour"))


@pytest.fixture
def operations(api: TestClient) -> list[Operation]:
    app = api.app
    assert isinstance(app, FastAPI)
    found = [op for op in list_operations(app.openapi()) if op.spec["operationId"] not in PUBLIC]
    assert len(found) > 20
    return found


class TestTables:
    @pytest.mark.parametrize("table", TENANT_TABLES)
    def test_every_tenant_table_has_row_level_security_forced(self, database: Database, table: str) -> None:
        with database.system() as uow:
            flags = uow.session.execute(
                text("SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE oid = to_regclass(:t)"),
                {"t": table},
            ).one()
            policies = uow.session.execute(
                text("SELECT roles[1]::text, cmd, qual, with_check FROM pg_policies WHERE tablename = :t"),
                {"t": table},
            ).all()
        assert tuple(flags) == (True, True)
        rules = {role: (cmd, qual, check) for role, cmd, qual, check in policies}
        assert set(rules) == set(ROLES)
        command, using, check = rules["rempart_app"]
        assert command == "ALL"
        assert using == check
        assert "app.tenant_id" in using
        assert "OR" not in using

    def test_database_has_no_table_with_a_tenant_that_the_metadata_does_not_know(
        self, database: Database
    ) -> None:
        with database.system() as uow:
            found = uow.session.scalars(
                text(
                    "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
                    "WHERE a.attname = 'tenant_id' AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm') "
                    "AND c.relnamespace = 'public'::regnamespace"
                )
            ).all()
        assert sorted(found) == TENANT_TABLES

    @pytest.mark.parametrize("role", ROLES)
    def test_the_roles_of_the_programs_cannot_pass_the_wall(self, database: Database, role: str) -> None:
        with database.system() as uow:
            powers = uow.session.execute(
                text(
                    "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication "
                    "FROM pg_roles WHERE rolname = :r"
                ),
                {"r": role},
            ).one()
            owned = uow.session.scalar(
                text("SELECT count(*) FROM pg_class WHERE relowner = to_regrole(:r)"), {"r": role}
            )
            memberships = uow.session.scalar(
                text("SELECT count(*) FROM pg_auth_members WHERE member = to_regrole(:r)"), {"r": role}
            )
        assert not any(powers)
        assert (owned, memberships) == (0, 0)

    def test_a_transaction_without_a_tenant_sees_no_row_and_one_with_it_sees_its_own(
        self, database: Database, world: World
    ) -> None:
        neighbour = TenantId.parse(world.other.organization_id)
        with database.system() as uow:
            filled = [t for t in TENANT_TABLES if uow.session.scalar(text(f"SELECT count(*) FROM {t}"))]  # noqa: S608
        assert {"tenant", "project", "api_key", "audit_event"} <= set(filled)
        with database.app_engine.begin() as connection:
            for table in _readable(filled):
                assert connection.scalar(text(f"SELECT count(*) FROM {table}")) == 0, table  # noqa: S608
        with database.tenant(neighbour) as uow:
            for table in _readable(filled):
                query = text(f"SELECT count(*) FROM {table} WHERE tenant_id IS DISTINCT FROM :mine")  # noqa: S608
                assert uow.session.scalar(query, {"mine": neighbour.value}) == 0, table


class TestOperations:
    def test_every_live_route_is_in_the_document(self, api: TestClient) -> None:
        app = api.app
        assert isinstance(app, FastAPI)
        live = {route.path for route in _routes(app)}
        assert live - set(app.openapi()["paths"]) <= UNDESCRIBED

    def test_nobody_without_a_key_gets_in(self, world: World, operations: list[Operation]) -> None:
        assert _broken(world, operations, {}, only(401)) == []

    def test_a_revoked_key_opens_nothing(self, world: World, operations: list[Operation]) -> None:
        key = make_key(world.api, world.owner, role="owner")
        revoked = world.api.delete(f"/v1/api_keys/{key['id']}", headers=world.owner.headers)
        assert revoked.status_code == 200
        assert _broken(world, operations, bearer(key["secret"]), only(401)) == []

    def test_another_tenant_finds_nothing(self, world: World, operations: list[Operation]) -> None:
        def allowed(operation: Operation, is_foreign: bool) -> set[int]:
            if operation.is_admin:
                return {403}
            if operation.path_parameters and operation.has_private_parameter:
                return {403, 404}
            if is_foreign:
                return {403, 404, 409, 422}
            return {200, 201, 202, 204, 403, 404, 409, 412, 422}

        assert _broken(world, operations, world.other.headers, allowed) == []

    def test_a_viewer_changes_nothing(self, world: World, operations: list[Operation]) -> None:
        viewer = bearer(make_key(world.api, world.owner, role="viewer")["secret"])

        def allowed(operation: Operation, is_foreign: bool) -> set[int]:
            if operation.is_admin or operation.method != "get":
                return {403}
            return {200, 403, 404}

        assert _broken(world, operations, viewer, allowed, is_own=True) == []

    def test_the_owner_reaches_what_the_others_could_not(
        self, world: World, operations: list[Operation]
    ) -> None:
        """Without this, a builder that makes up an id would let the wall pass for nothing."""
        reads = [op for op in operations if op.method == "get" and op.path_parameters and not op.is_admin]
        reads = [op for op in reads if op.has_private_parameter]
        assert len(reads) >= 3
        assert _broken(world, reads, world.owner.headers, only(200), is_own=True) == []


class TestMachinery:
    def test_a_parameter_without_a_builder_fails_loudly(self) -> None:
        with pytest.raises(NoBuilder, match="widget_id"):
            find_builder("widget_id", "/v1/widgets/{widget_id}")

    def test_every_parameter_has_a_builder(self, operations: list[Operation]) -> None:
        for operation in operations:
            if not operation.is_admin:
                for parameter in operation.path_parameters:
                    assert find_builder(parameter, operation.path) in BUILDERS

    def test_a_route_that_leaks_is_found(self, api: TestClient, world: World) -> None:
        app = api.app
        assert isinstance(app, FastAPI)
        app.include_router(_leaking_router(), dependencies=[Depends(authenticate)])
        leaking = [op for op in list_operations(app.openapi()) if op.path.startswith("/v1/leaks")]
        assert len(leaking) == 3

        def nothing_foreign(operation: Operation, _is_foreign: bool) -> set[int]:
            return {403, 404} if operation.path_parameters else {200, 403}

        found = _broken(world, leaking, world.other.headers, nothing_foreign)
        assert any("get_leak): 200, not in [403, 404]" in line for line in found)
        assert any("list_leaks): shows" in line for line in found)
        assert any("crash): 500" in line for line in found)


def _leaking_router() -> APIRouter:
    """What a careless room could do: read with the platform's role, skip the check, crash."""
    router = APIRouter(prefix="/v1/leaks")

    @router.get("", operation_id="list_leaks")
    def list_leaks(edge: EdgeDep) -> list[str]:
        with edge.database.system(is_read_only=True) as uow:
            return [str(tenant.id) for tenant in tenancy.list_tenants(uow, after=None, limit=10).items]

    @router.get("/{organization_id}", operation_id="get_leak")
    def get_leak(organization_id: str, edge: EdgeDep) -> str:
        with edge.database.system(is_read_only=True) as uow:
            return tenancy.get_tenant(uow, TenantId.parse(organization_id)).name

    @router.delete("/{organization_id}", operation_id="crash")
    def crash(organization_id: str) -> None:
        raise RuntimeError(organization_id)

    return router


Allowed = Callable[[Operation, bool], set[int]]


def only(status: int) -> Allowed:
    def allowed(_operation: Operation, _is_foreign: bool) -> set[int]:
        return {status}

    return allowed


def _broken(
    world: World,
    operations: list[Operation],
    headers: dict[str, str],
    allowed: Allowed,
    *,
    is_own: bool = False,
) -> list[str]:
    """Send every operation; return a line for each answer that is outside its set or shows a foreign id."""
    lines = []
    for operation in operations:
        response, is_foreign = operation.send(world, headers)
        expected = allowed(operation, is_foreign)
        if response.status_code not in expected:
            lines.append(
                f"{operation.name}: {response.status_code}, not in {sorted(expected)}: {response.text[:300]}"
            )
        shown = {private for private in world.private_ids if private in response.text}
        if response.is_success and not is_own and shown:
            lines.append(f"{operation.name}: shows {sorted(shown)}")
    return lines


def _readable(names: list[str]) -> list[str]:
    """The outbox may be written by a tenant's transaction but not read."""
    return [name for name in names if name != "outbox_event"]


def _routes(app: FastAPI) -> Iterator[APIRoute]:
    for route in app.routes:
        if hasattr(route, "path"):
            yield route  # type: ignore[misc]
