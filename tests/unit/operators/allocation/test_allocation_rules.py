"""One open interval per GPU, whatever the order of events and whenever the operator restarts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from operators.allocation.allocation_rules import (
    BEAT_SECONDS,
    GpuPod,
    Interval,
    NodeFacts,
    Phase,
    Record,
    decide_assignments,
    decide_records,
)
from operators.allocation.events import event_of, read_event

T0 = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
NODE = NodeFacts("node-1", "cell-1", "b300", 8, True)


def pod(
    uid: str, count: int, gpus: tuple[int, ...] = (), at: datetime = T0, *, is_ended: bool = False
) -> GpuPod:
    return GpuPod(
        uid, "ns", f"pod-{uid}", "node-1", "org", "prj", "svc", "rdp", count, gpus, at, is_ended, None
    )


def settle(
    pods: list[GpuPod], held: dict[int, Interval], now: datetime, *, is_recovering: bool = False
) -> tuple[Record, ...]:
    return decide_records(NODE, pods, held, {}, now, is_recovering=is_recovering)


class TestAssignments:
    def test_lowest_free_indices_are_given_in_order_of_bind(self) -> None:
        late, early = pod("a", 4, at=T0 + timedelta(seconds=1)), pod("b", 4)
        assigned = {each.pod.uid: each.gpus for each in decide_assignments(8, [late, early])}
        assert assigned == {"b": (0, 1, 2, 3), "a": (4, 5, 6, 7)}

    def test_a_gap_is_filled_and_what_is_given_stays(self) -> None:
        (assigned,) = decide_assignments(8, [pod("a", 2, (2, 3)), pod("b", 3)])
        assert assigned.gpus == (0, 1, 4)

    def test_a_pod_whose_gpus_are_not_free_yet_waits(self) -> None:
        assert decide_assignments(8, [pod("a", 8, tuple(range(8))), pod("b", 1)]) == ()

    def test_an_ended_pod_holds_nothing(self) -> None:
        (assigned,) = decide_assignments(8, [pod("a", 8, tuple(range(8)), is_ended=True), pod("b", 8)])
        assert assigned.gpus == tuple(range(8))


class TestRecords:
    def test_bind_opens_one_interval_per_gpu_from_the_bind(self) -> None:
        records = settle([pod("a", 2, (0, 1))], {}, T0 + timedelta(seconds=3))
        assert [record.id for record in records] == ["a/0/open/0", "a/1/open/0"]
        assert {record.interval.opened_at for record in records} == {T0}

    def test_a_beat_is_written_once_per_slot(self) -> None:
        (opened,) = settle([pod("a", 1, (0,))], {}, T0)
        held = {0: opened.interval}
        assert settle([pod("a", 1, (0,))], held, T0 + timedelta(seconds=BEAT_SECONDS - 1)) == ()
        (beat,) = settle([pod("a", 1, (0,))], held, T0 + timedelta(seconds=BEAT_SECONDS))
        assert beat.id == "a/0/beat/1"
        assert settle([pod("a", 1, (0,))], {0: beat.interval}, T0 + timedelta(seconds=BEAT_SECONDS + 1)) == ()

    def test_a_pod_gone_before_our_eyes_closes_now(self) -> None:
        (opened,) = settle([pod("a", 1, (0,))], {}, T0)
        (closed,) = settle([], {0: opened.interval}, T0 + timedelta(seconds=7))
        assert (closed.id, closed.reason) == ("a/0/close/0", "PodGone")
        assert closed.interval.observed_at == T0 + timedelta(seconds=7)

    def test_a_pod_gone_while_nobody_watched_closes_when_it_was_last_seen(self) -> None:
        (opened,) = settle([pod("a", 1, (0,))], {}, T0)
        (closed,) = settle([], {0: opened.interval}, T0 + timedelta(hours=3), is_recovering=True)
        assert (closed.interval.observed_at, closed.reason) == (T0, "PodGoneUnobserved")

    def test_the_next_interval_begins_no_earlier_than_the_last_one_ended(self) -> None:
        (opened,) = settle([pod("a", 1, (0,))], {}, T0)
        now = T0 + timedelta(seconds=9.5)
        closed, second = settle([pod("b", 1, (0,), at=T0 + timedelta(seconds=9))], {0: opened.interval}, now)
        assert (closed.phase, second.phase) == (Phase.CLOSE, Phase.OPEN)
        assert second.interval.opened_at == closed.interval.observed_at == now

    def test_what_is_spooled_reads_back_equal(self) -> None:
        for record in settle([pod("a", 2, (0, 1))], {}, T0 + timedelta(seconds=1.5)):
            back = read_event(event_of(record))
            assert back is not None
            assert (back.interval, back.phase) == (record.interval, record.phase)


pods_strategy = st.lists(
    st.builds(
        lambda number, count, seconds: pod(f"p{number}", count, at=T0 + timedelta(seconds=seconds)),
        st.integers(0, 30), st.integers(1, 8), st.integers(0, 5),
    ),
    max_size=12, unique_by=lambda each: each.uid,
)  # fmt: skip


@given(pods_strategy, st.randoms(use_true_random=False))
def test_assignments_never_share_a_gpu_and_do_not_depend_on_order(pods: list[GpuPod], random: object) -> None:
    assigned = decide_assignments(8, pods)
    given_out = [index for each in assigned for index in each.gpus]
    assert len(given_out) == len(set(given_out))
    assert all(0 <= index < 8 for index in given_out)
    assert all(len(each.gpus) == each.pod.gpu_count for each in assigned)
    shuffled = list(pods)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert decide_assignments(8, shuffled) == assigned


steps_strategy = st.lists(
    st.tuples(
        st.sampled_from(["arrive", "leave", "end", "wait", "restart", "lose"]),
        st.integers(1, 8),
        st.integers(0, 70),
    ),
    max_size=40,
)


@given(steps_strategy)
def test_each_gpu_has_at_most_one_open_interval_and_intervals_never_overlap(
    steps: list[tuple[str, int, int]],
) -> None:
    now, pods, arrived = T0, [], 0
    held: dict[int, Interval] = {}
    closed_at: dict[int, datetime] = {}
    spooled: list[Record] = []
    is_recovering = False
    for action, number, seconds in steps:
        now += timedelta(seconds=seconds, microseconds=number)
        victim = pods[number % len(pods)] if pods else None
        if action == "arrive":
            arrived += 1
            # Kubernetes cuts the bind to whole seconds.
            pods = [*pods, pod(f"p{arrived}", number, at=now.replace(microsecond=0))]
        elif action in ("leave", "lose") and victim is not None:
            pods = [each for each in pods if each.uid != victim.uid]
        elif action == "end" and victim is not None:
            pods = [replace(each, is_ended=True) if each.uid == victim.uid else each for each in pods]
        is_recovering = is_recovering or action in ("restart", "lose")
        if action == "lose":
            continue  # the operator is down while it happens
        given_now = {each.pod.uid: each.gpus for each in decide_assignments(8, pods)}
        pods = [replace(each, gpus=given_now.get(each.uid, each.gpus)) for each in pods]
        records = decide_records(NODE, pods, held, closed_at, now, is_recovering=is_recovering)
        is_recovering = False
        for record in records:
            spooled.append(record)
            index = record.interval.gpu_index
            if record.phase is Phase.CLOSE:
                assert held.pop(index).pod_uid == record.interval.pod_uid
                closed_at[index] = record.interval.observed_at
                assert record.interval.observed_at >= record.interval.opened_at
            elif record.phase is Phase.OPEN:
                assert index not in held
                assert record.interval.opened_at >= closed_at.get(index, T0)
                held[index] = record.interval
            else:
                assert held[index].pod_uid == record.interval.pod_uid
                held[index] = record.interval
        live = {each.uid: each for each in pods if not each.is_ended}
        assert {each.pod_uid for each in held.values()} == {uid for uid, each in live.items() if each.gpus}
    ids = [record.id for record in spooled]
    assert len(ids) == len(set(ids))
