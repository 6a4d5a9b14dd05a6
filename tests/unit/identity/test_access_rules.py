"""The matrix is read as it is written, and nobody hands out more than it has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.identity.access_rules import explain, may_grant
from controlplane.identity.matrix import MATRIX, TABLE, parse_table
from controlplane.kernel.access import Action, Resource
from controlplane.kernel.ids import ApiKeyId, ProjectId, TenantId
from controlplane.kernel.principal import INSTALLATION_ROLES, OPERATOR_ROLES, Principal, Role

TENANT = TenantId.new()
PLATFORM_ROLES = INSTALLATION_ROLES
TENANT_ROLES = [role for role in Role if role not in PLATFORM_ROLES]


def caller(role: Role, project: ProjectId | None = None) -> Principal:
    return Principal(ApiKeyId.new(), role, None if role in PLATFORM_ROLES else TENANT, project)


class TestMatrix:
    def test_every_cell_is_written(self) -> None:
        assert set(MATRIX) == {(role, resource) for role in Role for resource in Resource}

    @pytest.mark.parametrize("damage", ["clock", "platform", "viewer"])
    def test_a_table_with_something_missing_is_refused(self, damage: str) -> None:
        with pytest.raises(ValueError):
            parse_table(TABLE.replace(damage, "other"))

    def test_readers_change_nothing(self) -> None:
        for role in (Role.VIEWER, Role.AUDITOR, Role.PLATFORM_AUDITOR):
            for resource in Resource:
                assert MATRIX[(role, resource)] <= {Action.READ}

    def test_platform_operator_cannot_touch_what_tenants_run(self) -> None:
        for resource in (Resource.APP, Resource.SERVICE, Resource.SECRET, Resource.LOG, Resource.API_KEY):
            assert Action.UPDATE not in MATRIX[(Role.PLATFORM, resource)]
            assert Action.CREATE not in MATRIX[(Role.PLATFORM, resource)]

    @pytest.mark.case("W6")
    @pytest.mark.parametrize("role", sorted(OPERATOR_ROLES))
    def test_no_role_of_the_operator_may_more_than_its_administrator(self, role: Role) -> None:
        for resource in Resource:
            assert MATRIX[(role, resource)] <= MATRIX[(Role.PLATFORM, resource)]
        if role is not Role.PLATFORM:
            assert MATRIX[(role, Resource.OPERATOR_KEY)] <= {Action.READ}
            assert MATRIX[(role, Resource.API_KEY)] == frozenset()
            assert Action.OPERATE not in MATRIX[(role, Resource.ORGANIZATION)]

    @pytest.mark.case("W6")
    def test_who_runs_sites_bills_nobody_and_who_bills_runs_nothing(self) -> None:
        money = (Resource.INVOICE, Resource.PRICE, Resource.LEDGER)
        sites = (
            Resource.DATACENTER,
            Resource.NODE_POOL,
            Resource.NODE,
            Resource.RESERVATION,
            Resource.DELIVERY,
        )
        assert all(MATRIX[(Role.PLATFORM_SRE, resource)] == frozenset() for resource in money)
        assert all(MATRIX[(Role.PLATFORM_BILLING, resource)] == frozenset() for resource in sites)

    def test_a_producer_reports_usage_and_nothing_else(self) -> None:
        allowed = {resource: MATRIX[(Role.PRODUCER, resource)] for resource in Resource}
        assert {resource for resource, actions in allowed.items() if actions} == {Resource.USAGE}
        assert allowed[Resource.USAGE] == {Action.CREATE}

    def test_no_tenant_role_changes_the_platform(self) -> None:
        for resource in (Resource.DATACENTER, Resource.NODE_POOL, Resource.CLOCK, Resource.LEGAL_ENTITY):
            for role in TENANT_ROLES:
                assert MATRIX[(role, resource)] <= {Action.READ}


class TestExplain:
    @given(
        role=st.sampled_from(Role), resource=st.sampled_from(Resource), action=st.sampled_from(Action),
        is_bound=st.booleans(),
    )  # fmt: skip
    def test_a_bound_key_never_may_more_than_an_unbound_one(
        self, role: Role, resource: Resource, action: Action, is_bound: bool
    ) -> None:
        free = explain(caller(role), resource, action)
        bound = explain(caller(role, ProjectId.new()), resource, action)
        assert free.is_allowed == (action in MATRIX[(role, resource)])
        assert free.is_allowed or not bound.is_allowed
        assert free.reason.endswith(".")

    def test_reason_names_the_roles_that_may(self) -> None:
        decision = explain(caller(Role.VIEWER), Resource.SERVICE, Action.CREATE)
        assert not decision.is_allowed
        assert "owner, admin, developer" in decision.reason

    def test_bound_key_cannot_make_keys(self) -> None:
        decision = explain(caller(Role.OWNER, ProjectId.new()), Resource.API_KEY, Action.CREATE)
        assert not decision.is_allowed
        assert "bound to one project" in decision.reason


class TestGrant:
    @pytest.mark.parametrize("maker", TENANT_ROLES)
    @pytest.mark.parametrize("role", list(Role))
    def test_no_role_can_give_a_permission_that_it_has_not(self, maker: Role, role: Role) -> None:
        if not may_grant(maker, role):
            return
        for resource in Resource:
            assert MATRIX[(role, resource)] <= MATRIX[(maker, resource)]
