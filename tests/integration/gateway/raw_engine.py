"""A test upstream that writes exactly the bytes it is told to, in the pieces it is told to. It is no model."""

from __future__ import annotations

import asyncio
import socket
import threading
from dataclasses import dataclass

STREAM = "text/event-stream"
DOCUMENT = "application/json"


@dataclass
class RawAnswer:
    """What every call is answered with.

    `pieces` go out one by one, each as an HTTP chunk of its own. `announces_keep_alive` and `closes_after` are what the
    engine says of the connection and what it does; `tail` comes after `gap_seconds`, again and again if `repeats`.
    """

    pieces: tuple[bytes, ...] = ()
    content_type: str = STREAM
    announces_keep_alive: bool = False
    closes_after: bool = True
    gap_seconds: float = 0.0
    repeats: bool = False


class RawEngine:
    """Runs in a thread of its own. `calls` counts the requests, `hang_ups` those whose caller left first."""

    def __init__(self) -> None:
        self.answer = RawAnswer()
        self.calls = 0
        self.hang_ups = 0
        self.connections = 0
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(
            target=lambda: self._loop.run_until_complete(self._serve()), daemon=True
        )

    def __enter__(self) -> RawEngine:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, limit=4 << 20, backlog=512)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        own = asyncio.current_task()
        calls = [task for task in asyncio.all_tasks() if task is not own]
        for task in calls:
            task.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while await self._call(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _call(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
        await reader.readexactly(length)
        self.calls += 1
        answer = self.answer
        try:
            await self._write(writer, answer)
        except ConnectionError:
            self.hang_ups += 1
            return False
        return not answer.closes_after

    async def _write(self, writer: asyncio.StreamWriter, answer: RawAnswer) -> None:
        keep = "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n" if answer.announces_keep_alive else ""
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {answer.content_type}\r\n{keep}Transfer-Encoding: chunked\r\n\r\n"
        writer.write(head.encode())
        while True:
            for piece in answer.pieces:
                if piece:
                    writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                    await writer.drain()
                # A pause lets Envoy read this piece alone, as an engine's tokens come.
                await asyncio.sleep(answer.gap_seconds)
            if not answer.repeats:
                break
        writer.write(b"0\r\n\r\n")
        await writer.drain()
