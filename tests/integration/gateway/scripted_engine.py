"""A test upstream that speaks the OpenAI shape from a script. It is no model: its answers say so.

What a real engine does is tested with the real one (test_real_engine.py); this one exists to hold, break and
count on command.
"""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import dataclass, field

from aiohttp import web

LABEL = "scripted test upstream"


@dataclass
class Script:
    """How the engine behaves. `is_held`: no first byte until it is cleared."""

    tokens: int = 5
    gap_seconds: float = 0.0
    counts: str = "totals"  # totals | running | none
    content_type: str = "application/json; charset=utf-8"
    status: int = 200
    extra_headers: dict[str, str] = field(default_factory=dict)
    is_held: bool = False


class ScriptedEngine:
    """Runs in a thread of its own; `seen` holds each request's headers and body."""

    def __init__(self, script: Script | None = None) -> None:
        self.script = script or Script()
        self.seen: list[tuple[dict[str, str], bytes]] = []
        self.cancelled = 0
        self.open_calls = 0
        self.open_calls_most = 0
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> ScriptedEngine:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        self._loop.close()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.seen.append((dict(request.headers), body))
        self.open_calls += 1
        self.open_calls_most = max(self.open_calls_most, self.open_calls)
        try:
            while self.script.is_held:
                await asyncio.sleep(0.005)
            call = json.loads(body)
            if call.get("stream"):
                return await self._stream(request, call)
            usage = {"prompt_tokens": 7, "completion_tokens": self.script.tokens, "total_tokens": 12}
            answer = {
                "id": "x",
                "object": "chat.completion",
                "created": 0,
                "model": call.get("model"),
                "choices": [
                    {"index": 0, "message": {"role": "assistant", "content": LABEL}, "finish_reason": "stop"}
                ],
                **({} if self.script.counts == "none" else {"usage": usage}),
            }
            headers = {"content-type": self.script.content_type, **self.script.extra_headers}
            return web.Response(status=self.script.status, body=json.dumps(answer).encode(), headers=headers)
        except (asyncio.CancelledError, ConnectionError):
            self.cancelled += 1
            raise
        finally:
            self.open_calls -= 1

    async def _stream(self, request: web.Request, call: dict[str, object]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for number in range(self.script.tokens):
            choice = {"index": 0, "delta": {"content": f"w{number} "}, "finish_reason": None}
            event: dict[str, object] = {"id": "x", "object": "chat.completion.chunk", "choices": [choice]}
            if self.script.counts == "running":
                event["timings"] = {"prompt_n": 3, "cache_n": 4, "predicted_n": number + 1}
            await response.write(b"data: " + json.dumps(event).encode() + b"\n\n")
            await asyncio.sleep(self.script.gap_seconds)
        if self.script.counts != "none":
            usage = {"prompt_tokens": 7, "completion_tokens": self.script.tokens}
            last = {"id": "x", "object": "chat.completion.chunk", "choices": [], "usage": usage}
            await response.write(b"data: " + json.dumps(last).encode() + b"\n\n")
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response
