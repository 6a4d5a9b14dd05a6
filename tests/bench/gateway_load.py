"""A small HTTP/1.1 load generator and a static upstream, both on bare asyncio so that they cost little."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

ANSWER = (
    b'{"id":"x","object":"chat.completion","created":0,"model":"static","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"static"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}}'
)
EVENTS = 32
EVENT = (
    b'data: {"id":"x","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"w "}}]}\n\n'
)
LAST = b'data: {"id":"x","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":32}}\n\ndata: [DONE]\n\n'


@dataclass(frozen=True)
class Load:
    path: str
    body: bytes
    headers: dict[str, str]

    def wire(self) -> bytes:
        lines = [f"POST {self.path} HTTP/1.1", "host: localhost", "content-type: application/json"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines += [f"content-length: {len(self.body)}", "", ""]
        return "\r\n".join(lines).encode() + self.body


@dataclass
class Outcome:
    calls: int = 0
    errors: int = 0
    seconds: list[float] = field(default_factory=list)

    def percentile(self, percent: int) -> float:
        ordered = sorted(self.seconds)
        return (
            round(ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] * 1000, 2) if ordered else 0.0
        )


async def _call(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wire: bytes) -> bool:
    writer.write(wire)
    head = await reader.readuntil(b"\r\n\r\n")
    lowered = head.lower()
    if b"transfer-encoding: chunked" in lowered:
        while True:
            size = int(await reader.readuntil(b"\r\n"), 16)
            await reader.readexactly(size + 2)
            if size == 0:
                break
    else:
        start = lowered.index(b"content-length:") + 15
        await reader.readexactly(int(lowered[start : lowered.index(b"\r\n", start)]))
    return head.startswith(b"HTTP/1.1 200")


async def run_closed(port: int, load: Load, connections: int, seconds: float) -> Outcome:
    """Each connection calls again as soon as it is answered."""
    outcome, wire, end = Outcome(), load.wire(), time.perf_counter() + seconds

    async def loop() -> None:
        while time.perf_counter() < end:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            try:
                while time.perf_counter() < end:
                    if not await _call(reader, writer, wire):
                        outcome.errors += 1
                    outcome.calls += 1
            except (OSError, asyncio.IncompleteReadError, ValueError):
                outcome.errors += 1
            finally:
                writer.close()

    await asyncio.gather(*(loop() for _ in range(connections)))
    return outcome


async def run_paced(port: int, load: Load, per_second: int, seconds: float) -> Outcome:
    """Calls begin at fixed instants whatever the answers do (open loop); latency counts from that instant."""
    outcome, wire = Outcome(), load.wire()
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    start = time.perf_counter() + 0.05

    async def one(at: float) -> None:
        await asyncio.sleep(max(0.0, at - time.perf_counter()))
        try:
            pair = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", port)
            if not await _call(*pair, wire):
                outcome.errors += 1
            outcome.seconds.append(time.perf_counter() - at)
            outcome.calls += 1
            idle.append(pair)
        except (OSError, asyncio.IncompleteReadError, ValueError):
            outcome.errors += 1

    await asyncio.gather(*(one(start + number / per_second) for number in range(int(per_second * seconds))))
    for _, writer in idle:
        writer.close()
    return outcome


class _Upstream(asyncio.Protocol):
    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods but not the base class.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            start = head.find(b"content-length:")
            length = int(head[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else 0
            if len(self._buffer) < end + 4 + length:
                return
            body, self._buffer = self._buffer[end + 4 : end + 4 + length], self._buffer[end + 4 + length :]
            self._answer(b'"stream": true' in body or b'"stream":true' in body)

    def _answer(self, is_stream: bool) -> None:
        if not is_stream:
            head = (
                f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(ANSWER)}\r\n\r\n"
            )
            self._transport.write(head.encode() + ANSWER)
            return
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        for event in [EVENT] * EVENTS + [LAST]:
            self._transport.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
        self._transport.write(b"0\r\n\r\n")


def _run_upstream(port: int) -> None:
    import uvloop

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(_Upstream, "127.0.0.1", port)
        await server.serve_forever()

    uvloop.run(serve())


@contextlib.contextmanager
def serve_upstream(port: int) -> Iterator[None]:
    """Run the static upstream in a process of its own."""
    process = multiprocessing.get_context("spawn").Process(target=_run_upstream, args=(port,), daemon=True)
    process.start()
    try:
        deadline = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                break
            assert time.monotonic() < deadline, "the upstream did not start"
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.join(5)
