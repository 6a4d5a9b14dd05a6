"""Placement: what may never be chosen, what is chosen, and what is said about every pool."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controlplane.placement.decide_rules import count_replicas, decide, score
from controlplane.placement.domain import Candidate, Demand, NodeFree, RejectionCode, Snapshot
from controlplane.placement.schemas import from_explanation
from controlplane.sovereignty.domain import Reason
from tests.unit.placement.builders import (
    NOW,
    REFUSAL,
    SITES,
    demand,
    demands,
    pool,
    pools,
    snapshot,
    snapshots,
    verdict,
)

RELAXED = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def fits_by_hand(wanted: Demand, candidate: Candidate) -> bool:
    """Put replicas on nodes one at a time, as a scheduler would: the oracle of `count_replicas`."""
    nodes = [[n.cpu_milli, n.memory_mib, n.gpus] for n in candidate.free for _ in range(n.count)]
    size = (wanted.cpu_milli, wanted.memory_mib, wanted.gpus)
    placed = 0
    for node in nodes:
        while placed < wanted.replicas and all(free >= asked for free, asked in zip(node, size, strict=True)):
            for resource, asked in enumerate(size):
                node[resource] -= asked
            placed += 1
            if not any(size):
                break
    return placed >= wanted.replicas


class TestDecide:
    @RELAXED
    @given(demands(), snapshots())
    def test_inadmissible_pool_is_never_chosen(self, wanted: Demand, world: Snapshot) -> None:
        chosen = decide(wanted, world).chosen
        if chosen is None:
            return
        judged = wanted.verdicts.get(chosen.datacenter)
        assert judged is not None
        assert judged.is_admissible
        assert wanted.licence_refusal is None
        assert fits_by_hand(wanted, chosen)
        assert not chosen.is_paused
        assert wanted.is_simulated_allowed or not chosen.is_simulated
        assert not wanted.datacenters or chosen.datacenter in wanted.datacenters
        assert wanted.gpu_sku == chosen.gpu_sku

    @RELAXED
    @given(demands(), snapshots(), st.data())
    def test_adding_capacity_never_takes_a_place_away(
        self, wanted: Demand, world: Snapshot, data: st.DataObject
    ) -> None:
        if decide(wanted, world).chosen is None:
            return
        more = [replace(c, free=(*c.free, NodeFree(1_000, 1_000, 1)), nodes_ready=c.nodes_ready + 1) for c in
                world.candidates]  # fmt: skip
        more.append(data.draw(pools(99)))
        assert decide(wanted, Snapshot(NOW, tuple(more))).chosen is not None

    @RELAXED
    @given(demands(), snapshots(), st.randoms(use_true_random=False))
    def test_order_of_pools_does_not_matter(self, wanted: Demand, world: Snapshot, random: object) -> None:
        shuffled = list(world.candidates)
        random.shuffle(shuffled)  # type: ignore[attr-defined]
        assert decide(wanted, Snapshot(NOW, tuple(shuffled))) == decide(wanted, world)

    @RELAXED
    @given(demands(), snapshots())
    def test_every_pool_is_explained(self, wanted: Demand, world: Snapshot) -> None:
        explanation = decide(wanted, world).explanation
        assert sorted(a.pool_id for a in explanation.assessments) == sorted(
            c.pool_id for c in world.candidates
        )
        for assessment in explanation.assessments:
            assert assessment.is_admitted == (assessment.rejections == ())
        assert (explanation.chosen_pool_id is None) == (
            not any(assessment.is_admitted for assessment in explanation.assessments)
        )
        assert (explanation.nearest_miss_pool_id is None) == (
            explanation.chosen_pool_id is not None or not world.candidates
        )

    @RELAXED
    @given(demands(), snapshots(), st.data())
    def test_removing_a_pool_that_was_not_chosen_changes_nothing(
        self, wanted: Demand, world: Snapshot, data: st.DataObject
    ) -> None:
        chosen = decide(wanted, world).chosen
        others = [c for c in world.candidates if c != chosen]
        if others:
            gone = data.draw(st.sampled_from(others))
            left = tuple(c for c in world.candidates if c != gone)
            assert decide(wanted, Snapshot(NOW, left)).chosen == chosen

    def test_cleaner_power_decides_between_equal_prices(self) -> None:
        france = pool("fr", "essonne-1")
        sweden = pool("se", "borlange-1", gco2_per_kwh_milli=40_695, pue_milli=1_150)
        assert decide(demand(), snapshot(france, sweden)).chosen == sweden

    def test_a_cheaper_price_outweighs_carbon(self) -> None:
        france = pool("fr", "essonne-1", price_per_hour_micro=1_900_000_000)
        sweden = pool("se", "borlange-1", gco2_per_kwh_milli=40_695, pue_milli=1_150)
        assert decide(demand(), snapshot(france, sweden)).chosen == france

    def test_more_free_gpus_decide_between_equals(self) -> None:
        small = pool("a-small")
        large = pool("b-large", nodes_ready=4, free=(NodeFree(192_000, 1_920_000, 8, count=4),))
        assert decide(demand(), snapshot(small, large)).chosen == large

    def test_names_decide_between_twins(self) -> None:
        assert decide(demand(), snapshot(pool("b"), pool("a"))).chosen == pool("a")

    def test_unknown_carbon_loses_against_any_known(self) -> None:
        unknown = pool("a", gco2_per_kwh_milli=None, pue_milli=None)
        known = pool("b", gco2_per_kwh_milli=661_926)
        assert decide(demand(), snapshot(unknown, known)).chosen == known

    def test_no_pool_at_all_is_said(self) -> None:
        explanation = decide(demand(), snapshot()).explanation
        assert explanation.chosen_pool_id is None
        assert explanation.summary.en == "There is no pool at all yet."

    def test_nearest_miss_is_the_one_that_machines_can_mend(self) -> None:
        verdicts = {**{s: verdict(s) for s in SITES}, "dublin-1": verdict("dublin-1", is_admissible=False)}
        full = pool("full", "essonne-1", free=(), nodes_ready=1)
        foreign = pool("foreign", "dublin-1")
        explanation = decide(demand(verdicts=verdicts), snapshot(foreign, full)).explanation
        assert explanation.nearest_miss_pool_id == full.pool_id
        assert "full has room for 0 of 2 replicas" in explanation.summary.en

    @pytest.mark.parametrize(
        ("wanted", "candidate", "codes"),
        [
            ({"verdicts": {}}, {}, [RejectionCode.VERDICT_MISSING]),
            ({"licence_refusal": REFUSAL}, {}, [RejectionCode.LICENCE]),
            ({"datacenters": frozenset({"dublin-1"})}, {}, [RejectionCode.DATACENTER_NOT_ASKED]),
            ({"instance_type": "b300-4x"}, {}, [RejectionCode.INSTANCE_TYPE]),
            ({}, {"gpu_sku": "nvidia-h100"}, [RejectionCode.ACCELERATOR]),
            ({"gpus": 0, "gpu_sku": None}, {}, [RejectionCode.ACCELERATOR]),
            ({}, {"is_simulated": True}, [RejectionCode.SIMULATED]),
            ({}, {"is_paused": True}, [RejectionCode.PAUSED]),
            ({}, {"free": (), "nodes_ready": 0}, [RejectionCode.NO_READY_NODE]),
            ({"replicas": 5}, {}, [RejectionCode.CAPACITY]),
            (
                {"replicas": 5, "verdicts": {}, "licence_refusal": REFUSAL},
                {"is_simulated": True},
                [
                    RejectionCode.VERDICT_MISSING,
                    RejectionCode.LICENCE,
                    RejectionCode.SIMULATED,
                    RejectionCode.CAPACITY,
                ],
            ),
        ],
    )
    def test_each_rule_rejects_with_its_code(
        self, wanted: dict[str, object], candidate: dict[str, object], codes: list[RejectionCode]
    ) -> None:
        decision = decide(demand(**wanted), snapshot(pool(**candidate)))  # type: ignore[arg-type]
        assert decision.chosen is None
        assert [rejection.code for rejection in decision.explanation.assessments[0].rejections] == codes

    def test_a_legal_reason_reaches_the_wire_with_its_why_path(self) -> None:
        verdicts = {"essonne-1": verdict("essonne-1", is_admissible=False)}
        wire = from_explanation(decide(demand(verdicts=verdicts), snapshot(pool())).explanation)
        rejection = wire.assessments[0].rejections[0]
        assert (rejection.code, rejection.detail) == ("sovereignty", "non_eu_control")
        assert rejection.text.fr == REFUSAL.text.fr
        assert isinstance(REFUSAL, Reason)


class TestCountReplicas:
    @RELAXED
    @given(demands(), pools(0))
    def test_the_count_agrees_with_placing_one_by_one(self, wanted: Demand, candidate: Candidate) -> None:
        assert (count_replicas(wanted, candidate) >= wanted.replicas) == fits_by_hand(wanted, candidate)

    def test_gpus_left_over_on_two_nodes_do_not_make_a_replica(self) -> None:
        scattered = pool(free=(NodeFree(192_000, 1_920_000, 3, count=2),))
        assert count_replicas(demand(), scattered) == 0


class TestScore:
    def test_the_parts_are_computed_in_integers(self) -> None:
        """2 replicas x 4 GPUs x 1.7 kW + 2 x 96 cores x 10 W = 15.52 kW; x 56.039 g x 1.2 = 1043.67... g."""
        found = score(demand(), pool(), fit=4)
        assert found.price == 4_000_000_000
        # 15.52 kWh x 0.056039 kg x 1.2 x 10 minor units a kg = 10.4367... minor units
        assert found.carbon == 10_436_704
        assert found.scarcity == 500_000
        assert found.total == found.price + found.carbon + found.scarcity
