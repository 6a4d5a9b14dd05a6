"""A controller stops when it is told to, whatever it is doing: who leads no more must not write."""

import asyncio

import pytest

from operators.lib.access import Access
from operators.lib.client import KubernetesClient
from operators.lib.clock import SystemClock
from operators.lib.controller import Controller, Result, World
from operators.lib.metrics import Metrics
from operators.lib.objects import NODES, ObjectKey
from operators.lib.store import Store

STEPS_MAX = 1_000
SECONDS_MAX = 5.0


@pytest.mark.parametrize("turns", range(4))
async def test_a_controller_canceled_as_its_reconcile_returns_ends_all_the_same(turns: int) -> None:
    store = Store(NODES)
    store.replace([], revision=1)
    reconciled: list[ObjectKey] = []
    answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

    async def reconcile(key: ObjectKey, _: World) -> Result:
        reconciled.append(key)
        return await answer

    controller = Controller("nodes", reconcile, store, workers=1)
    access = Access(server="http://127.0.0.1:9", tls=None, authorization=lambda: None)
    world = World(KubernetesClient(access), SystemClock(), Metrics())
    running = asyncio.create_task(controller.run(world))
    await asyncio.sleep(0)
    for name in ("first", "second"):
        controller.enqueue(ObjectKey("", name))
    for _ in range(STEPS_MAX):
        if reconciled:
            break
        await asyncio.sleep(0)
    assert reconciled == [ObjectKey("", "first")]
    answer.set_result(Result())
    for _ in range(turns):
        await asyncio.sleep(0)
    running.cancel()
    done, _ = await asyncio.wait({running}, timeout=SECONDS_MAX)
    assert done, "the controller goes on"
