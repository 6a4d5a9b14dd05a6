"""Pods to create, drain, take back and delete; the loop closes on what is wanted from any start."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.inference.replica_rules import (
    LOADING_SECONDS_MAX,
    REPLACE_SECONDS_MAX,
    STABLE_SECONDS,
    UNPUBLISH_GRACE_SECONDS,
    UNREADY_SECONDS_MAX,
    ReplicaPlan,
    decide_pods,
    replacement_delay,
)
from operators.inference.views import PodView
from tests.unit.operators.inference.pods import T0, TEMPLATE, failed, loading, ready


def plan(
    desired: int,
    pods: list[PodView],
    now: datetime = T0,
    *,
    is_quiet: bool = False,
    template: str = TEMPLATE,
    drain_seconds: int = 30,
) -> ReplicaPlan:
    return decide_pods(desired, template, pods, now, drain_seconds=drain_seconds, is_quiet=is_quiet)


def names(pods: tuple[PodView, ...]) -> list[str]:
    return [pod.name for pod in pods]


class TestCreate:
    def test_nothing_becomes_what_is_wanted_in_one_pass(self) -> None:
        decided = plan(2, [])
        assert [(each.replica_index, each.attempt) for each in decided.created] == [(0, 0), (1, 0)]

    def test_what_is_there_is_not_created_again(self) -> None:
        assert plan(2, [ready(0), loading(1)]).is_settled

    def test_a_terminating_namesake_gives_the_next_attempt(self) -> None:
        (created,) = plan(1, [ready(0, 3, is_terminating=True)]).created
        assert (created.replica_index, created.attempt) == (0, 4)


class TestStop:
    def test_a_serving_replica_is_kept_before_one_that_loads(self) -> None:
        decided = plan(1, [loading(0), ready(1)])
        assert names(decided.draining) == ["chat-0-0"]
        assert names(decided.serving) == ["chat-1-0"]

    def test_a_draining_replica_is_deleted_only_after_its_time(self) -> None:
        pod = ready(0, draining_since=T0)
        waiting = plan(0, [pod], T0 + timedelta(seconds=29))
        assert waiting.deleted == ()
        assert waiting.serving == ()
        assert waiting.reconsider_at == T0 + timedelta(seconds=30)
        assert names(plan(0, [pod], T0 + timedelta(seconds=30)).deleted) == ["chat-0-0"]

    def test_a_quiet_replica_goes_as_soon_as_gateways_know(self) -> None:
        pod = ready(0, draining_since=T0)
        assert plan(0, [pod], T0, is_quiet=True).deleted == ()
        at = T0 + timedelta(seconds=UNPUBLISH_GRACE_SECONDS)
        assert names(plan(0, [pod], at, is_quiet=True).deleted) == ["chat-0-0"]

    def test_a_draining_replica_that_is_wanted_again_is_taken_back(self) -> None:
        decided = plan(1, [ready(0, draining_since=T0)], T0 + timedelta(seconds=60))
        assert names(decided.retaken) == ["chat-0-0"]
        assert (decided.created, decided.deleted) == ((), ())
        assert names(decided.serving) == ["chat-0-0"]

    def test_a_terminating_replica_cannot_be_taken_back(self) -> None:
        decided = plan(1, [ready(0, draining_since=T0, is_terminating=True)])
        assert (decided.retaken, len(decided.created)) == ((), 1)


class TestFailure:
    def test_a_failed_replica_waits_for_its_back_off(self) -> None:
        decided = plan(1, [failed(0, failures=3)])
        assert decided.created == ()
        assert decided.reconsider_at == T0 + replacement_delay(4)
        (created,) = plan(1, [failed(0, failures=3)], T0 + replacement_delay(4)).created
        assert (created.attempt, created.failures) == (1, 4)

    def test_back_off_doubles_up_to_its_bound(self) -> None:
        delays = [replacement_delay(each).total_seconds() for each in range(1, 40)]
        assert delays[:4] == [1, 2, 4, 8]
        assert delays[-1] == REPLACE_SECONDS_MAX
        assert delays == sorted(delays)

    def test_a_replica_that_served_long_starts_its_back_off_anew(self) -> None:
        failed_at = T0 + timedelta(seconds=STABLE_SECONDS)
        pod = failed(0, failures=9, failed_at=failed_at)
        (created,) = plan(1, [pod], failed_at + timedelta(seconds=1)).created
        assert created.failures == 1

    def test_a_replaced_failure_is_cleared_away(self) -> None:
        assert names(plan(1, [failed(0), loading(0, 1, failures=1)]).deleted) == ["chat-0-0"]


class TestRollout:
    def test_one_new_replica_comes_before_an_old_one_goes(self) -> None:
        decided = plan(2, [ready(0), ready(1)], template="bbbbbbbbbb")
        assert [(each.replica_index, each.attempt) for each in decided.created] == [(0, 1)]
        assert decided.draining == ()
        assert names(decided.serving) == ["chat-0-0", "chat-1-0"]

    def test_the_old_replica_goes_when_the_new_one_serves(self) -> None:
        new = ready(0, 1, template_hash="bbbbbbbbbb")
        decided = plan(2, [ready(0), new, ready(1)], template="bbbbbbbbbb")
        assert names(decided.draining) == ["chat-0-0"]
        assert names(decided.serving) == ["chat-0-1", "chat-1-0"]
        assert [each.replica_index for each in decided.created] == [1]

    def test_an_old_replica_that_does_not_serve_is_replaced_at_once(self) -> None:
        decided = plan(1, [loading(0)], template="bbbbbbbbbb")
        assert (len(decided.created), names(decided.draining)) == (1, ["chat-0-0"])


pod_strategy = st.builds(
    lambda kind, index, attempt, template, is_draining, is_terminating: replace(
        {"ready": ready, "loading": loading, "failed": failed}[kind](index, attempt),
        template_hash=template,
        draining_since=T0 if is_draining else None,
        is_terminating=is_terminating,
    ),
    st.sampled_from(["ready", "loading", "failed"]), st.integers(0, 4), st.integers(0, 3),
    st.sampled_from([TEMPLATE, "bbbbbbbbbb"]), st.booleans(), st.booleans(),
)  # fmt: skip
world_strategy = st.lists(pod_strategy, max_size=8, unique_by=lambda pod: pod.name)


def advance(pods: list[PodView], decided: ReplicaPlan, now: datetime) -> list[PodView]:
    """A cluster that does what it is told: new pods become ready, deleted ones go."""
    draining, retaken = set(names(decided.draining)), set(names(decided.retaken))
    deleted = set(names(decided.deleted))
    left = []
    for pod in pods:
        if pod.name in deleted or pod.is_terminating:
            continue
        if pod.name in draining:
            left.append(replace(pod, draining_since=now))
        elif pod.name in retaken:
            left.append(replace(pod, draining_since=None))
        else:
            is_coming = not pod.is_failed and not pod.is_ready
            left.append(
                ready(pod.replica_index, pod.attempt, template_hash=pod.template_hash) if is_coming else pod
            )
    return left + [loading(each.replica_index, each.attempt) for each in decided.created]


# Each of at most four slots may need a start, a drain and a replacement, one slot after the other.
ROUNDS = 30


@given(world_strategy, st.integers(0, 4))
def test_any_world_converges_to_the_wanted_replicas(pods: list[PodView], desired: int) -> None:
    now = T0
    for _ in range(ROUNDS):
        decided = plan(desired, pods, now)
        assert not {each.name for each in pods} & {
            f"chat-{c.replica_index}-{c.attempt}" for c in decided.created
        }
        current = [pod for pod in pods if pod.is_current]
        # Surge of one: beyond what is wanted at most one pod is kept or made.
        assert len(current) - len(decided.draining) + len(decided.created) <= desired + 1
        pods = advance(pods, decided, now)
        now += timedelta(seconds=REPLACE_SECONDS_MAX)
    assert len(pods) == desired
    assert all(pod.is_ready and pod.is_current and pod.template_hash == TEMPLATE for pod in pods)


@given(world_strategy, st.integers(1, 4))
def test_a_serving_replica_stops_only_when_enough_others_serve(pods: list[PodView], desired: int) -> None:
    serving_before = len({pod.replica_index for pod in pods if pod.is_current and pod.is_ready})
    decided = plan(desired, pods)
    assert len({pod.replica_index for pod in decided.serving}) >= min(desired, serving_before)
    assert not {pod.name for pod in decided.serving} & {
        pod.name for pod in (*decided.draining, *decided.deleted)
    }


@pytest.mark.case("X10")
class TestHungReplicas:
    def plan(self, pod: PodView, seconds: float, *, was_ready: bool) -> ReplicaPlan:
        uids = frozenset({pod.uid}) if was_ready else frozenset()
        now = T0 + timedelta(seconds=seconds)
        return decide_pods(1, TEMPLATE, [pod], now, drain_seconds=30, is_quiet=True, was_ready=uids)

    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"node": "gone"},
            {"problem_reason": "CrashLoopBackOff"},
            {"address": None},
            {"started_at": None},
        ],
        ids=["stopped", "machine lost", "restarted in vain", "half open", "forgotten"],
    )
    def test_replica_that_was_ready_and_does_not_answer_is_replaced_within_its_bound(
        self, changes: dict[str, Any]
    ) -> None:
        hung = ready(**{"is_ready": False, "unready_since": T0, **changes})
        before = self.plan(hung, UNREADY_SECONDS_MAX - 1, was_ready=True)
        assert before.deleted == ()
        assert before.reconsider_at == T0 + timedelta(seconds=UNREADY_SECONDS_MAX)
        assert self.plan(hung, UNREADY_SECONDS_MAX, was_ready=True).deleted == (hung,)
        going = replace(hung, is_terminating=True)
        assert [
            pod.replica_index for pod in self.plan(going, UNREADY_SECONDS_MAX, was_ready=True).created
        ] == [0]

    def test_replica_that_loads_has_its_time_and_no_more(self) -> None:
        slow = loading(started_at=T0)
        assert self.plan(slow, LOADING_SECONDS_MAX - 1, was_ready=False).deleted == ()
        assert self.plan(slow, LOADING_SECONDS_MAX, was_ready=False).deleted == (slow,)
        assert self.plan(loading(started_at=None), 10**6, was_ready=False).deleted == ()

    def test_replica_that_its_node_restarted_loads_again(self) -> None:
        again = ready(is_ready=False, unready_since=T0, started_at=T0 + timedelta(seconds=40))
        assert self.plan(again, UNREADY_SECONDS_MAX + 5, was_ready=True).deleted == ()

    def test_replica_that_answers_is_never_replaced_for_it(self) -> None:
        assert self.plan(ready(), 10**6, was_ready=True).deleted == ()
