"""Which claims a pool creates and deletes."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.apis.v1alpha1 import GPUNodePoolSpec
from operators.apis.v1alpha1 import NodeClaimPhase as Phase
from operators.nodepool.domain import Reason
from operators.nodepool.pool_rules import (
    CLAIMS_IN_FLIGHT_MAX,
    FIXED_FIELDS,
    REFUSED,
    ROLLED_FIELDS,
    ClaimPlan,
    ClaimSummary,
    PoolFacts,
    claim_template,
    decide_claims,
    is_outdated,
    next_look_s,
    pool_status,
    why_outside,
)

# Other work on the machine is no fault of a rule.
UNHURRIED = settings(deadline=None)


def pool(replicas: int, *, is_paused: bool = False, is_deleting: bool = False) -> PoolFacts:
    return PoolFacts("p", 1, replicas, is_paused, is_deleting, True)


def claim(
    ordinal: int,
    *,
    usable: bool = True,
    deleting: bool = False,
    reason: str = "",
    message: str = "",
    outdated: bool = False,
    lost_s: float | None = None,
) -> ClaimSummary:
    phase = Phase.READY if usable or lost_s is not None else Phase.LAUNCHING
    is_usable = usable and lost_s is None
    return ClaimSummary(
        f"p-{ordinal}", ordinal, phase, is_usable, deleting, reason, message, outdated, lost_s
    )


CLAIMS = st.lists(
    st.builds(
        lambda ordinal, usable, deleting, outdated, lost_s: claim(
            ordinal, usable=usable, deleting=deleting, outdated=outdated, lost_s=lost_s
        ),
        st.integers(0, 12), st.booleans(), st.booleans(), st.booleans(),
        st.sampled_from([None, None, 10.0, 1e6]),
    ),
    max_size=10, unique_by=lambda summary: summary.ordinal,
)  # fmt: skip


@UNHURRIED
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
    if not plan.why:
        assert len(live) - len(plan.delete) >= min(replicas, len(live))
    else:
        assert len(live) == replicas


@UNHURRIED
@given(st.integers(0, 10), CLAIMS)
def test_carrying_plans_out_converges_and_then_rests(replicas: int, claims: list[ClaimSummary]) -> None:
    current = list(claims)
    for _ in range(40):
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


@UNHURRIED
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
    failed = ClaimSummary(
        "p-0", 0, Phase.FAILED, False, False, Reason.ACCEPTANCE_FAILED, "memory: 3 bits flipped"
    )
    conditions = pool_status(pool(1), [failed], {}, "t")["conditions"]
    degraded = next(condition for condition in conditions if condition["type"] == "Degraded")
    assert (degraded["status"], degraded["message"]) == ("True", "p-0: memory: 3 bits flipped")


def condition(facts: PoolFacts, claims: list[ClaimSummary], kind: str) -> dict[str, Any]:
    conditions = pool_status(facts, claims, {}, "t")["conditions"]
    found: dict[str, Any] = next(each for each in conditions if each["type"] == kind)
    return found


@pytest.mark.case("F14")
@pytest.mark.parametrize("reason", sorted(REFUSED))
def test_a_refused_launch_is_said_by_the_pool_in_the_servers_words(reason: Reason) -> None:
    sentence = "metadata.labels: Invalid value: bad key!"
    claims = [claim(0), claim(1, usable=False, reason=reason, message=sentence)]
    for kind, status in (("CapacitySatisfied", "False"), ("Degraded", "True")):
        found = condition(pool(2), claims, kind)
        assert (found["status"], sentence in found["message"], "p-1" in found["message"]) == (
            status,
            True,
            True,
        )


@pytest.mark.case("F13")
@UNHURRIED
@given(st.integers(0, 10), CLAIMS, st.integers(0, 3))
def test_a_roll_out_never_takes_more_out_of_work_than_its_budget(
    replicas: int, claims: list[ClaimSummary], budget: int
) -> None:
    facts = replace(pool(replicas), max_unavailable=budget, not_ready_s=0.0)
    plan = decide_claims(facts, claims)
    if plan.why != "outdated":
        return
    out_of_work = sum(1 for each in claims if each.is_deleting)
    coming = sum(1 for each in claims if not (each.is_deleting or each.is_usable or each.is_outdated))
    assert len(plan.delete) + out_of_work + coming <= budget
    assert all(each.is_outdated for each in claims if each.name in plan.delete)


@pytest.mark.case("F13")
@UNHURRIED
@given(st.integers(1, 8), st.integers(1, 3), st.data())
def test_a_roll_out_ends_and_says_so(replicas: int, budget: int, data: st.DataObject) -> None:
    facts = replace(pool(replicas), max_unavailable=budget)
    current = [claim(ordinal, outdated=data.draw(st.booleans())) for ordinal in range(replicas)]
    for _ in range(4 * replicas + 4):
        plan = decide_claims(facts, current)
        assert sum(1 for each in current if not each.is_usable) + len(plan.delete) <= budget
        kept = [
            replace(each, is_deleting=each.name in plan.delete, is_usable=True)
            for each in current
            if not each.is_deleting
        ]
        current = kept + [claim(ordinal, usable=False) for ordinal in plan.create]
    status = pool_status(facts, current, {}, "t")
    assert status["updatedReplicas"] == replicas == status["replicas"]
    assert condition(facts, current, "UpToDate")["status"] == "True"


@pytest.mark.case("F13")
def test_the_status_counts_the_outdated_and_says_what_a_roll_out_waits_for() -> None:
    claims = [claim(0, outdated=True), claim(1), claim(2)]
    assert pool_status(pool(3), claims, {}, "t")["updatedReplicas"] == 2
    assert condition(pool(3), claims, "UpToDate")["reason"] == "RollingOut"
    assert "p-0" in condition(pool(3), claims, "UpToDate")["message"]
    broken = [*claims[:2], claim(2, usable=False, reason=Reason.LAUNCH_REFUSED, message="no")]
    assert decide_claims(pool(3), broken).delete == ()
    assert condition(pool(3), broken, "UpToDate")["reason"] == "RolloutHeld"
    assert condition(replace(pool(3), max_unavailable=0), claims, "UpToDate")["reason"] == "RolloutHeld"
    assert decide_claims(replace(pool(3), max_unavailable=0), claims).delete == ()
    assert condition(pool(3, is_paused=True), claims, "UpToDate")["reason"] == "Paused"


SPEC = {
    "datacenter": "essonne-1", "cell": "a", "provider": {"kind": "kwok"}, "instanceType": "t",
    "accelerator": {"sku": "b300", "count": 8}, "cpuMilli": 1000, "memoryMiB": 64, "replicas": 1,
    "nodeLabels": {"a": "1"},
    "nodeTaints": [{"key": "x", "effect": "NoSchedule", "value": ""}, {"key": "y", "effect": "NoExecute"}],
}  # fmt: skip


SAME_TAINTS = [{"key": "y", "effect": "NoExecute", "value": ""}, {"key": "x", "effect": "NoSchedule"}]


@pytest.mark.case("F13")
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"memoryMiB": 128}, True),
        ({"cpuMilli": 2000}, True),
        ({"nodeLabels": {"a": "2"}}, True),
        ({"nodeLabels": {}}, True),
        ({"nodeTaints": []}, True),
        ({"nodeTaints": [{"key": "x", "effect": "NoSchedule", "value": "v"}]}, True),
        # The same things said otherwise are no change.
        ({"nodeTaints": SAME_TAINTS}, False),
        ({"replicas": 9}, False),
        ({"paused": True}, False),
        ({"drainTimeoutSeconds": 5}, False),
        ({"rollout": {"maxUnavailable": 2}}, False),
        ({"repair": {"notReadySeconds": 0}}, False),
    ],
)  # fmt: skip
def test_each_mutable_field_of_the_spec_either_outdates_its_nodes_or_needs_none_of_them(
    change: dict[str, Any], expected: bool
) -> None:
    assert is_outdated(claim_template(SPEC), {**SPEC, **change}) is expected
    fields = set(GPUNodePoolSpec.model_json_schema(by_alias=True)["properties"])
    unrolled = {"replicas", "paused", "drainTimeoutSeconds", "rollout", "repair", "nodeOrders"}
    assert fields == {*FIXED_FIELDS, *ROLLED_FIELDS, *unrolled}


@pytest.mark.case("F23")
def test_a_claim_that_no_pool_would_make_is_no_part_of_one() -> None:
    mine = {"metadata": {"name": "p-0"}, "spec": {"poolRef": "p", "ordinal": 0, **claim_template(SPEC)}}
    assert why_outside(mine, {"spec": SPEC}, [mine]) == ""
    assert "no pool is named p" in why_outside(mine, None)
    for field in FIXED_FIELDS:
        assert field in why_outside(mine, {"spec": {**SPEC, field: "other"}})


@pytest.mark.case("F23")
@UNHURRIED
@given(st.integers(0, 6), st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 2)), max_size=9))
def test_no_more_claims_get_a_machine_than_the_pool_wants(
    replicas: int, drawn: list[tuple[bool, bool, int]]
) -> None:
    """Also while a paused pool deletes nothing: machines that exist come first, then who was there first."""
    claims = []
    for ordinal, (has_machine, is_leaving, second) in enumerate(drawn):
        metadata = {"name": f"p-{ordinal}", "creationTimestamp": f"2026-11-27T12:00:0{second}Z"}
        if is_leaving:
            metadata["deletionTimestamp"] = "2026-11-27T13:00:00Z"
        status = {"providerID": "x"} if has_machine else {}
        spec = {"poolRef": "p", "ordinal": ordinal, **claim_template(SPEC)}
        claims.append({"metadata": metadata, "spec": spec, "status": status})
    pool_of_them = {"spec": {**SPEC, "replicas": replicas, "paused": True}}
    live = [each for each in claims if "deletionTimestamp" not in each["metadata"]]
    allowed = [each for each in live if not why_outside(each, pool_of_them, claims)]
    assert len(allowed) == min(replicas, len(live))
    held = [each for each in live if each["status"]]
    assert sum(1 for each in allowed if each["status"]) == min(replicas, len(held))


@pytest.mark.case("F17")
def test_a_lost_node_is_replaced_within_the_budget_and_never_many_at_once() -> None:
    facts = pool(10)
    one = [claim(0, lost_s=901.0), *(claim(number) for number in range(1, 10))]
    assert decide_claims(facts, one) == ClaimPlan(delete=("p-0",), why="unhealthy")
    assert decide_claims(facts, [claim(0, lost_s=899.0), *one[1:]]).delete == ()
    assert next_look_s(facts, [claim(0, lost_s=899.0), *one[1:]]) == 1.0
    two = [claim(0, lost_s=1e4), claim(1, lost_s=1e4), *one[2:]]
    assert decide_claims(facts, two).delete == ("p-0",), "one at a time"
    going = [claim(0, deleting=True), *two[1:]]
    assert decide_claims(facts, going).delete == (), "the next one waits for the first"
    # More than a fifth at once: a switch or a feed, not machines.
    three = [*(claim(number, lost_s=1e4) for number in range(3)), *one[3:]]
    assert decide_claims(facts, three).delete == ()
    assert condition(facts, three, "Degraded")["reason"] == "RepairHeld"
    assert decide_claims(replace(facts, not_ready_s=0.0), one).delete == (), "0 turns it off"
    assert decide_claims(replace(pool(1), max_unavailable=0), [claim(0, lost_s=1e4)]).delete == ("p-0",)


@pytest.mark.case("F17")
def test_a_host_that_failed_its_checks_is_replaced_until_too_many_hosts_fail() -> None:
    real = replace(pool(1), is_simulated=False)
    failed = ClaimSummary("p-0", 0, Phase.FAILED, False, False, Reason.ACCEPTANCE_FAILED, "cpu: 3 of 4 cores")
    assert decide_claims(replace(real, hosts_set_aside=1), [failed]) == ClaimPlan(
        delete=("p-0",), why="unhealthy"
    )
    # The next host fails too: it is the checks, or the image, or the shape that was ordered.
    assert decide_claims(replace(real, hosts_set_aside=2), [failed]).delete == ()
    assert condition(replace(real, hosts_set_aside=2), [failed], "Degraded")["reason"] == "RepairHeld"
    # A simulated machine has no host: it would come back the same.
    assert decide_claims(pool(1), [failed]).delete == ()
    assert decide_claims(replace(real, not_ready_s=0.0), [failed]).delete == ()


@pytest.mark.case("F17")
@UNHURRIED
@given(st.integers(1, 200), st.integers(1, 100))
def test_checks_that_fail_on_every_host_do_not_go_through_all_of_them(replicas: int, percent: int) -> None:
    facts = replace(pool(replicas), is_simulated=False, max_unhealthy_percent=percent)
    aside = 0
    while aside < 1000:
        aside += 1
        bad = ClaimSummary("p-0", 0, Phase.FAILED, False, False, Reason.ACCEPTANCE_FAILED, "no")
        claims = [bad, *(claim(ordinal) for ordinal in range(1, replicas))]
        if not decide_claims(replace(facts, hosts_set_aside=aside), claims).delete:
            break
    assert aside <= math.ceil(replicas * percent / 100) + 1
