"""The queue's promises, over any order of calls."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from operators.lib.clock import SystemClock
from operators.lib.workqueue import (
    BACKOFF_FIRST_S,
    BACKOFF_MAX_S,
    Priority,
    WorkQueue,
    WorkQueueCore,
    backoff_s,
)

KEYS = st.integers(0, 5)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), KEYS, st.sampled_from(list(Priority))),
        st.tuples(st.just("later"), KEYS, st.floats(0, 5)),
        st.tuples(st.just("failed"), KEYS, st.just(0)),
        st.tuples(st.just("take"), KEYS, st.just(0)),
        st.tuples(st.just("done"), KEYS, st.just(0)),
        st.tuples(st.just("tick"), KEYS, st.floats(0, 3)),
    ),
    max_size=80,
)


def drain(queue: WorkQueueCore[int]) -> list[int]:
    taken = []
    while (key := queue.take()) is not None:
        taken.append(key)
        queue.done(key)
    return taken


@given(STEPS)
def test_a_key_asked_for_is_worked_afterwards_and_never_twice_at_once(
    steps: list[tuple[str, int, float]],
) -> None:
    queue: WorkQueueCore[int] = WorkQueueCore()
    now = 0.0
    owed: set[int] = set()
    for verb, key, argument in steps:
        if verb == "add":
            queue.add(key, int(argument))
            owed.add(key)
        elif verb == "later":
            queue.add_after(key, argument, now)
            owed.add(key)
        elif verb == "failed":
            queue.add_failed(key, now)
            owed.add(key)
        elif verb == "tick":
            now += argument
            queue.wake_due(now)
        elif verb == "take":
            held = queue.working
            taken = queue.take()
            if taken is not None:
                assert taken not in held
                owed.discard(taken)
        elif key in queue.working:
            queue.done(key)
    for key in queue.working:
        queue.done(key)
    queue.wake_due(now + 10_000)
    worked = drain(queue)
    assert owed <= set(worked) | queue.working
    assert len(worked) == len(set(worked))
    assert queue.is_idle


@given(st.lists(st.tuples(KEYS, st.sampled_from(list(Priority))), min_size=1, max_size=40))
def test_urgent_keys_come_first_and_equal_ones_in_order(asked: list[tuple[int, Priority]]) -> None:
    queue: WorkQueueCore[int] = WorkQueueCore()
    best: dict[int, tuple[int, int]] = {}
    for order, (key, priority) in enumerate(asked):
        queue.add(key, priority)
        if key not in best or priority < best[key][0]:
            best[key] = (priority, order)
    assert drain(queue) == sorted(best, key=lambda key: best[key])


def test_a_key_being_worked_waits_for_its_worker() -> None:
    queue: WorkQueueCore[int] = WorkQueueCore()
    queue.add(1)
    assert queue.take() == 1
    queue.add(1)
    queue.add(1)
    assert queue.take() is None
    queue.done(1)
    assert drain(queue) == [1]


def test_a_live_change_overtakes_a_listing_of_thousands() -> None:
    queue: WorkQueueCore[int] = WorkQueueCore()
    for key in range(4500):
        queue.add(key, Priority.RESYNC)
    queue.add(4499, Priority.CHANGE)
    assert queue.take() == 4499


def test_failures_wait_longer_each_time_and_success_forgets_them() -> None:
    assert backoff_s(0) == BACKOFF_FIRST_S
    delays = [backoff_s(failures) for failures in range(40)]
    assert delays == sorted(delays)
    assert delays[-1] == BACKOFF_MAX_S
    queue: WorkQueueCore[int] = WorkQueueCore()
    assert queue.add_failed(1, 0.0) < queue.add_failed(1, 0.0) < queue.add_failed(1, 0.0)
    queue.forget(1)
    assert queue.add_failed(1, 0.0) == BACKOFF_FIRST_S


def test_many_failing_keys_share_one_budget() -> None:
    queue: WorkQueueCore[int] = WorkQueueCore()
    delays = [queue.add_failed(key, 0.0) for key in range(200)]
    assert delays[50] == BACKOFF_FIRST_S
    assert delays[199] >= 9.0


def test_an_earlier_appointment_stands() -> None:
    queue: WorkQueueCore[int] = WorkQueueCore()
    queue.add_after(1, 5.0, 0.0)
    queue.add_after(1, 9.0, 0.0)
    assert queue.wake_due(5.0) is None
    assert drain(queue) == [1]
    queue.add_after(1, 9.0, 10.0)
    queue.add_after(1, 1.0, 10.0)
    assert queue.wake_due(11.0) is None
    assert drain(queue) == [1]


async def test_a_waiting_worker_wakes_for_a_new_key_and_for_a_due_one() -> None:
    queue: WorkQueue[int] = WorkQueue(SystemClock())
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add(7)
    assert await asyncio.wait_for(waiting, 2) == 7
    queue.done(7)
    queue.add_after(8, 0.01)
    assert await asyncio.wait_for(queue.get(), 2) == 8


async def test_two_workers_share_two_keys() -> None:
    queue: WorkQueue[int] = WorkQueue(SystemClock())
    workers = [asyncio.create_task(queue.get()) for _ in range(2)]
    await asyncio.sleep(0)
    queue.add(1)
    queue.add(2)
    assert set(await asyncio.wait_for(asyncio.gather(*workers), 2)) == {1, 2}
