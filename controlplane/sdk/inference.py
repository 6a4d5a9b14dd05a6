"""Calling a deployed model through a datacenter's gateway, which speaks OpenAI's HTTP."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Any, Self

import httpx

from controlplane.sdk.errors import ApiError, ConnectionLost, error_of
from controlplane.sdk.resources import Json

# A sleeping service wakes first: the gateway holds the call meanwhile.
TIMEOUT_SECONDS = 120.0
CONNECT_SECONDS = 5.0
_PATH = "/v1/chat/completions"
_EVENT = "data: "
_END = "[DONE]"


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """`body` as the engine gave it; `residency` says where it was made."""

    body: Json
    request_id: str
    residency: str


@dataclass(frozen=True, slots=True)
class ChatStream:
    """`chunks` are the engine's events in order, read as they come."""

    chunks: Iterator[Json]
    request_id: str
    residency: str


@dataclass(frozen=True, slots=True)
class AsyncChatStream:
    """`chunks` are the engine's events in order, read as they come."""

    chunks: AsyncGenerator[Json]
    request_id: str
    residency: str


class Gateway:
    """Calls under one key. Nothing is repeated: a call that may have been served would be billed twice."""

    def __init__(
        self,
        key: str,
        base_url: str,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(transport=transport, **_settings(key, base_url, timeout_seconds))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def chat(self, body: Json, *, host: str | None = None, project: str | None = None) -> ChatAnswer:
        """Return a whole answer. `host` names one service where several serve a model, `project` its project.

        Errors: ApiError with the gateway's code and sentence, ConnectionLost for silence.
        """
        try:
            reply = self._http.post(_PATH, json=body, headers=_aim(host, project))
        except httpx.TransportError as err:
            raise _silence(self._http.base_url, err) from err
        return _answer(reply)

    @contextmanager
    def stream(
        self, body: Json, *, host: str | None = None, project: str | None = None
    ) -> Iterator[ChatStream]:
        """Open an answer that comes in pieces. Errors: as `chat`, while it opens and while it is read."""
        try:
            with self._http.stream(
                "POST", _PATH, json={**body, "stream": True}, headers=_aim(host, project)
            ) as reply:
                if not reply.is_success:
                    reply.read()
                    raise _refusal(reply)
                yield ChatStream(_chunks(reply), *_proofs(reply))
        except httpx.TransportError as err:
            raise _silence(self._http.base_url, err) from err


class AsyncGateway:
    """The same calls for a program with an event loop, on connections of this object alone.

    A call whose task is cancelled, or whose stream is left, frees its connection before the leaving is done: the
    gateway then sees that nobody reads, and stops the engine's work.
    """

    def __init__(
        self,
        key: str,
        base_url: str,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(transport=transport, **_settings(key, base_url, timeout_seconds))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def chat(self, body: Json, *, host: str | None = None, project: str | None = None) -> ChatAnswer:
        """Return a whole answer. Errors: as `Gateway.chat`."""
        try:
            reply = await self._http.post(_PATH, json=body, headers=_aim(host, project))
        except httpx.TransportError as err:
            raise _silence(self._http.base_url, err) from err
        return _answer(reply)

    @asynccontextmanager
    async def stream(
        self, body: Json, *, host: str | None = None, project: str | None = None
    ) -> AsyncIterator[AsyncChatStream]:
        """Open an answer that comes in pieces. Errors: as `Gateway.stream`."""
        try:
            async with self._http.stream(
                "POST", _PATH, json={**body, "stream": True}, headers=_aim(host, project)
            ) as reply:
                if not reply.is_success:
                    await reply.aread()
                    raise _refusal(reply)
                yield AsyncChatStream(_async_chunks(reply), *_proofs(reply))
        except httpx.TransportError as err:
            raise _silence(self._http.base_url, err) from err


@cache
def _tls() -> ssl.SSLContext:
    # Reading the certificate store takes longer than a call: once a process.
    return httpx.create_ssl_context()


def _settings(key: str, base_url: str, timeout_seconds: float) -> dict[str, Any]:
    return {
        "base_url": base_url,
        "headers": {"Authorization": f"Bearer {key}", "User-Agent": "rempart-sdk"},
        "timeout": httpx.Timeout(timeout_seconds, connect=CONNECT_SECONDS),
        "verify": False if base_url.startswith("http://") else _tls(),
    }


def _silence(base_url: httpx.URL, error: Exception) -> ConnectionLost:
    return ConnectionLost(f"{base_url} does not answer: {error}")


def _answer(reply: httpx.Response) -> ChatAnswer:
    if not reply.is_success:
        raise _refusal(reply)
    return ChatAnswer(_event(reply.text), *_proofs(reply))


def _event(text: str) -> Json:
    """Errors: ConnectionLost for what is no JSON object: something else than a gateway answered."""
    try:
        found = json.loads(text)
    except ValueError as err:
        raise ConnectionLost("The gateway's answer cannot be read.") from err
    if not isinstance(found, dict):
        raise ConnectionLost("The gateway's answer cannot be read.")
    return found


def _aim(host: str | None, project: str | None) -> dict[str, str]:
    """A host names a service; the project matters to a key that is not bound to one (OpenAI's own header)."""
    wanted = {"Host": host, "OpenAI-Project": project}
    return {name: value for name, value in wanted.items() if value is not None}


def _proofs(reply: httpx.Response) -> tuple[str, str]:
    return reply.headers.get("x-request-id", ""), reply.headers.get("x-rempart-residency", "")


def _chunks(reply: httpx.Response) -> Iterator[Json]:
    for line in reply.iter_lines():
        if _holds_event(line):
            yield _event(line.removeprefix(_EVENT))


async def _async_chunks(reply: httpx.Response) -> AsyncGenerator[Json]:
    async for line in reply.aiter_lines():
        if _holds_event(line):
            yield _event(line.removeprefix(_EVENT))


def _holds_event(line: str) -> bool:
    return line.startswith(_EVENT) and line.removeprefix(_EVENT).strip() != _END


def _refusal(reply: httpx.Response) -> ApiError:
    """Turn OpenAI's error shape into ours."""
    try:
        told: Any = reply.json()["error"]
    except (ValueError, KeyError, TypeError):
        told = None
    found = told if isinstance(told, dict) else {}
    problem = {
        "code": str(found.get("code") or "unknown"),
        "detail": str(found.get("message") or f"The gateway answered {reply.status_code}."),
        "request_id": reply.headers.get("x-request-id", ""),
    }
    return error_of(reply.status_code, problem)
