"""Evictions have a share of the request rate of their own."""

import time

import pytest
from aiohttp import web

from operators.lib.access import Access
from operators.lib.client import DRAIN_SHARE, KubernetesClient
from operators.lib.errors import TooManyRequests
from operators.lib.objects import NODES, ObjectKey


async def answer(request: web.Request) -> web.Response:
    if request.path.endswith("/eviction"):
        cause = {
            "reason": "DisruptionBudget",
            "message": "The disruption budget web needs 2 healthy pods and has 2.",
        }
        status = {"kind": "Status", "code": 429, "reason": "TooManyRequests", "message": "Cannot evict pod."}
        return web.json_response({**status, "details": {"causes": [cause]}}, status=429)
    return web.json_response({"metadata": {"name": "n"}})


@pytest.mark.case("F16")
@pytest.mark.case("F15")
async def test_a_storm_of_refused_evictions_delays_no_other_request_and_each_says_why() -> None:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        access = Access(f"http://127.0.0.1:{runner.addresses[0][1]}", None, lambda: None)
        async with KubernetesClient(access, qps=1.0) as client:
            started = time.monotonic()
            for number in range(30):
                with pytest.raises(TooManyRequests, match="budget web needs 2 healthy pods"):
                    await client.evict(ObjectKey("default", f"p{number}"), uid="u")
            # The common rate is 0.9 a second here: thirty tokens would have taken half a minute.
            await client.get(NODES, ObjectKey("", "n"))
            assert time.monotonic() - started < 10
        async with KubernetesClient(access, qps=100.0) as client:
            taken = 0
            while client.evictions.try_take(0.0) == 0:
                taken += 1
            assert taken == 2 * 100 * DRAIN_SHARE
    finally:
        await runner.cleanup()
