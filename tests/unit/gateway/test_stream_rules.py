"""When a stream that runs has to end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from controlplane.gateway.domain import ApiKey, BudgetState, Route, Verdict
from controlplane.gateway.snapshot_rules import parse_routing
from controlplane.gateway.stream_rules import decide_stream
from tests.unit.gateway.values import route_item, routing

NOW = datetime(2026, 11, 27, tzinfo=UTC)
KEY = ApiKey("key_1", "h", "org_1", "prj_1", None, ("inference",))
CALLER = ("key_1", "org_1", "prj_1")
ROUTE: Route = parse_routing(routing(route_item(1))).routes[0]


def _budgets(tenants: frozenset[str] = frozenset(), projects: frozenset[str] = frozenset()) -> BudgetState:
    return BudgetState("1", NOW, tenants, projects)


@pytest.mark.case("X13")
@pytest.mark.parametrize(
    ("keys", "budgets", "route", "code"),
    [
        ({"key_1": KEY}, None, ROUTE, None),
        ({"key_1": KEY}, _budgets(), None, None),
        (None, None, None, None),
        ({}, None, ROUTE, "api_key_revoked"),
        ({"key_1": replace(KEY, tenant_id="org_2")}, None, ROUTE, "api_key_revoked"),
        ({"key_1": replace(KEY, expires_at=NOW)}, None, ROUTE, "api_key_expired"),
        ({"key_1": replace(KEY, expires_at=NOW + timedelta(seconds=1))}, None, ROUTE, None),
        ({"key_1": KEY}, _budgets(tenants=frozenset({"org_1"})), ROUTE, "insufficient_quota"),
        ({"key_1": KEY}, _budgets(projects=frozenset({"prj_1"})), ROUTE, "insufficient_quota"),
        ({"key_1": KEY}, _budgets(tenants=frozenset({"org_2"})), ROUTE, None),
        (
            {"key_1": KEY},
            None,
            replace(ROUTE, verdict=Verdict(is_admissible=False, policy_hash="p", reason="r")),
            "jurisdiction_not_admissible",
        ),
    ],
)
def test_a_stream_ends_with_its_right_and_not_without_a_reason(
    keys: dict[str, ApiKey] | None, budgets: BudgetState | None, route: Route | None, code: str | None
) -> None:
    assert decide_stream(keys, budgets, route, CALLER, NOW) == code
