"""Routing snapshot, offers, cold starts, logs, definitions, sealing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from controlplane.capacity.domain import PoolOffer
from controlplane.deployments.cold_start_rules import break_down
from controlplane.deployments.definition_rules import dump_plan, load_plan, merge_patch
from controlplane.deployments.definition_schemas import DefinitionIn, to_definition
from controlplane.deployments.domain import ColdStart, RouteState, RunStatus, ServiceStatus
from controlplane.deployments.log_rules import read_lines
from controlplane.deployments.offer_rules import Hold, spread_free
from controlplane.deployments.routing_rules import Routed, build_snapshot
from controlplane.deployments.sealing import SecretDamaged, seal, unseal
from controlplane.gateway.snapshot_rules import parse_routing
from controlplane.kernel.ids import LegalEntityId, NodePoolId, TenantId
from controlplane.kernel.jurisdiction import Country
from controlplane.kernel.keyring import Keyring
from controlplane.sovereignty.domain import SiteFacts
from tests.unit.deployments.parts import NOW, PLAN, part, service

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


class TestSnapshot:
    def route(self, status: ServiceStatus = ServiceStatus.HEALTHY, **changes: object) -> dict[str, object]:
        routed = Routed(service(status=status), part(**{"route_state": RouteState.ACTIVE, **changes}), PLAN)
        snapshot = build_snapshot(7, NOW, [routed])
        parse_routing(snapshot)
        route: dict[str, object] = snapshot["routes"][0]
        return route

    def test_gateway_reads_the_snapshot(self) -> None:
        routed = Routed(service(), part(route_state=RouteState.ACTIVE), PLAN)
        routing = parse_routing(build_snapshot(7, NOW, [routed]))
        assert routing.version == "7"
        assert routing.routes[0].verdict.is_admissible
        assert routing.routes[0].operator == "Opérateur SAS"

    def test_state_says_what_may_be_called(self) -> None:
        assert self.route()["state"] == "active"
        assert self.route(ServiceStatus.PAUSED)["state"] == "paused"
        assert self.route(route_state=RouteState.DRAINING)["state"] == "draining"
        assert self.route(status=ServiceStatus.DELETING)["state"] == "draining"

    def test_evicted_place_keeps_saying_that_it_is_refused(self) -> None:
        route = self.route(is_admissible=False)
        assert route["verdict"] == {
            "admissible": False,
            "policy_hash": "f" * 64,
            "decided_at": "2026-11-21T12:00:00Z",
            "reason": "The certificate ended.",
        }
        ended = Routed(
            service(),
            part(route_state=RouteState.ACTIVE, is_admissible=False, status=RunStatus.STOPPED),
            PLAN,
        )
        assert build_snapshot(1, NOW, [ended])["routes"][0]["state"] == "active"


class TestOffers:
    @given(
        st.integers(0, 5), st.integers(0, 5), st.integers(0, 9000), st.integers(0, 9000), st.integers(0, 40)
    )
    def test_spread_never_offers_more_than_is_free(
        self, nodes: int, per_node: int, cpu: int, memory: int, gpus: int
    ) -> None:
        site = SiteFacts("s", Country("FR"), LegalEntityId.new(), LegalEntityId.new(), 1200)
        offer = PoolOffer(
            NodePoolId.new(), "p", "s", "FR", "c", "process", "t", None, per_node, nodes, gpus, cpu, memory,
            2000, 1500, False, site,
        )  # fmt: skip
        free = spread_free(offer)
        assert sum(node.count for node in free) <= nodes
        assert sum(node.cpu_milli * node.count for node in free) <= cpu
        assert sum(node.memory_mib * node.count for node in free) <= memory
        assert sum(node.gpus * node.count for node in free) <= gpus

    @pytest.mark.case("F5")
    @given(st.integers(1, 5), st.lists(st.tuples(st.integers(0, 6), st.integers(1, 8)), max_size=12))
    def test_room_is_that_of_each_node_and_not_of_the_pool(
        self, nodes: int, holds: list[tuple[int, int]]
    ) -> None:
        """Replicas of some GPUs run on numbered nodes, 0 nowhere: no node offers more than it has left."""
        site = SiteFacts("s", Country("FR"), LegalEntityId.new(), LegalEntityId.new(), 1200)
        free_in_all = 8 * nodes - sum(gpus for _, gpus in holds)
        offer = PoolOffer(
            NodePoolId.new(), "p", "s", "FR", "c", "kwok", "t", "b300", 8, nodes, free_in_all, 10**6, 10**6,
            10**5, 10**5, False, site,
        )  # fmt: skip
        held = [Hold(f"n{node}" if node else "", 1, 1, gpus) for node, gpus in holds]
        free = spread_free(offer, held)
        used = Counter[str]()
        for hold in held:
            if hold.node:
                used[hold.node] += hold.gpus
        most = max([8 - gpus for gpus in used.values()] + [8] * (nodes - len(used)), default=0)
        assert max(node.gpus for node in free) <= max(0, most)
        assert sum(node.count for node in free) <= nodes

    @pytest.mark.case("F5")
    def test_two_half_full_nodes_have_room_for_no_whole_one(self) -> None:
        site = SiteFacts("s", Country("FR"), LegalEntityId.new(), LegalEntityId.new(), 1200)
        offer = PoolOffer(
            NodePoolId.new(), "p", "s", "FR", "c", "kwok", "t", "b300", 8, 2, 8, 10**6, 10**6, 10**5, 10**5, False,
            site,
        )  # fmt: skip
        running = [Hold("n1", 1, 1, 4), Hold("n2", 1, 1, 4)]
        assert [(node.gpus, node.count) for node in spread_free(offer, running)] == [(4, 2)]
        asleep = [Hold("", 1, 1, 4), Hold("", 1, 1, 4)]
        assert [(node.gpus, node.count) for node in spread_free(offer, asleep)] == [(8, 1), (0, 1)]


class TestColdStart:
    @given(st.lists(st.integers(0, 100_000), min_size=7, max_size=7))
    def test_steps_add_up_to_the_total(self, offsets: list[int]) -> None:
        ats = [NOW + timedelta(milliseconds=offset) for offset in sorted(offsets)]
        steps = break_down(ColdStart("i", part().id, None, *ats))
        named = [
            steps.queue_ms,
            steps.place_ms,
            steps.schedule_ms,
            steps.start_ms,
            steps.load_ms,
            steps.first_token_ms,
        ]
        assert sum(step for step in named if step is not None) == steps.total_ms

    def test_step_with_an_unknown_end_is_null(self) -> None:
        steps = break_down(ColdStart("i", part().id, None, NOW, None, None, None, None, None, None))
        assert (steps.queue_ms, steps.total_ms) == (None, None)


class TestLogs:
    def test_stamp_is_read_and_cut_off(self) -> None:
        text = "2026-11-21T10:00:00.123456789Z hello\nplain\n2026-11-21T10:00:01Z "
        assert read_lines(text) == [
            (datetime(2026, 11, 21, 10, 0, 0, 123456, UTC), "hello"),
            (None, "plain"),
            (datetime(2026, 11, 21, 10, 0, 1, tzinfo=UTC), ""),
        ]


class TestDefinition:
    WIRE = {"name": "a", "inference": {"model": "m"}}  # noqa: RUF012 - a table of the test

    def test_stored_plan_reads_the_same(self) -> None:
        definition = to_definition(DefinitionIn.model_validate(self.WIRE))
        assert load_plan(dump_plan(definition)) == definition
        assert load_plan(dump_plan(PLAN)) == PLAN

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"surprise": 1}, "surprise"),
            ({"name": "Not-A-Name"}, "name"),
            ({"scalings": [{"min": 3, "max": 1}]}, "scalings"),
            ({"scalings": [{"targets": [{}]}]}, "scalings"),
            ({"env": [{"key": "A"}]}, "env"),
            ({"env": [{"key": "A", "value": "1", "secret": "s"}]}, "env"),
            ({"sovereignty": {"countries": ["XX"]}}, "sovereignty"),
            ({"on_violation_grace_seconds": -1}, "on_violation_grace_seconds"),
        ],
    )
    def test_bad_definition_is_refused_by_its_field(self, change: dict[str, object], field: str) -> None:
        with pytest.raises(ValidationError) as refused:
            DefinitionIn.model_validate({**self.WIRE, **change})
        assert refused.value.errors()[0]["loc"][0] == field

    @given(JSON, JSON)
    def test_merge_patch_applied_twice_is_applied_once(self, document: object, patch: object) -> None:
        once = merge_patch(document, patch)
        assert merge_patch(once, patch) == once

    def test_merge_patch_removes_what_is_null(self) -> None:
        assert merge_patch({"a": 1, "b": {"c": 2, "d": 3}}, {"a": None, "b": {"c": 4}}) == {
            "b": {"c": 4, "d": 3}
        }


class TestSealing:
    RING = Keyring.single(bytes(range(32)))

    @given(st.text(max_size=200))
    def test_sealed_value_opens_as_it_was(self, value: str) -> None:
        tenant = TenantId.new()
        sealed = seal(self.RING, tenant, "n", 1, value)
        assert unseal(self.RING, tenant, sealed) == value
        assert repr(sealed.ciphertext) not in repr(sealed)

    def test_value_opens_nowhere_else(self) -> None:
        tenant = TenantId.new()
        sealed = seal(self.RING, tenant, "n", 1, "zebra")
        moved = [
            (self.RING, TenantId.new(), sealed),
            (self.RING, tenant, replace(sealed, name="m")),
            (self.RING, tenant, replace(sealed, version=2)),
            (Keyring.single(bytes(32)), tenant, sealed),
            (Keyring.single(bytes(range(32)), "2"), tenant, sealed),
        ]
        for ring, owner, value in moved:
            with pytest.raises(SecretDamaged):
                unseal(ring, owner, value)
