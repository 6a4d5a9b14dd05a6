"""An engine that closes connections it announced to keep costs no caller an error."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.integration.gateway.raw_engine import DOCUMENT, STREAM, RawAnswer, RawEngine
from tests.integration.gateway.rig import MODEL, Rig, Tenant

CHAT = "/v1/chat/completions"
CALLS = 300
EVENT = b'data: {"choices":[{"delta":{"content":"w"}}]}\n\n'


@pytest.mark.case("S4")
@pytest.mark.parametrize("callers", [1, 4])
@pytest.mark.parametrize(
    ("pieces", "content_type"), [((EVENT, b"data: [DONE]\n\n"), STREAM), ((b"{}",), DOCUMENT)]
)
def test_calls_back_to_back_never_meet_a_closed_connection(
    rig: Rig, tenant: Tenant, client: httpx.Client, callers: int, pieces: tuple[bytes, ...], content_type: str
) -> None:
    route = tenant.route(max=4, concurrency_per_replica=4)
    rig.publish_routes(route)
    with RawEngine() as engine, ThreadPoolExecutor(callers) as pool:
        engine.answer = RawAnswer(pieces, content_type, announces_keep_alive=True, closes_after=True)
        rig.publish_endpoints(route, engine.port)
        call = {"model": MODEL, "messages": [], "stream": content_type == STREAM}
        statuses = list(pool.map(lambda _: client.post(CHAT, json=call).status_code, range(CALLS)))
        assert statuses == [200] * CALLS
        # None of them was sent to an engine twice.
        assert engine.calls == CALLS
