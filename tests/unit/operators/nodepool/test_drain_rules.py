"""How a node is emptied."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from operators.lib.objects import ObjectKey
from operators.nodepool.domain import DRAIN_TIMEOUT_S, PodFacts
from operators.nodepool.drain_rules import DRAIN_BATCH_MAX, STUCK_POD_S, decide_drain

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def pod(
    name: str = "a",
    *,
    mirror: bool = False,
    daemon: bool = False,
    finished: bool = False,
    acceptance: bool = False,
    deleting_s: float | None = None,
) -> PodFacts:
    since = None if deleting_s is None else NOW - timedelta(seconds=deleting_s)
    return PodFacts(ObjectKey("ns", name), f"uid-{name}", mirror, daemon, finished, acceptance, since, 30)


def test_a_node_without_pods_is_drained() -> None:
    assert decide_drain((), NOW, NOW).remaining == 0


def test_pods_of_the_node_itself_and_ended_ones_do_not_hold_it() -> None:
    pods = (pod(mirror=True), pod(daemon=True), pod(finished=True))
    plan = decide_drain(pods, NOW, NOW)
    assert (plan.evict, plan.delete, plan.remaining) == ((), (), 0)


def test_budgets_are_honoured_until_the_time_is_over() -> None:
    early = decide_drain((pod(),), NOW - timedelta(seconds=DRAIN_TIMEOUT_S - 1), NOW)
    assert (len(early.evict), len(early.delete)) == (1, 0)
    late = decide_drain((pod(),), NOW - timedelta(seconds=DRAIN_TIMEOUT_S), NOW)
    assert (len(late.evict), late.delete[0].grace_s) == (0, 30)


def test_a_leaving_pod_is_waited_for_and_a_stuck_one_is_removed() -> None:
    start = NOW - timedelta(seconds=DRAIN_TIMEOUT_S)
    waiting = decide_drain((pod(deleting_s=STUCK_POD_S - 1),), start, NOW)
    assert (waiting.delete, waiting.remaining) == ((), 1)
    stuck = decide_drain((pod(deleting_s=STUCK_POD_S),), start, NOW)
    assert stuck.delete[0].grace_s == 0


def test_the_acceptance_run_is_cut_short() -> None:
    assert decide_drain((pod(acceptance=True),), NOW, NOW).delete[0].grace_s == 0


@given(st.integers(0, 120), st.floats(0, 2 * DRAIN_TIMEOUT_S))
def test_a_round_is_bounded_and_asks_each_pod_once(count: int, elapsed_s: float) -> None:
    pods = tuple(pod(f"p{number}") for number in range(count))
    plan = decide_drain(pods, NOW - timedelta(seconds=elapsed_s), NOW)
    asked = [item.key for item in plan.evict] + [item.pod.key for item in plan.delete]
    assert len(asked) == len(set(asked)) == min(count, DRAIN_BATCH_MAX)
    assert plan.remaining == count
