"""Which claims a pool creates and deletes."""

from hypothesis import given
from hypothesis import strategies as st

from operators.apis.v1alpha1 import NodeClaimPhase as Phase
from operators.nodepool.domain import Reason
from operators.nodepool.pool_rules import (
    CLAIMS_IN_FLIGHT_MAX,
    ClaimSummary,
    PoolFacts,
    decide_claims,
    pool_status,
)


def pool(replicas: int, *, is_paused: bool = False, is_deleting: bool = False) -> PoolFacts:
    return PoolFacts("p", 1, replicas, is_paused, is_deleting, True)


def claim(ordinal: int, *, usable: bool = True, deleting: bool = False, reason: str = "") -> ClaimSummary:
    phase = Phase.READY if usable else Phase.LAUNCHING
    return ClaimSummary(f"p-{ordinal}", ordinal, phase, usable, deleting, reason)


CLAIMS = st.lists(
    st.builds(
        lambda ordinal, usable, deleting: claim(ordinal, usable=usable, deleting=deleting),
        st.integers(0, 12), st.booleans(), st.booleans(),
    ),
    max_size=10, unique_by=lambda summary: summary.ordinal,
)  # fmt: skip


@given(st.integers(0, 10), CLAIMS)
def test_a_plan_never_exceeds_the_wanted_machines_nor_reuses_a_name(
    replicas: int, claims: list[ClaimSummary]
) -> None:
    plan = decide_claims(pool(replicas), claims)
    taken = {summary.ordinal for summary in claims}
    assert not taken & set(plan.create)
    assert len(set(plan.create)) == len(plan.create)
    assert not (plan.create and plan.delete)
    if plan.create:
        assert len(claims) + len(plan.create) <= replicas
    live = {summary.name for summary in claims if not summary.is_deleting}
    assert set(plan.delete) <= live
    assert len(live) - len(plan.delete) >= min(replicas, len(live))


@given(st.integers(0, 10), CLAIMS)
def test_carrying_plans_out_converges_and_then_rests(replicas: int, claims: list[ClaimSummary]) -> None:
    current = list(claims)
    for _ in range(20):
        plan = decide_claims(pool(replicas), current)
        kept = [summary for summary in current if not summary.is_deleting and summary.name not in plan.delete]
        # Deleted claims go, created ones become usable.
        current = [claim(summary.ordinal) for summary in kept] + [claim(ordinal) for ordinal in plan.create]
    assert len(current) == replicas
    assert not decide_claims(pool(replicas), current).create
    assert not decide_claims(pool(replicas), current).delete


def test_new_claims_take_the_lowest_free_ordinals() -> None:
    assert decide_claims(pool(5), [claim(1), claim(3)]).create == (0, 2, 4)


def test_of_too_many_the_unusable_go_first_then_the_highest() -> None:
    claims = [claim(0, usable=False), claim(1), claim(2), claim(3)]
    assert decide_claims(pool(2), claims).delete == ("p-0", "p-3")


def test_a_claim_on_its_way_out_keeps_its_place() -> None:
    assert decide_claims(pool(2), [claim(0), claim(1, deleting=True)]).create == ()
    assert decide_claims(pool(2), [claim(0)]).create == (1,)


def test_a_first_roll_out_comes_in_waves() -> None:
    assert len(decide_claims(pool(2000), []).create) == CLAIMS_IN_FLIGHT_MAX
    half = [claim(ordinal, usable=ordinal < 60) for ordinal in range(100)]
    assert len(decide_claims(pool(2000), half).create) == 60


def test_while_a_claim_waits_for_capacity_no_other_is_made() -> None:
    waiting = claim(0, usable=False, reason=Reason.NO_CAPACITY)
    assert decide_claims(pool(5), [waiting]).create == ()
    status = pool_status(pool(5), [waiting], {}, "t")
    conditions = {condition["type"]: condition for condition in status["conditions"]}
    assert conditions["CapacitySatisfied"]["status"] == "False"
    assert "p-0" in conditions["CapacitySatisfied"]["message"]


def test_a_paused_pool_changes_nothing_and_a_deleted_one_gives_everything_back() -> None:
    claims = [claim(0), claim(1, deleting=True), claim(2)]
    paused = decide_claims(pool(9, is_paused=True), claims)
    assert (paused.create, paused.delete) == ((), ())
    assert decide_claims(pool(9, is_deleting=True), claims).delete == ("p-0", "p-2")


@given(st.integers(0, 10), CLAIMS)
def test_the_same_claims_give_the_same_status_later(replicas: int, claims: list[ClaimSummary]) -> None:
    first = pool_status(pool(replicas), claims, {}, "t1")
    assert pool_status(pool(replicas), claims, first, "t2") == first
    assert sum(first["phases"].values()) == len(claims)


def test_a_pool_is_ready_when_every_wanted_node_takes_work() -> None:
    def ready(replicas: int, claims: list[ClaimSummary]) -> tuple[str, str]:
        conditions = pool_status(pool(replicas), claims, {}, "t")["conditions"]
        found = next(condition for condition in conditions if condition["type"] == "Ready")
        return found["status"], found["reason"]

    assert ready(2, [claim(0), claim(1)]) == ("True", "AllNodesReady")
    assert ready(0, []) == ("True", "AllNodesReady")
    assert ready(2, [claim(0)]) == ("False", "NodesMissing")
    assert ready(1, [claim(0), claim(1, deleting=True)]) == ("False", "ScalingDown")


def test_a_failed_claim_degrades_its_pool_by_name() -> None:
    failed = ClaimSummary("p-0", 0, Phase.FAILED, False, False, Reason.ACCEPTANCE_FAILED)
    conditions = pool_status(pool(1), [failed], {}, "t")["conditions"]
    degraded = next(condition for condition in conditions if condition["type"] == "Degraded")
    assert (degraded["status"], degraded["message"]) == ("True", "failed: p-0")
