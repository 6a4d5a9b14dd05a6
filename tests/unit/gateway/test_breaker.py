"""How held calls are let through."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.gateway.breaker import Breaker, CallRefused, Slot
from controlplane.gateway.domain import Endpoint, QueueLimits

ONE, TWO = Endpoint("127.0.0.1", 1, "pod-1"), Endpoint("127.0.0.1", 2, "pod-2")
WIDE = QueueLimits(100, 10_000, 60)


async def test_calls_get_their_place_in_the_order_they_came() -> None:
    breaker, order = Breaker(1, WIDE), []

    async def call(number: int) -> None:
        slot = await breaker.acquire(5)
        order.append(number)
        breaker.release(slot)

    tasks = [asyncio.create_task(call(number)) for number in range(5)]
    await asyncio.sleep(0)
    breaker.set_endpoints((ONE,))
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4]


async def test_the_endpoint_with_fewer_calls_is_taken() -> None:
    breaker = Breaker(2, WIDE)
    breaker.set_endpoints((ONE, TWO))
    slots = [await breaker.acquire(1) for _ in range(4)]
    assert sorted(slot.endpoint.instance for slot in slots) == ["pod-1", "pod-1", "pod-2", "pod-2"]
    with pytest.raises(CallRefused):
        await breaker.acquire(0)


async def test_a_place_given_to_a_caller_who_left_goes_to_the_next() -> None:
    breaker = Breaker(1, WIDE)
    first = asyncio.create_task(breaker.acquire(5))
    second = asyncio.create_task(breaker.acquire(5))
    await asyncio.sleep(0)
    breaker.set_endpoints((ONE,))
    first.cancel()
    slot = await asyncio.wait_for(second, 1)
    assert slot.endpoint == ONE
    assert breaker.in_flight == 1


def test_the_queue_is_bounded_by_count_and_bytes() -> None:
    breaker = Breaker(1, QueueLimits(2, 100, 60))
    breaker.hold(60)
    with pytest.raises(CallRefused) as by_bytes:
        breaker.hold(50)
    breaker.hold(40)
    with pytest.raises(CallRefused) as by_count:
        breaker.hold(0)
    assert (by_bytes.value.refusal.code, by_count.value.refusal.code) == ("queue_bytes_full", "queue_full")
    breaker.let_go(60)
    breaker.hold(60)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(["ask", "give back", "leave", "grow", "shrink"]), max_size=40))
def test_no_endpoint_ever_has_more_calls_than_its_concurrency_and_no_place_is_lost(acts: list[str]) -> None:
    async def play() -> None:
        breaker, tasks, slots = Breaker(2, WIDE), [], []
        for act in acts:
            if act == "ask":
                tasks.append(asyncio.create_task(breaker.acquire(5)))
            elif act == "give back" and slots:
                breaker.release(slots.pop())
            elif act == "leave" and tasks:
                tasks.pop().cancel()
            else:
                breaker.set_endpoints((ONE, TWO) if act == "grow" else (ONE,))
            await asyncio.sleep(0)
            done = [task for task in tasks if task.done()]
            tasks = [task for task in tasks if not task.done()]
            slots += [task.result() for task in done]
            for endpoint in (ONE, TWO):
                assert sum(slot.endpoint == endpoint for slot in slots) <= 2
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        slots += [task.result() for task in tasks if not task.cancelled() and isinstance(task.result(), Slot)]
        for slot in slots:
            breaker.release(slot)
        assert breaker.in_flight == 0

    asyncio.run(play())
