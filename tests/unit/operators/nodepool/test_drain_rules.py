"""How a node is emptied."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.lib.objects import ObjectKey
from operators.nodepool.domain import DRAIN_TIMEOUT_S, PodFacts
from operators.nodepool.drain_rules import (
    DRAIN_BATCH_MAX,
    REFUSED_MAX_S,
    STUCK_POD_S,
    BudgetFacts,
    DrainPlan,
    Refusal,
    budgets_of,
    decide_drain,
    describe,
    refused_again,
    released_by,
    selects,
)

# Other work on the machine is no fault of a rule.
UNHURRIED = settings(deadline=None)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MONOTONIC = 1000.0


def pod(
    name: str = "a",
    *,
    mirror: bool = False,
    daemon: bool = False,
    finished: bool = False,
    acceptance: bool = False,
    deleting_s: float | None = None,
    labels: tuple[tuple[str, str], ...] = (),
) -> PodFacts:
    since = None if deleting_s is None else NOW - timedelta(seconds=deleting_s)
    key = ObjectKey("ns", name)
    return PodFacts(key, f"uid-{name}", mirror, daemon, finished, acceptance, since, 30, labels, node="n")


def plan_of(
    pods: tuple[PodFacts, ...],
    since: datetime = NOW,
    timeout_s: float = DRAIN_TIMEOUT_S,
    refusals: dict[str, Refusal] | None = None,
) -> DrainPlan:
    return decide_drain(pods, since, timeout_s, NOW, refusals or {}, MONOTONIC)


def test_a_node_without_pods_is_drained() -> None:
    assert plan_of(()).remaining == ()


def test_pods_of_the_node_itself_and_ended_ones_do_not_hold_it() -> None:
    plan = plan_of((pod(mirror=True), pod(daemon=True), pod(finished=True)))
    assert (plan.evict, plan.delete, plan.remaining) == ((), (), ())


@pytest.mark.parametrize("timeout_s", [0.0, 60.0, DRAIN_TIMEOUT_S, 86_400.0])
def test_budgets_are_honoured_until_the_pools_time_is_over(timeout_s: float) -> None:
    if timeout_s:
        early = plan_of((pod(),), NOW - timedelta(seconds=timeout_s - 1), timeout_s)
        assert (len(early.evict), len(early.delete)) == (1, 0)
        assert early.look_again_s <= 1
    late = plan_of((pod(),), NOW - timedelta(seconds=timeout_s), timeout_s)
    assert (len(late.evict), late.delete[0].grace_s) == (0, 30)


def test_a_leaving_pod_is_waited_for_and_a_stuck_one_is_removed() -> None:
    start = NOW - timedelta(seconds=DRAIN_TIMEOUT_S)
    waiting = plan_of((pod(deleting_s=STUCK_POD_S - 1),), start)
    assert (waiting.delete, len(waiting.remaining), waiting.look_again_s) == ((), 1, 1.0)
    stuck = plan_of((pod(deleting_s=STUCK_POD_S),), start)
    assert stuck.delete[0].grace_s == 0


def test_the_acceptance_run_is_cut_short() -> None:
    assert plan_of((pod(acceptance=True),)).delete[0].grace_s == 0


@UNHURRIED
@given(st.integers(0, 120), st.floats(0, 2 * DRAIN_TIMEOUT_S))
def test_a_round_is_bounded_and_asks_each_pod_once(count: int, elapsed_s: float) -> None:
    pods = tuple(pod(f"p{number}") for number in range(count))
    plan = plan_of(pods, NOW - timedelta(seconds=elapsed_s))
    asked = [item.key for item in plan.evict] + [item.pod.key for item in plan.delete]
    assert len(asked) == len(set(asked)) == min(count, DRAIN_BATCH_MAX)
    assert len(plan.remaining) == count


@pytest.mark.case("F15")
@UNHURRIED
@given(st.sets(st.integers(0, 40)), st.integers(0, 60))
def test_a_refused_pod_holds_no_other_up(refused: set[int], count: int) -> None:
    pods = tuple(pod(f"p{number}") for number in range(count))
    refusals = {
        f"uid-p{number}": refused_again(pod(f"p{number}"), None, "no", MONOTONIC) for number in refused
    }
    plan = plan_of(pods, refusals=refusals)
    free = [each for each in pods if each.uid not in refusals]
    assert list(plan.evict) == free[:DRAIN_BATCH_MAX]
    # Once its time has come it is asked again, after all that were never asked.
    due = {uid: Refusal(each.pod, 1, "no", MONOTONIC) for uid, each in refusals.items()}
    assert set(plan_of(pods, refusals=due).evict[: len(free)]) == set(free[:DRAIN_BATCH_MAX])


@pytest.mark.case("F16")
def test_waiting_costs_less_and_less() -> None:
    """Ten minutes of a budget that never gives way: 14 questions, where a poll of 2 s asks 300 times."""
    refusal, asked, at = None, 0, 0.0
    while at < DRAIN_TIMEOUT_S:
        asked += 1
        refusal = refused_again(pod(), refusal, "no", at)
        assert 0 < refusal.next_at - at <= REFUSED_MAX_S
        at = refusal.next_at
    assert asked <= 14


@pytest.mark.case("F16")
@UNHURRIED
@given(st.integers(0, 5), st.integers(1, 50))
def test_a_budget_that_allows_more_wakes_no_more_pods_than_it_lets_go(allowed: int, count: int) -> None:
    labels = (("app", "web"),)
    refusals = [Refusal(pod(f"p{number}", labels=labels), number, "no", 0.0) for number in range(count)]
    others = [Refusal(pod("other"), 1, "no", 0.0)]
    budget = BudgetFacts(ObjectKey("ns", "web"), {"matchLabels": dict(labels)}, allowed)
    woken = released_by(budget, None, [*refusals, *others])
    assert len(woken) == min(allowed, count)
    assert not set(woken) & set(others)
    assert len(released_by(None, budget, [*refusals, *others])) == count, "a budget that is gone holds nobody"


@pytest.mark.case("F15")
def test_what_a_drain_waits_for_names_pod_budgets_and_answer() -> None:
    labels = (("app", "web"),)
    guest, free = pod("guest", labels=labels), pod("free", deleting_s=0.0)
    selector = {"matchLabels": {"app": "web"}}
    budgets = [BudgetFacts(ObjectKey("ns", name), selector, 0) for name in ("one", "two")]
    elsewhere = BudgetFacts(ObjectKey("other", "three"), selector, 0)
    refusals = {guest.uid: refused_again(guest, None, "more than one PodDisruptionBudget", MONOTONIC)}
    text = describe((free, guest), refusals, [*budgets, elsewhere])
    assert text == (
        "2 pods are left on the node: ns/guest held by disruption budget one, two: more than one"
        " PodDisruptionBudget; ns/free is stopping"
    )
    many = tuple(pod(f"p{number}") for number in range(9))
    assert describe(many, {}, ()).endswith("and 6 more")


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        (None, False),
        ({}, True),
        ({"matchLabels": {"a": "1"}}, True),
        ({"matchLabels": {"a": "2"}}, False),
        ({"matchLabels": {"a": "1", "b": "1"}}, False),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", "2"]}]}, True),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, False),
        ({"matchExpressions": [{"key": "z", "operator": "NotIn", "values": ["1"]}]}, True),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, False),
    ],
)
def test_a_selector_matches_as_kubernetes_says(selector: dict[str, Any] | None, expected: bool) -> None:
    assert selects(selector, {"a": "1"}) is expected
    budget = BudgetFacts(ObjectKey("ns", "b"), selector, 0)
    assert budgets_of(pod(labels=(("a", "1"),)), (budget,)) == (("b",) if expected else ())
