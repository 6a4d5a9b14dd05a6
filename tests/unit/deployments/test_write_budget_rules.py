"""How much one tenant can write into what all tenants share."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.deployments.manifest import build_manifests
from controlplane.deployments.write_budget_rules import (
    COMPACTION_SECONDS,
    LIMITS,
    POD_BYTES,
    RESOURCE_BYTES,
    SECRET_BYTES,
    TENANT_BYTES_BETWEEN_COMPACTIONS,
    Budget,
    Write,
    decide_full_at,
    find_wait_seconds,
)
from controlplane.kernel import bounds
from operators.apis.v1alpha1 import InferenceDeployment
from operators.inference.replica_rules import PodToCreate
from operators.inference.resources import PodStamps, build_pod
from tests.unit.deployments.parts import NOW, part
from tests.unit.deployments.test_bounds import ENGINE, WIDE, largest_body, read

BUDGETS = st.builds(Budget, st.integers(1, 20), st.integers(1, 120))
PAUSES = st.lists(st.integers(0, 200), max_size=80)


def let_through(budget: Budget, pauses: list[int]) -> list[datetime]:
    """Instants of the writes that are let through when somebody asks again after each pause."""
    now, full_at, passed = NOW, None, []
    for pause in pauses:
        now += timedelta(seconds=pause)
        after = decide_full_at(full_at, budget, now)
        if find_wait_seconds(after, budget, now) is None:
            full_at = after
            passed.append(now)
    return passed


@pytest.mark.case("X2")
class TestBudget:
    @given(BUDGETS, PAUSES)
    def test_no_span_of_time_has_more_writes_than_its_budget(self, budget: Budget, pauses: list[int]) -> None:
        passed = let_through(budget, pauses)
        for first, start in enumerate(passed):
            for last in range(first, len(passed)):
                seconds = int((passed[last] - start).total_seconds())
                assert last - first + 1 <= budget.most_within(seconds) + 1

    @given(BUDGETS)
    def test_the_burst_passes_and_one_more_waits_exactly_as_long_as_it_is_told(self, budget: Budget) -> None:
        assert len(let_through(budget, [0] * (budget.burst + 5))) == budget.burst
        full_at = None
        for _ in range(budget.burst):
            full_at = decide_full_at(full_at, budget, NOW)
        wait = find_wait_seconds(decide_full_at(full_at, budget, NOW), budget, NOW)
        assert wait == budget.seconds_each
        later = NOW + timedelta(seconds=wait)
        assert find_wait_seconds(decide_full_at(full_at, budget, later), budget, later) is None

    def test_whoever_keeps_to_the_pace_is_never_refused(self) -> None:
        for limits in LIMITS.values():
            for budget in (limits.for_one, limits.for_tenant):
                assert len(let_through(budget, [budget.seconds_each] * 50)) == 50


@pytest.mark.case("X2")
class TestProducts:
    def test_every_kind_of_write_has_a_budget(self) -> None:
        assert set(LIMITS) == set(Write)

    def test_size_times_copies_times_frequency_of_a_tenant_is_bounded_between_two_compactions(self) -> None:
        total = sum(
            limits.for_tenant.most_within(COMPACTION_SECONDS) * limits.bytes_each
            for limits in LIMITS.values()
        )
        assert total <= TENANT_BYTES_BETWEEN_COMPACTIONS

    def test_largest_deployment_takes_no_more_than_it_is_counted_for_and_has_its_environment_once(
        self,
    ) -> None:
        definition = read(largest_body())
        assert definition is not None
        placed = part(
            object_name=f"{definition.name}-12345678", placement=WIDE, replicas_max=bounds.REPLICAS.most
        )
        manifests = build_manifests(placed, definition, ENGINE, {})
        [environment] = [each for each in manifests if each["kind"] == "Secret"]
        resource = manifests[-1]
        pod = build_pod(
            InferenceDeployment.model_validate(
                {**resource, "metadata": {**resource["metadata"], "uid": "u" * 36}}
            ),
            PodToCreate(bounds.REPLICAS.most - 1, 99, 0),
            PodStamps(NOW, NOW),
        )
        assert len(json.dumps(environment)) <= SECRET_BYTES + bounds.ENV_VARIABLES * 16
        assert len(json.dumps(resource)) <= RESOURCE_BYTES
        assert len(json.dumps(pod)) <= POD_BYTES
        for variable in definition.env:
            assert variable.key in environment["data"]
            assert variable.key not in json.dumps([resource, pod])
